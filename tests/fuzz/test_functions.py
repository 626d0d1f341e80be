# SPDX-License-Identifier: MIT
"""vmrace fuzz MODULE:FUNCTION samples schedules of plain functions; it shrinks, keeps and replays each failure."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.functions import run_file, story
from vmrace.fuzz.functions import sample as functions
from vmrace.fuzz.functions.result import Failure
from vmrace.fuzz.functions.sample import fuzz
from vmrace.harness.functions.program import Runner
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.schedulers import Walk
from vmrace.harness.schedulers.replay import Replay

from tests.documents import document
from tests.fuzz.test_interrupts import listens
from tests.programs import large, lost_update, readers, reorder, wrong

ROOT = pathlib.Path(__file__).parent.parent.parent
CHECK = "CHECK: the program's own check fails"
LOST = "tests.programs.lost_update:make"


def command(*args: str) -> Any:
    return CliRunner().invoke(main, list(args))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kept(place: pathlib.Path) -> pathlib.Path:
    path, = place.rglob("*.run")
    return path


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("make", "args"), [(lost_update.make, (2,)), (lost_update.make, (4,)), (reorder.make, ())])
def test_a_race_is_found_and_shrunk_to_the_one_preemption_that_it_needs(make: Any, args: tuple[Any, ...], seed: int) -> None:
    found = fuzz(make, *args, seed=seed, runs=2000)
    failure, = found.failures
    assert (failure.title, failure.preemptions) == (CHECK, 1)
    assert failure.least_proved
    assert str(failure.schedule[0]).count(" until before write ") == 1
    assert CHECK in found.story and "preempt" not in str(found.why)


def test_shrinking_a_failure_removes_the_preemptions_that_it_does_not_need() -> None:
    runner, walk = Runner(lost_update.make, 3), Walk(random.Random(0), 0.9)
    found = next(result for result in iter(lambda: runner.run(walk), None) if result.titles and len(result.switches) > 6)
    failure = Failure(CHECK, 1, 0.0, "walk", len(found.switches) // 2, found.switches, found.forced)
    functions.shrink_failure(runner, failure, 30.0)
    assert failure.before > 3
    assert (failure.preemptions, failure.minimal) == (1, "no schedule with 0 preemptions fails (all 6 run)")


def test_a_failure_is_shrunk_to_one_with_its_own_title() -> None:
    """Without its preemption each run of that program still fails, with another title."""
    failures = fuzz(wrong.two_mistakes, keep_going=True, runs=300, seed=1).failures
    assert {failure.title: failure.preemptions for failure in failures} == {CHECK: 0, "OOPS: ValueError in second": 1}
    for failure in failures:
        assert failure.title in Runner(wrong.two_mistakes).run(Replay(failure.switches, failure.forced)).titles


def test_a_failure_of_a_program_too_large_to_enumerate_is_shrunk_and_no_minimum_is_claimed() -> None:
    failure, = fuzz(large.make, seed=3, seconds=20.0).failures
    assert failure.before > 3
    assert failure.preemptions <= 2
    assert not failure.least_proved


def test_the_same_seed_makes_the_same_search() -> None:
    one, other = (fuzz(lost_update.make, 4, seed=7, runs=500, keep_going=True, shrink=False) for _ in range(2))
    assert (one.distinct, one.titles, one.tallies) == (other.distinct, other.titles, other.tallies)
    assert one.runs == 500


SEARCH = """
import sys
from vmrace.fuzz.functions import sample, search
from vmrace.harness.functions.program import Runner
from tests.programs import readers, sctbench
for size in range(int(sys.argv[1])):
    sample.fuzz(readers.make, 2 + size, runs=30)
made = []
run = Runner.run
Runner.run = lambda self, *args: made.append(run(self, *args)) or made[-1]
sample.fuzz(sctbench.twostage, 4, 2, runs=300, keep_going=True, shrink=False, seed=3)
print([(one.switches, one.forced) for one in made])
"""


def test_a_search_is_a_function_of_its_seed_in_every_python_process() -> None:
    """Neither the hashes of texts nor the programs that ran before in the process change it."""
    def made(hashes: str, before: int) -> str:
        return subprocess.run([sys.executable, "-c", SEARCH, str(before)], capture_output=True, text=True, check=True, timeout=300,
                              cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": hashes}).stdout
    one, other = made("1", 0), made("2", 3)
    assert one.count("(") > 300
    assert one == other


def test_a_program_without_a_race_has_no_finding() -> None:
    found = fuzz(readers.make, 3, runs=1000)
    assert (found.runs, found.titles, found.failures, found.why) == (1000, {}, [], None)
    assert sum(tally.runs for tally in found.tallies.values()) == 1000


def test_the_schedule_of_a_failure_alone_repeats_its_run() -> None:
    failure, = fuzz(reorder.make, seed=1).failures
    runner = Runner(reorder.make)
    _, digest, result = story.tell(runner, Named(failure.schedule, runner.keys()))
    assert (digest, result.title) == (failure.digest, CHECK)


def test_a_finding_is_printed_kept_shown_and_replayed(elsewhere: pathlib.Path) -> None:
    result = command("fuzz", LOST, "--arg", "2", "--seed", "1")
    assert result.exit_code == 1
    path = kept(elsewhere / ".vmrace")
    assert f"wrote {path.relative_to(elsewhere)}\nnext: vmrace replay {path.relative_to(elsewhere)} {LOST}\n" in result.output
    assert "no schedule with 0 preemptions fails (all 2 run)" in result.output
    assert "confirmed 20 of 20 replays" in result.output
    assert result.output.endswith("(exit 1)\n")
    assert all(len(line) <= 100 for line in result.output.splitlines() if not line.startswith("next: "))
    replayed = command("replay", str(path), LOST, "--times", "3")
    assert replayed.exit_code == 0 and f"BUG {CHECK}" in replayed.output
    assert command("show", str(path), LOST).output in result.output


def test_a_record_reads_back_as_it_was_written(elsewhere: pathlib.Path) -> None:
    command("fuzz", LOST, "--arg", "2", "--seed", "1", "--corpus", "here")
    path = kept(elsewhere / "here")
    loaded = run_file.load(path)
    assert (loaded.functions, loaded.args, loaded.title) == (LOST, ("2",), CHECK)
    assert run_file.emit(loaded) == path.read_text()
    assert loaded.name == path.name


def test_replay_reports_a_record_that_no_longer_fails_or_no_longer_fits(elsewhere: pathlib.Path) -> None:
    command("fuzz", LOST, "--arg", "2", "--seed", "1")
    path = kept(elsewhere)
    text = path.read_text()
    path.write_text(text.replace("until before write x.value in add", "to the end"))
    shrunk = command("shrink", str(path))
    assert shrunk.exit_code == 2 and "vmrace fuzz has shrunk it" in shrunk.stderr
    lost = command("replay", str(path), LOST)
    assert (lost.exit_code, f"LOST: expected {CHECK}, found nothing, but BUG {CHECK} by another schedule" in lost.output) == (1, True)
    assert "if you fixed the race" not in lost.output
    path.write_text(text.replace("x.value", "y.value"))
    diverged = command("replay", str(path), LOST)
    assert (diverged.exit_code, "DIVERGED step" in diverged.output) == (1, True)
    assert f"vmrace fuzz {LOST} --arg 2" in diverged.output


@pytest.mark.parametrize(("text", "error"), [
    ("format = 1", "missing required field"), ("[", "not TOML"), ('format = 9\ntitle = ""\nfunctions = ""\nschedule = []', "format: 9"),
    ('format = 1\ntitle = ""\nfunctions = "nosuch:make"\nschedule = []', "title: '' has no letter or digit"),
    ('format = 1\ntitle = "a"\nfunctions = "nosuch:make"\nschedule = ["hop"]', "no schedule line"),
    ('format = 1\ntitle = "a"\nfunctions = "tests.programs.lost_update:make"\nschedule = ["cpu7 to the end"]', "names cpu7")])
def test_a_text_that_is_no_record_gives_one_line(text: str, error: str, elsewhere: pathlib.Path) -> None:
    path = elsewhere / "x.run"
    path.write_text(text)
    for name in ("replay", "show"):
        result = command(name, str(path), LOST)
        assert result.exit_code == 3
        assert str(path) in result.stderr and error in result.stderr and result.stderr.count("\n") == 1


def test_json_has_the_finding_and_a_summary() -> None:
    result = command("fuzz", LOST, "--arg", "2", "--seed", "1", "--json")
    told = document(result.output, "fuzz")
    (finding,), summary = told["events"], told["summary"]
    assert (finding["title"], finding["preemptions"], finding["least_preemptions_proved"]) == (CHECK, 1, True)
    assert finding["schedule"] == ["cpu1 until before write x.value in add", "cpu0 to the end"]
    assert (summary["titles"], told["exit"], summary["seed"]) == ({CHECK: 1}, 1, 1)


def test_a_search_without_a_finding_says_what_that_leaves_open() -> None:
    result = command("fuzz", "tests.programs.readers:make", "--runs", "1000", "--seed", "0")
    assert result.exit_code == 0
    assert "no finding in 1,000 runs" in result.output and "fewer than 1 run in 333 fails" in result.output


def test_keep_going_reports_every_title() -> None:
    found = fuzz(wrong.two_mistakes, runs=300, keep_going=True)
    assert found.runs == 300
    assert {failure.title for failure in found.failures} == set(found.titles) == {CHECK, "OOPS: ValueError in second"}


@pytest.mark.parametrize("name", ["counts", "draws", "counts_points", "keeps_a_file"])
def test_a_program_whose_runs_differ_by_the_same_schedule_is_reported(name: str) -> None:
    result = command("fuzz", f"tests.programs.wrong:{name}", "--runs", "200")
    assert result.exit_code == 3
    assert "FINDING" not in result.output
    assert "vmrace: the program is not a function of its schedule: " in result.output


@pytest.mark.parametrize(("args", "code", "error"), [
    (("nosuch:make",), 2, "no module 'nosuch'"), (("tests.programs.lost_update:nosuch",), 2, "no function 'nosuch'"),
    (("tests.programs.wrong:raises",), 3, "ZeroDivisionError"),
    (("lru_free_2_4/pre_patch", "--arg", "2"), 2, "--arg is for MODULE:FUNCTION"),
    ((LOST, "--workers", "2"), 2, "--workers is for a VARIANT")])
def test_bad_input_to_fuzz_gives_one_line(args: tuple[str, ...], code: int, error: str) -> None:
    result = command("fuzz", *args)
    assert result.exit_code == code
    assert error in result.stderr and result.stderr.count("\n") == 1


def test_a_loop_without_a_point_is_ended_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmrace.harness.functions.watchdog.SECONDS", 0.2)
    result = command("fuzz", "tests.programs.wrong:loops")
    assert result.exit_code == 3
    assert "vmrace: no point is reached for 0.2 s in task" in result.stderr


@pytest.mark.parametrize("command", ["fuzz", "verify"])
def test_ctrl_c_ends_a_search_of_functions(command: str, elsewhere: pathlib.Path) -> None:
    arguments = [sys.executable, "-m", "vmrace", command, "tests.programs.lastzero:make", "--arg", "14"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as process:
        assert listens(process)
        time.sleep(1)                       # it is at work
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 130, output
    assert "interrupted" in output and "Traceback" not in output


@pytest.mark.parametrize(("name", "why"), [
    ("plain_count", "its tasks share plain data: count, a list that task closes over: changed by task on cpu"),
    ("list_in_a_cell", "its tasks share plain data: what x.value holds, a list, is changed by lambda on cpu"),
    ("no_points", "nothing was explored: no task reaches a point")])
def test_a_search_of_a_program_with_unseen_sharing_or_no_points_claims_nothing(name: str, why: str) -> None:
    make = getattr(wrong, name)
    found = fuzz(make, runs=3)
    assert why in str(found.unseen) and why in found.story and not found.ok
    result = command("fuzz", f"tests.programs.wrong:{name}", "--runs", "3")
    assert result.exit_code == (1 if found.titles else 3)
    assert why in result.output and "fewer than 1 run in" not in result.output


def test_a_finding_is_reported_even_if_tasks_share_plain_data() -> None:
    result = command("fuzz", "tests.programs.wrong:plain_list", "--seed", "1")
    assert result.exit_code == 1
    assert f"FINDING   {CHECK}" in result.output and "1 title in " in result.output
    assert "; its tasks share plain data: out, a list that lambda closes over: " in result.output


def test_data_that_cannot_be_restored_is_refused() -> None:
    result = command("fuzz", "tests.programs.wrong:an_array", "--runs", "100")
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)
    assert "line, an array that task closes over: it has changed, and cannot be put back" in result.stderr


@pytest.mark.long
def test_fuzz_and_verify_can_be_called_in_a_test(elsewhere: pathlib.Path) -> None:
    (elsewhere / "test_mine.py").write_text(MINE)
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"], capture_output=True, text=True,
                         cwd=elsewhere, timeout=120)
    assert ran.returncode == 1
    assert "2 failed, 2 passed" in ran.stdout
    assert "cpu1 until before write x.value in add" not in ran.stderr
    assert "E       AssertionError: CHECK: the program's own check fails" in ran.stdout
    assert "write x.value" in ran.stdout


MINE = '''
from vmrace.fuzz.functions.sample import fuzz
from vmrace.fuzz.functions.result import Failure
from vmrace.harness.functions.verify import verify
from vmrace.harness.kernel import atomic_inc, atomic_read, atomic_t
from vmrace.harness.kernel.cell import cell
from vmrace.harness.functions.program import Program


def plain(n):
    x = cell("x", value=0)

    def add():
        x.value += 1

    return Program([add] * n, check=lambda: x.value == n)


def atomic(n):
    x = atomic_t("x")
    return Program([lambda: atomic_inc(x)] * n, check=lambda: atomic_read(x) == n)


def test_plain_is_proved():
    assert verify(plain, 2).proved


def test_plain_is_sampled():
    found = fuzz(plain, 2, runs=1000)
    assert found.ok, found.story


def test_atomic_is_proved():
    assert verify(atomic, 3).proved


def test_atomic_is_sampled():
    assert fuzz(atomic, 3, runs=1000).ok
'''
