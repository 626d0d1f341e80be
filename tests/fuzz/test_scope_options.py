# SPDX-License-Identifier: MIT
"""vmrace verify --ops checks its options, resumes after a kill, and puts its table into a document."""

from __future__ import annotations

import functools
import json
import pathlib
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import OPERAND_KINDS, Scope
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.verify import scope_document
from vmrace.fuzz.verify.scope_report import Table
from vmrace.fuzz.verify.scope_result import Result
from vmrace.harness.incomplete import Incomplete, Reason
from vmrace.variants.family import FAMILIES, family

from tests.documents import document

ROOT = pathlib.Path(__file__).parent.parent.parent
VARIANT = "lru_free_2_4/pre_patch"
SMALL = ("--size", "2", "--operands", "page=1,file=1,fpage=1,number=1", "--operations", "unpin,touch")


def command(*args: str) -> Any:
    return CliRunner().invoke(main, ["verify", *args])


@pytest.mark.parametrize(("args", "error"), [
    ((VARIANT, "--size", "2", "--operands", "pages=1"), "--operands: no kind 'pages'. Did you mean page?"),
    ((VARIANT, "--size", "2", "--operands", "page"), "--operands: 'page' is not like page=1"),
    ((VARIANT, "--size", "2", "--operands", "page=0"), "--operands: 'page=0' is not like page=1"),
    ((VARIANT, "--size", "2", "--operands", "file=1, page=99"), "--operands: page=99: the most is page=3"),
    ((VARIANT, "--size", "2", "--operations", "tuoch"), "no operation 'tuoch'. Did you mean touch?"),
    ((VARIANT, "--size", "2", "--certify"), "--certify is for one program, and not for --size"),
    ((VARIANT, "--size", "2", "--arg", "1"), "--arg is for MODULE:FUNCTION"),
    (("f1738244", "--operations", "touch"), "--operations is for --size"),
    (("f1738244", "--arg", "1"), "--arg is for MODULE:FUNCTION"),
    (("tests.programs.readers:make", "--variant", "pre_patch"), "--variant is for an entry"),
    (("tests.programs.readers:make", "--state", "x"), "--state is for --size"),
    ((VARIANT, "--size", "2", "--into", "nosuch.md"), "nosuch.md: cannot be read: No such file or directory"),
    (("lru_free_2_4/prepatch", "--size", "2"), "Did you mean lru_free_2_4/pre_patch?"),
])
def test_bad_options_of_verify_ops_give_one_line(args: tuple[str, ...], error: str) -> None:
    result = command(*args)
    assert result.exit_code == 2
    assert error in result.stderr and result.stderr.count("\n") == 1
    assert not result.stdout


@pytest.mark.parametrize("text", ["soon", "-1", "0"])
@pytest.mark.parametrize("option", ["--for-each", "--for"])
def test_times_are_given_as_in_other_commands(option: str, text: str) -> None:
    result = command("tests.programs.readers:make", option, text)
    assert result.exit_code == 2
    assert "is no time (60s, 10m, 1h)" in result.stderr
    assert command("tests.programs.readers:make", option, "1m").exit_code == 0


def test_the_option_for_limits_the_time_of_a_single_program() -> None:
    result = command("tests.programs.lastzero:make", "--arg", "12", "--for", "0.2s")
    assert result.exit_code == 3
    assert result.output.startswith("inconclusive: 0.")


@pytest.mark.long
def test_operands_narrow_the_scope(tmp_path: pathlib.Path) -> None:
    result = command(VARIANT, *SMALL, "--state", str(tmp_path / "state"))
    assert "1 page of each address space; 1 file; 1 page of each file; 1 as the largest number" in result.output
    assert result.exit_code == 0, result.output


@pytest.mark.long
def test_a_killed_proof_resumes_with_the_same_command(tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state"
    arguments = [sys.executable, "-m", "vmrace", "verify", VARIANT, *SMALL[:-1], "exit,touch,unpin,reclaim", "--state", str(state)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not state.exists() or state.read_text().count("\n") < 3):
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "interrupted; the same command continues" in output
    before = len(state.read_text().splitlines()) - 1
    again = CliRunner().invoke(main, ["verify", *arguments[4:], "--for", "0.5s"])
    assert f"{before} done before" in again.output
    assert json.loads(state.read_text().splitlines()[1])["verdict"] == "proved"


def table(results: dict[int, Result], count: int = 9) -> Table:
    return Table(VARIANT, Scope(2, 2, 0, ("touch", "unpin"), {"page": 1}), [((), ())] * count, 99, results)


def test_inconclusive_programs_are_listed_with_their_reasons() -> None:
    results = {number: Result(number, f"program {number}", Word.INCONCLUSIVE, why=Incomplete(Reason.SECONDS, 10)) for number in range(5)}
    results[5] = Result(5, "program 5", Word.INCONCLUSIVE, why=Incomplete(Reason.DIED))
    lines = list(table(results).lines())
    at = lines.index("         5  10 s were not enough")
    assert [line.strip() for line in lines[at + 1:at + 10]] == [
        "hint: Allow more with --for-each, --for or --runs-each.", "program 0", "program 1", "program 2",
        "... and 2 more (--json has them all)",
        "1  its worker process died twice", "hint: The process was killed, or memory ran out: run the command again, perhaps with",
        "fewer --workers.", "program 5"]
    told = [one for one in table(results).events() if one["kind"] == "inconclusive"]
    assert [(one["program"], one["why"]) for one in told] == [(one.program, str(one.why)) for one in results.values()]


def test_a_result_is_a_row_of_the_table_and_replaces_the_one_before(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{scope_document.BEGIN}\n{scope_document.END}\nafter\n")
    proved = {0: Result(0, "a", Word.PROVED), 1: Result(1, "b", Word.BUG, titles=["OOPS: a|b in f"])}
    for results in ({}, proved):
        scope_document.put(path, table(results, 2))
    text = path.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    options = "--size 2 --cpus 2 --operations touch,unpin --operands page=1"
    assert scope_document.rows_of(text) == [scope_document.Row(VARIANT, options, None, 1, 1, 0, ("OOPS: a|b in f",))]
    path.write_text("no marks")
    assert scope_document.unfit(path).endswith("for a table")


SMALL_SCOPES_TEXT = (ROOT / "docs/findings/small_scopes.md").read_text(encoding="utf-8")
SMALL_SCOPES = scope_document.rows_of(SMALL_SCOPES_TEXT)


@functools.cache
def operations(name: str, variant: str) -> tuple[str, ...]:
    return Executor(family(name), variant).operations()


@functools.cache
def programs(options: str, known: tuple[str, ...]) -> int:
    """Return the number of programs of a scope. It takes seconds, and rows of several variants and bounds have the same scope."""
    return len(scope_of(options).programs(known))


def scope_of(options: str, bound: int | None = None) -> Scope:
    said = dict(re.findall(r"--(\w+) (\S+)", options))
    operands = {kind: int(number) for kind, number in (part.split("=") for part in said.get("operands", "").split(",") if part)}
    assert set(operands) <= set(OPERAND_KINDS)
    kinds = tuple(said["operations"].split(",")) if "operations" in said else ()
    return Scope(int(said["size"]), int(said["cpus"]), int(said.get("setup", 0)), kinds, operands, bound)


@pytest.mark.long
@pytest.mark.parametrize("row", SMALL_SCOPES, ids=str)
def test_the_rows_of_the_document_are_of_scopes_that_there_are(row: scope_document.Row) -> None:
    """Every program of the scope is in one of the counts, and there are as many as are listed now."""
    name, _, variant = row.variant.partition("/")
    assert name in FAMILIES and variant in family(name).variants
    assert row.options == scope_document.options(scope_of(row.options, row.bound))
    assert bool(row.titles) == bool(row.bugs)
    assert row.proved + row.bugs + row.undecided == programs(row.options, operations(name, variant))


def test_the_document_of_small_scopes_is_as_it_would_be_written() -> None:
    """The page can be read back, and no line of it is lost: what is between the marks is what its rows are written as."""
    inside = SMALL_SCOPES_TEXT.partition(scope_document.BEGIN)[2].partition(scope_document.END)[0]
    assert len(SMALL_SCOPES) >= 28
    assert f"{scope_document.BEGIN}{inside}{scope_document.END}" == scope_document.written(SMALL_SCOPES)
    assert max(map(len, inside.splitlines())) <= 100
    assert inside.count("vmrace verify ") == len({(row.variant.partition("/")[0], row.options) for row in SMALL_SCOPES})


@pytest.mark.long
def test_a_scope_with_a_bound_on_preemptions_says_so_and_has_its_own_state(tmp_path: pathlib.Path) -> None:
    """It runs fewer schedules of the same programs, names the bound in its sentence, and never resumes the state of an unbounded proof."""
    state, runs, small = tmp_path / "state", [], (*SMALL[:-1], "fork,swap_out")
    for bound in ("0", "1", None):
        args = (VARIANT, *small, *(("--preemptions", bound) if bound else ()), "--json", "--state", f"{state}{bound}")
        runs.append(document(command(*args).stdout, "verify")["scope"])
        assert runs[-1]["scope"]["preemptions"] == (None if bound is None else int(bound))
    assert [run["programs"] for run in runs] == [runs[0]["programs"]] * 3
    assert runs[0]["classes"] <= runs[1]["classes"] < runs[2]["classes"]
    told = command(VARIANT, *small, "--preemptions", "1", "--state", str(tmp_path / "s")).output
    assert "schedules of at most 1 preemption" in told.splitlines()[0]
    assert re.search("(every schedule|all others proved, for schedules) of at most 1 preemption   .exit", told.splitlines()[-1])
    other = command(VARIANT, *small, "--state", f"{state}1")
    assert other.exit_code == 2 and "is of another scope" in other.output
