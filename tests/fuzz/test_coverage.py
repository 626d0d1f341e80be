# SPDX-License-Identifier: MIT
"""`vmrace coverage` sees the lines that run, asks a reason for each other line, and says so in its exit code."""

from __future__ import annotations

import pathlib
import re

import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.campaign.shard import _workers
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus.entry import find, load
from vmrace.fuzz.measure import coverage as coverage_of
from vmrace.fuzz.measure import coverage_files
from vmrace.fuzz.measure.coverage import Missing, Reached, ranges, reach, readme, reasons
from vmrace.fuzz.measure.functions_of import functions_in, own_functions
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.link.linker import files_of
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import FAMILIES, family
from vmrace.variants.program import Program, TaskProgram, parse_op

from tests.documents import document

ROOT = pathlib.Path(__file__).parents[2]
FAMILY = family("lru_free_2_4")


def vmrace(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.mark.long
def test_the_lines_that_probes_mark_are_among_those_that_coverage_sees() -> None:
    import coverage
    functions = own_functions(FAMILY, "pre_patch")
    tracer = coverage.Coverage(data_file=None, branch=True, concurrency=["greenlet"], config_file=False,
                               include=[str(path) for path in functions])
    setup = tuple(parse_op(text, "setup") for text in ("store m0.0", "fork m0 m1", "mmap_shared m0.1 f0.0"))
    tasks = tuple(TaskProgram(cpu, (parse_op(text, "task"),)) for cpu, text in enumerate(("load m0.1", "swap_out", "store m1.0")))
    tracer.start()
    executor = Executor(FAMILY, "pre_patch", probes=True)
    prepared = executor.prepare(Program(setup, tasks, 3))
    executor.run(prepared, NoPreempt())
    tracer.stop()
    seen = {(name, line) for name in tracer.get_data().measured_files() for line in tracer.get_data().lines(name) or ()}
    places = [place for place in prepared.image.places if pathlib.Path(place[0]) in functions]
    marked = {place for mark, place in zip(prepared.image.probes, prepared.image.places, strict=True) if mark} & set(places)
    assert len(marked) > 100
    assert marked <= seen
    beyond = (set(places) - marked) & seen
    assert all("BUG_ON(" in pathlib.Path(name).read_text().splitlines()[line - 1] for name, line in beyond)     # one line, two blocks


def test_a_patched_variant_is_measured_on_its_own_functions_only() -> None:
    own = own_functions(FAMILY, "daniel_lru_count")
    assert [path.name for path in own] == ["daniel_lru_count.py"]
    assert "shrink_cache" in next(iter(own.values()))
    base = own_functions(FAMILY, "pre_patch")
    assert len(base) > 10 and all(path.name != "ops.py" for path in base)
    layered = own_functions(family("invalidate_2_6"), "nick_mkwrite")
    named = [name for functions in layered.values() for name in functions]
    assert len(named) == len(set(named))            # a function that a later patch defines again counts once


def test_the_reasons_are_read_from_the_list_of_one_section() -> None:
    text = """# x

- `no`: not here

## Never reached

Words.

- `a`: one
  and more
- `b`, `c`: two
- d: no
- `c`: three

## Next

- `e`: no
"""
    assert reasons(text) == {"a": "one and more", "b": "two", "c": "two three"}


def test_every_reason_names_an_existing_function() -> None:
    for name in FAMILIES:
        made = family(name)
        modules = [module for variant in made.variants.values() for module in variant.modules]
        known = {function for path in files_of((*made.base, *modules)) for function in functions_in(path)}
        assert set(reasons(readme(made).read_text())) <= known


def test_line_numbers_are_printed_as_ranges() -> None:
    assert ranges([3, 4, 5, 9, 11, 12]) == "3-5,9,11-12"


@pytest.mark.long
def test_unreached_lines_are_listed_with_their_reason_if_they_have_one() -> None:
    _workers.clear()
    reached = reach(FAMILY, "daniel_lru_count", [], 1e9, 60, 1)
    assert (reached.entries, reached.runs) == (0, 60)
    part, = reached.parts
    assert 0 < part.lines_reached < part.lines and 0 < part.branches_reached < part.branches
    source = next(iter(own_functions(FAMILY, "daniel_lru_count"))).read_text().splitlines()
    assert all("BUG(" not in source[line - 1][:12].strip() for one in reached.missing for line in one.lines)
    explained = reasons(readme(FAMILY).read_text())
    assert all(one.reason == explained.get(one.function, "") for one in reached.missing)
    assert "__free_pages_ok" in {one.function for one in reached.missing if one.reason}


@pytest.mark.long
def test_the_same_number_of_runs_with_one_seed_reaches_the_same_lines() -> None:
    one, again = [], []
    for out in (one, again):
        _workers.clear()
        out.append(reach(FAMILY, "daniel_lru_count", [], 1e9, 40, 7))
    assert one == again


def test_a_range_of_unreached_lines_ends_where_a_line_was_reached() -> None:
    assert ranges([3, 5, 9, 11], [4, 10]) == "3,5-9,11"
    assert ranges([3, 5, 9, 11], []) == "3-11"


def test_a_long_list_of_unreached_lines_takes_at_most_100_columns() -> None:
    missing = [Missing("f", "a.c.py", list(range(1, 400, 2)), "", list(range(2, 400, 2)))]
    told = list(coverage_of.lines(Reached("lru_free_2_4/pre_patch", 1, 1, [], missing), 5))
    assert max(map(len, told)) <= 100
    assert "".join(told[4:]).replace(" ", "") == f"fa.c.py:{','.join(map(str, range(1, 400, 2)))}"


def test_a_reason_is_printed_once_with_its_file() -> None:
    """The text says that a count of runs in a reason is from the time of writing."""
    rare = "rare (reached in 71,573 runs, not in 19,770)"
    missing = [Missing("f", "a.c.py", [7], rare, [6]), Missing("h", "a.c.py", [9], ""), Missing("g", "b.py", [1, 2], rare)]
    told = list(coverage_of.lines(Reached("lru_free_2_4/pre_patch", 1, 1, [], missing), 5))
    assert told[0] == "lru_free_2_4/pre_patch: 1 entry replayed and a campaign with seed 5, 1 run in all; by coverage.py"
    assert told[2:] == [
        "  not reached in these runs: 4 lines in 3 functions; BUG()s are not counted",
        "  no reason on file:", "    h  a.c.py:9  (never entered)",
        "  with a reason in variants/lru_free_2_4/README.md; its counts of runs are from the time of writing:",
        "    f  a.c.py:7", "    g  b.py:1-2  (never entered)", f"        {rare}"]


@pytest.mark.parametrize("reason", ["", "nobody calls it"])
def test_the_exit_code_says_whether_a_reason_is_missing(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Reached("lru_free_2_4/pre_patch", 2, 10, [coverage_of.Part("swap.py", 4, 3, 2, 1)], [Missing("f", "swap.py", [7], reason)])
    monkeypatch.setattr(coverage_of, "reach", lambda *_: told)
    result = vmrace("coverage", "lru_free_2_4/pre_patch", "--runs-each", 10)
    assert result.exit_code == (0 if reason else 1)
    lines = result.stdout.splitlines()
    assert "    f  swap.py:7  (never entered)" in lines
    assert not reason or f"        {reason}" in lines
    told, = document(vmrace("coverage", "lru_free_2_4/pre_patch", "--json").stdout, "coverage")["variants"]
    assert told["missing"] == [{"function": "f", "file": "swap.py", "lines": [7], "ranges": "7", "entered": False, "reason": reason}]
    assert told["unexplained"] == ([] if reason else ["f"])


@pytest.mark.parametrize(("args", "words"), [
    (["lru_free_2_4/pre_pach"], "no variant 'lru_free_2_4/pre_pach'. Did you mean lru_free_2_4/pre_patch?"),
    (["nothing"], "no variant 'nothing'. See: vmrace variants"),
])
def test_bad_input_to_coverage_gives_one_line(args: list[str], words: str) -> None:
    result = vmrace("coverage", *args)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"vmrace: {words}\n")


# ---- files for browsers, editors and CI services --------------------------------------------------------------------------------

@pytest.mark.long
def test_the_reports_have_the_lines_that_the_replay_and_the_campaign_reach(tmp_path: pathlib.Path) -> None:
    _workers.clear()
    entry = load(next(path for path in find(ROOT / "corpus") if "f1738244" in path.name))
    said: list[str] = []
    reached = reach(FAMILY, "daniel_lru_count", [entry], 1e9, 60, 1, said.append, tmp_path)
    place = tmp_path / "lru_free_2_4" / "daniel_lru_count"
    assert reached.wrote == [str(place / name) for name in ("html/index.html", "coverage.lcov", "coverage.xml")]
    lcov = (place / "coverage.lcov").read_text()
    hits = dict(re.findall(r"^DA:(\d+),(\d+)", lcov, re.MULTILINE))
    assert sum(int(hit) > 0 for hit in hits.values()) > 50 and "BRDA:" in lcov
    missing = {line for one in reached.missing for line in one.lines}
    assert missing and all(hits[str(line)] == "0" for line in missing)
    name = next(iter(own_functions(FAMILY, "daniel_lru_count")))
    page = next(path for path in (place / "html").glob("*.html") if name.stem in path.name).read_text()
    assert "replay of the corpus" in page and "campaign" in page
    assert '<class name="daniel_lru_count.py"' in (place / "coverage.xml").read_text()
    assert any("replay: " in line for line in said) and "campaign: 60 of 60 runs" in said[-1]


def test_a_function_that_a_later_module_defines_again_is_left_out_of_the_reports(tmp_path: pathlib.Path) -> None:
    for name, text in (("a", "def f():\n    pass\n\n\ndef g():\n    pass\n"), ("b", "def g():\n    pass\n")):
        (tmp_path / f"{name}.py").write_text(text)
    a, b = tmp_path / "a.py", tmp_path / "b.py"
    assert coverage_files._excluded({a: {"f": range(2)}}) == [coverage_files.BUGS, r"^def (g)\("]
    assert coverage_files._excluded({a: {"f": range(2)}, b: {"g": range(2)}}) == [coverage_files.BUGS]      # a pattern has no file


def test_a_directory_that_cannot_be_written_is_refused_before_any_run(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    result = vmrace("coverage", "lru_free_2_4/pre_patch", "--into", tmp_path / "file")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1)
    assert "cannot be written" in result.stderr
