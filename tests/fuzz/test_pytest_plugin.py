# SPDX-License-Identifier: MIT
"""The pytest plugin in a project of a user: fixtures, kept failures as items, settings, and nothing passed over in silence."""

from __future__ import annotations

import importlib
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from vmrace.fuzz.cli import main as _main  # pytester forgets the modules that a run imports: have all of them before
from vmrace.fuzz.testing import checks as _checks  # noqa: F401
from vmrace.fuzz.testing import items as _items  # noqa: F401
from vmrace.fuzz.testing import plan as _plan  # noqa: F401

pytest_plugins = ["pytester"]

ROOT = pathlib.Path(__file__).parents[2]
CHECK = "CHECK: the program's own check fails"
BANK = '''
from vmrace import Program, cell, spin_lock, spin_unlock, spinlock_t


def make(n=2):
    balance = cell("balance", value=0)

    def deposit():
        balance.value += 1

    return Program([deposit] * n, check=lambda: balance.value == n)


def repaired(n=2):
    balance, lock = cell("balance", value=0), spinlock_t("lock")

    def deposit():
        spin_lock(lock)
        balance.value += 1
        spin_unlock(lock)

    return Program([deposit] * n, check=lambda: balance.value == n)
'''
REPAIRED = BANK.replace("make(", "broken(").replace("repaired(", "make(")
TEST = '''
import bank


def test_deposits(vmrace_fuzz):
    vmrace_fuzz(bank.make, 2)
'''
SETTINGS = '[tool.vmrace]\nfunctions = ["bank:*"]\ncorpus = "races"\n'


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Make the project of a user, with a program, a test of it, and settings."""
    pytester.makepyfile(bank=BANK, test_bank=TEST)
    (pytester.path / "pyproject.toml").write_text(SETTINGS)
    return pytester


def run(project: pytest.Pytester, *words: str) -> pytest.RunResult:
    sys.modules.pop("bank", None)
    importlib.invalidate_caches()
    return project.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", *words)


def rewrite(project: pytest.Pytester, text: str) -> None:
    (project.path / "bank.py").write_text(text)
    for path in (project.path / "__pycache__").glob("bank*"):
        path.unlink()


def kept(project: pytest.Pytester) -> pathlib.Path:
    path, = (project.path / "races").glob("*.run")
    return path


def test_a_failure_is_told_and_kept_and_repaired_and_is_a_regression_test_from_then_on(project: pytest.Pytester) -> None:
    first = run(project)
    first.assert_outcomes(failed=1)
    first.stdout.fnmatch_lines(["bank:make: * schedule*, seed 0: 1 finding", CHECK, "*write balance.value*", "schedule",
                                "  cpu? until before write balance.value in deposit", "kept in races/bank-check-*.run",
                                "next: vmrace replay races/bank-check-*.run"])
    second = run(project)
    second.assert_outcomes(failed=1, passed=1)          # the record fails as it did, which it expects
    rewrite(project, REPAIRED)
    third = run(project)
    third.assert_outcomes(passed=1, failed=1)
    third.stdout.fnmatch_lines([f"races/bank-*.run: LOST: expected {CHECK}, found nothing; ok in 1000 *",
                                "  if you fixed the race:  *vmrace corpus accept races/bank-*.run --verdict ok"])
    from click.testing import CliRunner
    sys.modules.pop("bank", None)
    assert CliRunner().invoke(_main.main, ["corpus", "accept", str(kept(project).relative_to(project.path))]).exit_code == 0
    run(project).assert_outcomes(passed=2)
    rewrite(project, BANK)
    again = run(project, "races")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines([f"races/bank-*.run: BUG {CHECK}", "*and expected is proved in 2*", "*write balance.value*"])


@pytest.mark.long
def test_verify_fails_a_test_unless_the_program_is_proved(project: pytest.Pytester) -> None:
    project.makepyfile(test_bank='''
        import bank
        import pytest
        from vmrace import Program, cell

        def test_broken(vmrace_verify):
            vmrace_verify(bank.make)

        def test_repaired(vmrace_verify):
            assert vmrace_verify(bank.repaired).classes == 2

        @pytest.mark.vmrace(runs=1)
        def test_not_decided(vmrace_verify):
            vmrace_verify(bank.repaired, 3)

        @pytest.mark.vmrace(preemptions=0)
        def test_bounded(vmrace_verify):
            vmrace_verify(bank.make)

        def test_no_points(vmrace_verify):
            vmrace_verify(lambda: Program([lambda: None]))

        def test_of_a_local_function(vmrace_verify):
            def make():
                return bank.make(2)
            vmrace_verify(make)
    ''')
    result = run(project, "test_bank.py", "-rA")
    result.assert_outcomes(passed=2, failed=4)
    result.stdout.fnmatch_lines_random([
        f"bank:make: {CHECK} in 2 of 4 classes of schedules", "bank:repaired: * inconclusive: 1 run was not enough",
        "*inconclusive: nothing was explored: no task reaches a point*", "PASSED test_bank.py::test_bounded",
        "it is kept nowhere: test_bank:test_of_a_local_function.<locals>.make is not a function of a module*"])


@pytest.mark.long
def test_limits_come_from_the_command_line_the_call_the_mark_and_the_project(project: pytest.Pytester) -> None:
    (project.path / "pyproject.toml").write_text(SETTINGS + "runs = 40\n")
    project.makepyfile(test_bank='''
        import bank
        import pytest

        def test_project(vmrace_fuzz):
            assert vmrace_fuzz(bank.repaired).runs == 40

        @pytest.mark.vmrace(runs=50, seed=3)
        class TestMarked:
            def test_mark(self, vmrace_fuzz):
                assert (vmrace_fuzz(bank.repaired).runs, vmrace_fuzz(bank.repaired).seed) == (50, 3)

            @pytest.mark.vmrace(runs=60)
            def test_closest_mark(self, vmrace_fuzz):
                assert (vmrace_fuzz(bank.repaired).runs, vmrace_fuzz(bank.repaired).seed) == (60, 3)

            def test_call(self, vmrace_fuzz):
                assert vmrace_fuzz(bank.repaired, runs=70).runs == 70
    ''')
    run(project, "test_bank.py").assert_outcomes(passed=4)
    run(project, "test_bank.py", "--vmrace-runs", "80").assert_outcomes(failed=4)


@pytest.mark.long
@pytest.mark.parametrize(("mark", "error"), [
    ("run=3", "has no limit 'run'. Did you mean runs?"), ("runs=0", "runs: 0 is not a number"), ("3", "has its limits by name"),
    ("seconds='a'", "seconds: 'a' is not a number"), ("seed=1.5", "seed: 1.5 is no number")])
def test_a_mark_that_cannot_be_used_is_an_error_of_usage(mark: str, error: str, project: pytest.Pytester) -> None:
    project.makepyfile(test_bank=f"import pytest\n\n@pytest.mark.vmrace({mark})\ndef test_it(vmrace_fuzz):\n    pass\n")
    result = run(project, "test_bank.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert error in result.stderr.str() + result.stdout.str()


@pytest.mark.long
@pytest.mark.parametrize(("body", "error"), [
    ("@pytest.mark.vmrace(runs=3)\ndef test_it():\n    pass", "the mark vmrace is read by vmrace_fuzz and vmrace_verify"),
    ("def test_it(vmrace_fuzz):\n    pass", "vmrace_fuzz was never called: this test has run no schedule")])
def test_a_test_that_runs_no_schedule_does_not_pass(body: str, error: str, project: pytest.Pytester) -> None:
    project.makepyfile(test_bank=f"import pytest\n\n{body}\n")
    result = run(project, "test_bank.py")
    assert result.ret != 0
    assert error in result.stderr.str() + result.stdout.str()


@pytest.mark.long
@pytest.mark.parametrize(("words", "error"), [
    (("--vmrace-runs", "many"), "--vmrace-runs: 'many' is no number"), (("--vmrace-seconds", "0"), "--vmrace-seconds: 0.0 is not a number"),
    (("--vmrace-corpus", "nowhere"), "nowhere: no such directory")])
def test_an_option_that_cannot_be_used_is_an_error_of_usage(words: tuple[str, ...], error: str, project: pytest.Pytester) -> None:
    result = run(project, *words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert error in result.stderr.str()


@pytest.mark.long
def test_settings_that_cannot_be_read_are_an_error_of_usage(project: pytest.Pytester) -> None:
    (project.path / "pyproject.toml").write_text("[tool.vmrace]\nfunction = []\n")
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "pyproject.toml: tool.vmrace: unknown key 'function'. Did you mean functions?" in result.stderr.str()


# ---- files of data ----------------------------------------------------------------------------------------------------------

RECORD = f'''format = 1
title = "{CHECK}"
functions = "FUNCTION"
args = []
schedule = [
  "cpu1 until before write balance.value in deposit",
  "cpu0 to the end",
]
'''
MARKS = "import pathlib\n\npathlib.Path('IMPORTED').touch()\n"


def record(project: pytest.Pytester, function: str = "bank:make", place: str = "races") -> pathlib.Path:
    path = project.mkdir(place) / "x.run" if not (project.path / place).exists() else project.path / place / "x.run"
    path.write_text(RECORD.replace("FUNCTION", function))
    return path


def test_collecting_a_record_imports_nothing(project: pytest.Pytester) -> None:
    record(project)
    rewrite(project, MARKS + BANK)
    result = run(project, "--collect-only", "races")
    result.stdout.fnmatch_lines(["*1 test collected*"])
    assert not (project.path / "IMPORTED").exists()


def test_a_record_of_a_function_that_the_project_does_not_allow_fails_and_imports_nothing(project: pytest.Pytester) -> None:
    record(project, "other:make")
    (project.path / "other.py").write_text(MARKS + BANK)
    result = run(project, "races")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*x.run: names other:make, and no code is run because a file names it.*pytest --vmrace-allow other:make*"])
    assert not (project.path / "IMPORTED").exists()
    run(project, "races", "--vmrace-allow", "other:make").assert_outcomes(passed=1)
    assert (project.path / "IMPORTED").exists()
    sys.modules.pop("other", None)


@pytest.mark.long
def test_a_record_from_outside_is_not_allowed_by_the_project(project: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory) -> None:
    sent = tmp_path_factory.mktemp("sent")
    path = record(project)
    (sent / "x.run").write_text(path.read_text())
    run(project, str(sent / "x.run")).assert_outcomes(failed=1)
    run(project, str(path)).assert_outcomes(passed=1)


def test_a_file_that_cannot_be_used_fails_as_a_test_and_the_others_run(project: pytest.Pytester) -> None:
    record(project)
    races = project.path / "races"
    (races / "bad.run").write_text("format = 1\n")
    (races / "no.toml").write_text("[\n")
    (races / "nothing.run").symlink_to(races / "nowhere")
    (races / "folder.toml").mkdir()
    result = run(project, "races")
    result.assert_outcomes(passed=1, failed=4)


@pytest.mark.long
def test_files_of_the_same_name_are_left_alone_where_a_project_has_no_settings(project: pytest.Pytester) -> None:
    """*.run is also the name of installers."""
    record(project, place="tools")
    (project.path / "races").mkdir()
    (project.path / "races" / "installer.run").write_bytes(b"\x7fELF")
    (project.path / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    result = run(project, "--collect-only")
    result.stdout.fnmatch_lines(["*1 test collected*"])
    (project.path / "pyproject.toml").write_text(SETTINGS.replace("races", "tools"))
    result = run(project, "--collect-only")
    result.stdout.fnmatch_lines(["*2 tests collected*"])


@pytest.mark.long
def test_a_run_of_pytest_that_passes_over_the_corpus_says_that(project: pytest.Pytester) -> None:
    record(project)
    project.mkdir("tests")
    (project.path / "tests" / "test_it.py").write_text("def test_it():\n    pass\n")
    (project.path / "pyproject.toml").write_text(SETTINGS + '[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    result = run(project)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*races has 1 kept failures, and none is collected: it is in none of testpaths"])
    (project.path / "pyproject.toml").write_text(SETTINGS + '[tool.pytest.ini_options]\ntestpaths = ["tests", "races"]\n')
    run(project).assert_outcomes(passed=2)


@pytest.mark.long
def test_importing_a_program_leaves_the_search_path_of_the_session_as_it_was(project: pytest.Pytester,
                                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])       # a command that ran in this process has added ""
    record(project)
    project.makepyfile(test_path="import sys\n\ndef test_path():\n    assert sys.path[-1] != ''\n")
    run(project, "races", "test_path.py").assert_outcomes(passed=2)


# ---- as a process -----------------------------------------------------------------------------------------------------------

def pytest_in(place: pathlib.Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words], cwd=place, capture_output=True, text=True,
                          timeout=300)


def test_the_plugin_is_cheap_where_nothing_of_vmrace_is_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_it():
            assert not [name for name in sys.modules if name.startswith("vmrace.") and name.count(".") > 1
                        and not name.startswith("vmrace.fuzz.testing")]
            assert not {"click", "hypothesis", "msgspec", "rich", "greenlet"} & set(sys.modules)
    """)
    done = pytest_in(pytester.path, "-p", "no:hypothesispytest")
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_kept_failures_run_on_several_workers_and_are_in_junitxml(project: pytest.Pytester) -> None:
    record(project)
    done = pytest_in(project.path, "-n", "2", "--junitxml", "out.xml")
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout
    cases = {case.get("name"): case for case in ElementTree.parse(project.path / "out.xml").iter("testcase")}
    properties = {name: {one.get("name"): one.get("value") for one in case.iter("property")} for name, case in cases.items()}
    assert properties["replay"]["vmrace_verdict"] == f"BUG {CHECK}"
    assert properties["test_deposits"]["vmrace_titles"] == CHECK
    failure = cases["test_deposits"].find("failure")
    assert failure is not None and "next: vmrace replay races/" in (failure.text or "")
