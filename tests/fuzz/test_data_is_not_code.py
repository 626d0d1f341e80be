# SPDX-License-Identifier: MIT
"""A record, a certificate or a ledger runs no code that the user has not named; the current folder hides no module of others."""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import find
from vmrace.fuzz.functions import allowed
from vmrace.fuzz.run import project as projects
from vmrace.fuzz.run import search_path, target
from vmrace.fuzz.run.target import NoSuch, TargetError, function_named, is_module, literal, runner_of
from vmrace.fuzz.verify import certificate as certificates
from vmrace.fuzz.verify import subject

ROOT = pathlib.Path(__file__).parents[2]
CHECK = "CHECK: the program's own check fails"

PROGRAM = '''
import pathlib
from vmrace.harness.kernel.cell import cell
from vmrace.harness.functions.program import Program

(pathlib.Path(__file__).parent / "IMPORTED").touch()


def make(n=2):
    x = cell("x", value=0)

    def add():
        x.value += 1

    return Program([add] * n, check=lambda: x.value == n)
'''
RECORD = '''format = 1
title = "CHECK: the program's own check fails"
functions = "{functions}"
args = {args}
schedule = [
  "cpu1 until before write x.value in add",
  "cpu0 to the end",
]
'''


def command(*args: str) -> Any:
    return CliRunner().invoke(main, list(args))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """Change into an empty folder; modules imported from there are forgotten afterwards."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield place
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    importlib.invalidate_caches()


def program(place: pathlib.Path, name: str = "mine") -> pathlib.Path:
    """Write a program of a user and a record of it beside; return the path of the record."""
    place.mkdir(exist_ok=True, parents=True)
    (place / f"{name}.py").write_text(PROGRAM)
    return record(place, f"{name}:make", ["2"])


def record(place: pathlib.Path, functions: str, args: list[str]) -> pathlib.Path:
    path = place / "x.run"
    path.write_text(RECORD.format(functions=functions, args=json.dumps(args)))
    return path


def imported(place: pathlib.Path) -> bool:
    return (place / "IMPORTED").exists()


def certificate(path: pathlib.Path) -> pathlib.Path:
    """Write a certificate of the user's program, as its author's exploration would, without importing the program here."""
    made = subject.of_functions("tests.programs.lost_update:make", ("2",))
    said = certificates.certificate(made, made.explore()) | {"functions": "mine:make", "program": subject._hash(PROGRAM)}
    path.write_text(json.dumps(said))
    return path


# ---- a function that the user has not named is not imported -------------------------------------------------------------------

@pytest.mark.parametrize("name", ["replay", "show"])
def test_a_record_alone_imports_nothing_and_the_printed_command_runs_it(name: str, elsewhere: pathlib.Path) -> None:
    path = program(elsewhere)
    result = command(name, "x.run")
    assert (result.exit_code, result.stdout, imported(elsewhere)) == (2, "", False)
    line, = result.stderr.splitlines()
    told = line.rpartition(": ")[2]
    assert told == f"vmrace {name} x.run mine:make"
    named = command(*shlex.split(told)[1:])
    assert (named.exit_code, imported(elsewhere)) == (0, True), named.output
    assert CHECK in named.stdout
    assert path.exists()


def test_a_certificate_alone_imports_nothing_and_the_printed_command_checks_it(elsewhere: pathlib.Path) -> None:
    program(elsewhere)
    certificate(elsewhere / "a b.json")
    result = command("verify", "--check", "a b.json")
    assert (result.exit_code, result.stdout, imported(elsewhere)) == (2, "", False)
    line, = result.stderr.splitlines()
    told = line.rpartition(": ")[2]
    assert told == "vmrace verify mine:make --check 'a b.json'"
    named = command(*shlex.split(told)[1:])
    assert (named.exit_code, imported(elsewhere)) == (0, True), named.output
    assert named.stdout.startswith("a b.json: holds: BUG CHECK")


@pytest.mark.parametrize("arguments", [
    ("shrink", "x.run"), ("shrink", "./x.run"), ("verify", "x.run"), ("fuzz", "x.run"), ("fuzz", "mine"), ("verify", "mine.nosuch"),
    ("verify", "mine.py"), ("replay", "."), ("corpus", "--corpus", "."), ("diff", "lru_free_2_4/pre_patch", "lru_free_2_4/pre_patch",
     "--entry", "x.run"), ("corpus", "accept", "x.run"), ("claims", "--corpus", "."), ("replay", "x.run", "--accept")])
def test_no_other_command_imports_the_function_that_a_record_names(arguments: tuple[str, ...], elsewhere: pathlib.Path) -> None:
    program(elsewhere)
    (elsewhere / "claims.toml").write_text(LEDGER.replace("COMMAND", "vmrace verify mine:make"))
    result = command(*arguments)
    assert result.exit_code in (1, 2, 3, 4)
    assert not imported(elsewhere), result.output


def test_naming_another_function_than_the_file_does_is_refused(elsewhere: pathlib.Path) -> None:
    program(elsewhere)
    program(elsewhere, "yours")
    for arguments in (("replay", "x.run", "mine:make"), ("show", "x.run", "yours:other")):
        result = command(*arguments)
        assert (result.exit_code, imported(elsewhere)) == (2, False)
        assert result.stderr == f"vmrace: x.run: is of yours:make, not of {arguments[2]}\n"


def test_naming_a_function_for_an_entry_is_refused(elsewhere: pathlib.Path) -> None:
    entry = str(next(path for path in find(ROOT / "corpus") if "f1738244" in path.name))
    for name in ("replay", "show"):
        result = command(name, entry, "mine:make")
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "for a file in .run" in result.stderr


def test_the_next_line_of_a_campaign_can_be_run_as_printed(elsewhere: pathlib.Path) -> None:
    program(elsewhere)
    for place in (".vmrace", "a place"):
        result = command("fuzz", "mine:make", "--seed", "1", "--corpus", place)
        told = next(line for line in result.stdout.splitlines() if line.startswith("next: ")).removeprefix("next: ")
        assert told.endswith(".run mine:make" if place == ".vmrace" else ".run' mine:make")
        assert command(*shlex.split(told)[1:]).exit_code == 0


def test_check_in_python_runs_the_function_that_its_caller_names(elsewhere: pathlib.Path) -> None:
    program(elsewhere)
    path = certificate(elsewhere / "c.json")
    with pytest.raises(allowed.NotAllowed):
        certificates.check(path)
    assert not imported(elsewhere)
    assert not certificates.check(path, "mine:make").wrong


# ---- the project ------------------------------------------------------------------------------------------------------------

def project(place: pathlib.Path, patterns: str) -> pathlib.Path:
    place.mkdir(exist_ok=True, parents=True)
    (place / "pyproject.toml").write_text(f"[tool.vmrace]\nfunctions = {patterns}\n")
    return place


@pytest.mark.parametrize("patterns", ['["mine"]', '["other", "m*"]', '["mine:make"]', '["mine:*"]'])
def test_a_function_that_the_project_allows_need_not_be_named(patterns: str, elsewhere: pathlib.Path) -> None:
    path = program(project(elsewhere, patterns))
    result = command("replay", str(path))
    assert result.exit_code == 0, result.output
    assert command("show", "x.run").exit_code == 0
    found = command("fuzz", "mine:make", "--seed", "1")
    told = next(line for line in found.stdout.splitlines() if line.startswith("next: ")).removeprefix("next: ")
    assert told.endswith(".run")
    assert command(*shlex.split(told)[1:]).exit_code == 0


@pytest.mark.parametrize("patterns", ["[]", '["min"]', '["mine.*"]', '["mine:other"]', '["yours", "make"]'])
def test_a_pattern_that_does_not_match_allows_nothing(patterns: str, elsewhere: pathlib.Path) -> None:
    program(project(elsewhere, patterns))
    assert command("replay", "x.run").exit_code == 2
    assert not imported(elsewhere)


def test_a_command_in_a_subfolder_of_the_project_uses_its_patterns(elsewhere: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(elsewhere, '["mine"]')
    program(elsewhere / "below")
    monkeypatch.chdir(elsewhere / "below")
    assert command("replay", "x.run").exit_code == 0


def test_a_record_from_outside_is_not_allowed_by_the_project_it_is_replayed_in(elsewhere: pathlib.Path, tmp_path: pathlib.Path) -> None:
    program(project(elsewhere, '["mine"]'))
    sent = tmp_path / "sent"
    sent.mkdir()
    record(sent, "mine:make", ["2"])
    (elsewhere / "link.run").symlink_to(sent / "x.run")
    record(project(elsewhere / "unpacked", '["mine"]'), "mine:make", ["2"])     # with a pyproject.toml of its own that allows it
    for name in (str(sent / "x.run"), "link.run", "unpacked/x.run"):
        result = command("replay", name)
        assert (result.exit_code, imported(elsewhere)) == (2, False), name


def test_a_project_allows_nothing_for_a_command_started_outside_of_it(elsewhere: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = program(project(tmp_path / "sent", '["*"]'))
    assert command("replay", str(path)).exit_code == 2
    assert not imported(tmp_path / "sent")


@pytest.mark.parametrize(("text", "error"), [
    ("[tool.vmrace]\nfunctions = 'mine'", "tool.vmrace.functions: Expected `array`, got `str`"),
    ("[tool]\nvmrace = 3", "tool.vmrace: must be a table"), ("[tool.vmrace]\nfunctions = [1]", "Expected `str`, got `int`"),
    ("[tool.vmrace]\nfunction = []", "tool.vmrace: unknown key 'function'. Did you mean functions?"),
    ("[tool.vmrace]\nruns = 0", "tool.vmrace.runs: 0 is not a number from 1 to 1e+09, without a fraction"),
    ("[tool.vmrace", "not TOML"), ("x = " + "[" * 100_000, "nested too deeply")])
def test_an_unreadable_pyproject_allows_nothing_and_is_named(text: str, error: str, elsewhere: pathlib.Path) -> None:
    """No command goes on without settings that its user has made, also if the function is named."""
    program(elsewhere)
    (elsewhere / "pyproject.toml").write_text(text)
    for arguments in (("replay", "x.run"), ("replay", "x.run", "mine:make"), ("fuzz", "mine:make", "--seed", "1"), ("show", "x.run")):
        result = command(*arguments)
        assert (result.exit_code, result.stderr.count("\n"), imported(elsewhere)) == (3, 1, False), arguments
        assert f"{elsewhere / 'pyproject.toml'}: " in result.stderr and error in result.stderr


def test_this_project_allows_its_own_programs() -> None:
    assert projects.settings_in(ROOT / "pyproject.toml").functions == ["tests.programs.*"]


# ---- functions that may be named ---------------------------------------------------------------------------------------------

TARGETS = '''
import functools, os, pathlib
from os import system, removedirs
from vmrace.fuzz.text.wording import count
from vmrace.harness.functions.program import Program
from mine import make as taken


class Thing:
    def __call__(self): pathlib.Path("CALLED").touch()
    @staticmethod
    def method(): pathlib.Path("CALLED").touch()


thing = Thing()
part = functools.partial(Thing.method)
number = 3


def __getattr__(name):
    pathlib.Path("CALLED").touch()
    return Thing.method
'''


@pytest.mark.parametrize("name", ["os:system", "os:removedirs", "shutil:rmtree", "subprocess:getoutput", "builtins:exec", "posix:system",
                                  "os.path:join", "this:make", "antigravity:make"])
@pytest.mark.parametrize("words", [("verify",), ("fuzz",)])
def test_a_function_of_python_itself_is_refused(name: str, words: tuple[str, ...], elsewhere: pathlib.Path) -> None:
    before = set(sys.modules)
    result = command(*words, name, "--arg", "touch CALLED")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert f"{name}: {name.partition(':')[0].partition('.')[0]} is of Python's own library" in result.stderr
    assert not (elsewhere / "CALLED").exists()
    assert {"this", "antigravity"}.isdisjoint(set(sys.modules) - before)


@pytest.mark.parametrize("arguments", [(), ("os:system",)])
@pytest.mark.parametrize("name", ["replay", "show"])
def test_a_record_of_a_shell_command_is_refused_in_one_line(name: str, arguments: tuple[str, ...], elsewhere: pathlib.Path) -> None:
    record(project(elsewhere, '["*"]'), "os:system", ["touch CALLED"])
    result = command(name, "x.run", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1)
    assert "x.run: functions: os:system: os is of Python's own library" in result.stderr
    assert not (elsewhere / "CALLED").exists()


@pytest.mark.parametrize(("name", "why"), [
    ("system", "that is builtin_function_or_method"), ("removedirs", "imported from os"), ("Thing", "that is type"),
    ("thing", "that is Thing"), ("part", "that is partial"), ("number", "that is int"), ("count", "imported from vmrace.fuzz.text.wording"),
    ("taken", "imported from mine"), ("Program", "that is type"), ("nosuch", "no function 'nosuch'"), ("os", "that is module")])
def test_a_function_that_its_module_does_not_define_is_refused(name: str, why: str, elsewhere: pathlib.Path) -> None:
    program(elsewhere)
    (elsewhere / "targets.py").write_text(TARGETS)
    for words in (("verify", f"targets:{name}"), ("fuzz", f"targets:{name}"), ("replay", "x.run", f"targets:{name}")):
        record(elsewhere, f"targets:{name}", ["touch CALLED"])
        result = command(*words)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert why in result.stderr
    assert not (elsewhere / "CALLED").exists()


@pytest.mark.parametrize("name", ["targets:Thing.method", "targets:thing.__call__", "a/b:make", ":make", "targets:a b",
                                  "..targets:make", "targets:", "targets:make\n", "targets:make()", "targets:é-"])
def test_a_text_that_is_not_module_and_function_is_refused(name: str, elsewhere: pathlib.Path) -> None:
    (elsewhere / "targets.py").write_text("")
    with pytest.raises(NoSuch):
        function_named(name)


def test_the_error_for_a_file_named_like_a_module_of_python_says_to_rename_it(elsewhere: pathlib.Path) -> None:
    (elsewhere / "queue.py").write_text(PROGRAM)
    result = command("verify", "queue:make")
    assert result.exit_code == 2 and not imported(elsewhere)
    assert "; queue.py here has the same name and is never found: rename it\n" in result.stderr


@pytest.mark.parametrize(("text", "value"), [
    ("3", 3), ("(1, 'a')", (1, "a")), ("{'a': [1]}", {"a": [1]}), ("loop", "loop"), ("__import__('os')", "__import__('os')"),
    ("[x for x in 'a']", "[x for x in 'a']"), ("9" * 5000, "9" * 5000), ("[" * 100_000, "[" * 100_000), ("a\0b", "a\0b"), ("", ""),
    ("{[]: 1}", "{[]: 1}")])
def test_an_argument_is_a_literal_or_else_plain_text(text: str, value: Any) -> None:
    assert literal(text) == value


def test_a_target_without_a_function_means_its_function_make(elsewhere: pathlib.Path) -> None:
    program(elsewhere)
    assert target.split("mine:") == ("mine", "make")
    assert runner_of("mine:", ("3",)).name == "mine:make"
    assert command("replay", "x.run", "mine:").exit_code == 0
    with pytest.raises(TargetError, match="TypeError"):
        runner_of("mine:make", ("1", "2"))


def test_looking_for_a_module_imports_nothing(elsewhere: pathlib.Path) -> None:
    package = elsewhere / "package"
    (package / "inner").mkdir(parents=True)
    for place in (package, package / "inner"):
        (place / "__init__.py").write_text("raise SystemExit('imported')")
        (place / "module.py").write_text("raise SystemExit('imported')")
    assert [is_module(name) for name in ("package", "package.module", "package.inner", "package.inner.module")] == [True] * 4
    assert not any(map(is_module, ("package.nosuch", "nosuch", "package.module.x", "package.", ".package", "", "a-b", "13024daf")))
    assert "package" not in sys.modules


# ---- the ledger --------------------------------------------------------------------------------------------------------------

LEDGER = '''format = 1

[[claim]]
id = "one"
who = "A"
when = "1 Jan 2000"
where = "seed 000"
says = "It is so."
tests = [
  { command = "COMMAND", expect = "exit 0" },
]
verdict = "holds"
why = "It was run."
'''


@pytest.mark.parametrize(("text", "why"), [
    ("vmrace verify mine:make", "'mine:make' may name code to be run"), ("vmrace replay x.run", "'x.run' may name code"),
    ("vmrace fuzz mine:make", "not one of corpus, cost"), ("vmrace fuzz lru_free_2_4/pre_patch", "not one of corpus, cost"),
    ("vmrace claims", "not one of"), ("vmrace", "not one of"), ("vmrace --version", "not one of"), ("rm -r", "not a vmrace command"),
    (" ", "empty"), ("vmrace 'x", "No closing quotation"), ("vmrace corpus accept x", "accept writes files"),
    ("vmrace replay --accept", "--accept writes files"), ("vmrace diff a b --into=there", "--into=there writes files"),
    ("vmrace verify a/b --size 2 --into README.md", "--size writes files"), ("vmrace verify x --certify", "--certify writes files")])
def test_a_ledger_command_that_writes_or_may_run_code_is_refused(text: str, why: str, elsewhere: pathlib.Path) -> None:
    program(elsewhere)
    (elsewhere / "claims.toml").write_text(LEDGER.replace("COMMAND", text))
    result = command("claims", "--corpus", ".")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1)
    assert result.stderr.startswith("vmrace: claims.toml: claim one: tests[0]: command: ") and why in result.stderr
    assert not imported(elsewhere)


# ---- the current folder comes last ---------------------------------------------------------------------------------------------

SHADOWS = ("random", "telnetlib", "tomllib", "pickle", "difflib", "importlib", "click", "msgspec", "pebble", "greenlet", "rich",
           "hypothesis")
USES = '''
import click, random, sys
from vmrace.harness.kernel.cell import cell
from vmrace.harness.functions.program import Program


def make():
    x = cell("x", value=0)

    def write():
        x.value = random.Random(1).randint(1, 1) and click.Choice is not None

    assert sys.path[0] not in ("", ".") and sys.path[-1] == ""
    return Program([write, write])
'''


@pytest.mark.parametrize("way", [["-m", "vmrace"], ["-c", "from vmrace.fuzz.cli.main import main; main()"], []])
def test_no_file_of_the_current_folder_hides_a_module_of_others(way: list[str], elsewhere: pathlib.Path) -> None:
    for name in SHADOWS:
        (elsewhere / f"{name}.py").write_text(f"raise SystemExit('the local {name} is imported')")
    (elsewhere / "mine.py").write_text(USES)
    start = [sys.executable, *way] if way else [str(pathlib.Path(sys.executable).with_name("vmrace"))]
    if way[:1] == ["-c"]:           # Python itself has the folder first until main() runs: a module hidden by then is out of our reach
        for name in SHADOWS:
            if name != "telnetlib":
                (elsewhere / f"{name}.py").unlink()
    ran = subprocess.run([*start, "verify", "mine:make"], capture_output=True, text=True, cwd=elsewhere,
                         env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"})
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert ran.stdout.startswith("proved: ")


def test_the_current_folder_is_moved_to_the_end_of_sys_path(elsewhere: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", str(elsewhere), "/nosuch", "/usr", "."])
    for _ in range(2):
        search_path.current_folder_last()
        assert sys.path == ["/nosuch", "/usr", ""]
