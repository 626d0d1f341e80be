# SPDX-License-Identifier: MIT
"""vmrace diff compares sets of outcomes, claims only a difference that was seen, and reads as kept."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.compare.outcomes import (
    DIFFERENT,
    INCONCLUSIVE,
    NOT_COMPARED,
    SAME,
    Budget,
    Comparison,
    Reach,
    Side,
    compare,
    contenders,
    look,
    relation,
)
from vmrace.fuzz.compare.reached_text import text_of
from vmrace.fuzz.compare.report import Labels, as_json, conclusion, exit_code, inclusions, legend, one_program, sentence
from vmrace.fuzz.compare.witness import witness
from vmrace.fuzz.corpus.entry import load
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.variants.family import Family, Variant, family
from vmrace.variants.program import Op, Program, TaskProgram

from tests.documents import document
from tests.golden.test_golden import golden, normal

ROOT = pathlib.Path(__file__).parents[2]
LAST = ROOT / "corpus" / "lru_free_2_4" / "bug-at-mm-page_alloc-c-95-in-__free_pages_ok-f1738244.toml"
DOUBLE = ROOT / "corpus" / "lru_free_2_4" / "double-free-in-__free_pages_ok-13024daf.toml"
BUG = Reached(("BUG at mm/page_alloc.c:95 in __free_pages_ok",))
PRE, DANIEL = "lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count"
OLD = "invalidate_2_6/pre_2_6_15"


def diff(*args: object) -> Result:
    return CliRunner().invoke(main, ["diff", *map(str, args)])


def made(*names: str, counts: bool = False) -> list[Any]:
    return contenders([(family(name.partition("/")[0]), name.partition("/")[2]) for name in names], counts)


def program(*lines: str, setup: tuple[str, ...] = ()) -> Program:
    def op(text: str) -> Op:
        name, *operands = text.split()
        return Op(name, tuple(operands))
    tasks = tuple(TaskProgram(cpu, (op(line),)) for cpu, line in enumerate(lines))
    return Program(tuple(op(line) for line in setup), tasks, len(lines))


def objects(result: Result) -> list[dict[str, Any]]:
    """The programs, and then the summary, with the exit code."""
    told = document(result.stdout, "diff")
    return [*told["programs"], {**told["summary"], "exit": told["exit"]}]


RETURNING = Family(
    name="returning", summary="", era="none", base=("tests.fuzz.kernels.returning",), tail=("tests.fuzz.kernels.returning_ops",),
    variants={"base": Variant("base", (), "", "tests"), "patch": Variant("patch", ("tests.fuzz.kernels.returning_patch",), "", "tests")},
    check=lambda image: (), drained=lambda image: (), describe=lambda image: {},
)


def returned(*lines: str) -> Comparison:
    return compare("x", program(*lines), contenders([(RETURNING, "base"), (RETURNING, "patch")]), Budget())


# ---- results of operations -------------------------------------------------------------------------------------------------

def test_variants_whose_system_calls_return_other_errors_differ() -> None:
    comparison = returned("read f0.0", "read f0.1")
    assert comparison.verdict == DIFFERENT
    assert [text_of(thing) for thing in comparison.things] == [
        "no finding", "cpu0 read f0.0 = -ENOMEM", "cpu1 read f0.1 = -ENOMEM"]
    assert [len(side.reached) for side in comparison.sides] == [3, 1]


def test_a_count_and_a_signal_are_results_and_an_operation_without_one_has_none() -> None:
    comparison = returned("write f0.0", "touch f0.0")
    assert {text_of(thing) for thing in comparison.things} == {"cpu0 write f0.0 = 4096", "cpu0 write f0.0 = SIGBUS"}
    assert returned("touch f0.0", "touch f0.0").verdict == SAME


def test_a_witness_of_an_error_code_repeats_it() -> None:
    comparison = returned("read f0.0", "read f0.1")
    for difference in comparison.differences:
        found = witness(comparison, difference)
        assert found.schedule and found.elsewhere == {"patch": "no finding"}


def test_json_has_the_results_of_operations_apart_from_the_text() -> None:
    base, _ = as_json(returned("read f0.0", "touch f0.1"), [])["variants"]
    assert [one["returned"] for one in base["outcomes"]] == [[], ["cpu0 read f0.0 = -ENOMEM"]]


def test_a_result_of_a_run_is_not_one_of_the_next() -> None:
    contender, = contenders([(RETURNING, "base")])
    for line, texts in (("write f0.0", ["cpu0 write f0.0 = 4096"]), ("read f0.0", ["no finding"])):
        assert [text_of(thing) for thing in look(contender, program(line), Budget()).reached] == texts


# ---- the legend ------------------------------------------------------------------------------------------------------------

def cells(comparison: Comparison) -> list[str]:
    """The cells and marks that the legend explains."""
    return [line[2:12].strip() for line in legend(comparison) if line[2:12].strip()]


def test_the_legend_explains_the_marks_and_cells_that_the_table_has_and_no_others() -> None:
    assert cells(returned("read f0.0", "read f0.1")) == ["-", "+", "N", "0", "= R"]
    assert cells(returned("touch f0.0", "touch f0.0")) == ["N"]
    x, y = side("x", [A, C]), side("y", [A], "time")
    sampled = cells(Comparison("p", load(LAST).program, [x, y]))
    assert sampled == ["-", "+", "N", "N", "not seen", "BUG"]
    lacking = Comparison("p", load(LAST).program, [side("x", [A]), side("y", [A]), side("z", [], missing=("swapon",))])
    assert cells(lacking) == ["N", "n/a"]


def test_each_line_of_the_legend_takes_at_most_100_columns() -> None:
    assert max(map(len, legend(returned("read f0.0", "read f0.1")))) <= 100


# ---- reachable outcomes -------------------------------------------------------------------------------------------------

@pytest.mark.long
def test_an_outcome_of_only_one_variant_is_reported_with_a_run_that_repeats_it(tmp_path: pathlib.Path) -> None:
    result = diff(PRE, DANIEL, "--entry", LAST, "--into", tmp_path, "--witnesses", 1)
    assert result.exit_code == 1, result.output
    assert "pre_patch can do 1 thing daniel_lru_count cannot" in result.output
    paths = [line.split()[-1] for line in result.output.splitlines() if line.strip().startswith("vmrace show")]
    assert len(paths) == 1
    titles = set()
    for path in paths:
        entry = load(pathlib.Path(path))
        titles.add(entry.title)
        assert set(entry.expect) == {"pre_patch", "daniel_lru_count"}
        assert CliRunner().invoke(main, ["show", path]).exit_code == 0
    assert CliRunner().invoke(main, ["replay", str(tmp_path)]).exit_code == 0
    assert BUG.titles[0] in titles


@pytest.mark.long
def test_the_diff_of_one_program_reads_as_kept() -> None:
    result = diff(PRE, DANIEL, "--entry", LAST)
    text = result.output.replace(str(LAST), "ENTRY").replace(str(ROOT), "")
    golden("diff", normal(f"$ vmrace diff {PRE} {DANIEL} --entry bug-at-f1738244\n{text}"))
    assert max(map(len, result.output.splitlines())) <= 100


@pytest.mark.long
def test_a_variant_does_not_differ_from_itself() -> None:
    result = diff(PRE, PRE, "--entry", LAST)
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "no difference: both can do the same 2 things.  (exit 0)"
    assert "pre_patch#2" in result.output


@pytest.mark.long
def test_the_witness_has_the_fewest_preemptions_and_leads_elsewhere_on_the_other_variant() -> None:
    comparison = compare("x", load(LAST).program, made(PRE, DANIEL), Budget())
    for difference in comparison.differences:
        found = witness(comparison, difference)
        assert found.least
        assert found.schedule
        assert found.preemptions == found.of.reached[found.thing].preemptions
        assert set(found.elsewhere) == {side.name for side in comparison.sides} - {found.of.name}
        assert text_of(found.thing) not in found.elsewhere.values()


@pytest.mark.long
def test_reference_counts_of_pages_are_compared_only_with_the_option() -> None:
    one = program("touch f0.0", setup=("shrink_cache 1", "store m0.0"))
    plain, counted = (compare("x", one, made(PRE, DANIEL, counts=counts), Budget()) for counts in (False, True))
    assert (plain.verdict, counted.verdict) == (SAME, DIFFERENT)
    assert "with count" not in "".join(map(text_of, plain.things))
    assert "with count" in "".join(map(text_of, counted.things))


# ---- incomplete comparisons ------------------------------------------------------------------------------------------------

@pytest.mark.long
def test_a_program_that_exceeds_the_budget_is_sampled_and_nothing_is_claimed() -> None:
    result = diff(PRE, DANIEL, "--entry", DOUBLE, "--runs-each", 60, "--witnesses", 0)
    assert result.exit_code == 3, result.output
    words = " ".join(result.output.split())
    assert "60 random: 60 runs were not enough" in words
    assert "inconclusive: " in words
    assert "cannot" not in words
    assert "nothing daniel_lru_count can" not in words
    assert "every schedule" not in words
    assert "proved" not in words


def side(name: str, reached: list[Reached], why: str = "", missing: tuple[str, ...] = ()) -> Side:
    class Named:
        full_name = f"family/{name}"
    Named.name = name           # type: ignore[attr-defined]
    return Side(Named(), {thing: Reach(3, 1) for thing in reached}, list(missing), why, 10, 5 if why else 0)     # type: ignore[arg-type]


A, B, C = Reached((), ("load m0.0.0 = 1",)), Reached((), ("load m0.0.0 = 2",)), Reached(("OOPS: x in f",))


@pytest.mark.parametrize(("left", "right", "claims"), [
    ((A, ""), (A, ""), (SAME, "can do nothing", "can do nothing")),
    ((A, ""), (A, "time"), (INCONCLUSIVE, "can do nothing", "did nothing that")),
    ((A, "time"), (A, "time"), (INCONCLUSIVE, "did nothing that", "did nothing that")),
    ((B, ""), (A, ""), (DIFFERENT, "can do 1 thing", "can do 1 thing")),
    ((B, ""), (A, "time"), (INCONCLUSIVE, "did 1 thing not seen in 15 schedules", "can do 1 thing")),
    ((B, "time"), (A, "time"), (INCONCLUSIVE, "did 1 thing not seen", "did 1 thing not seen")),
])
def test_only_a_side_that_ran_every_schedule_can_lack_an_outcome(left: Any, right: Any, claims: tuple[str, str, str]) -> None:
    x, y = side("x", [left[0], C], left[1]), side("y", [right[0], C], right[1])
    comparison = Comparison("p", load(LAST).program, [x, y])
    verdict, forward, back = claims
    assert sentence(relation(x, y)).find(forward) >= 0
    assert sentence(relation(y, x)).find(back) >= 0
    # An outcome of the left that a complete right lacks is a difference, however little of the left was seen.
    if left[0] is not right[0] and (not left[1] or not right[1]):
        verdict = DIFFERENT
    assert comparison.verdict == verdict
    assert exit_code([comparison]) == {SAME: 0, DIFFERENT: 1, INCONCLUSIVE: 3}[verdict]
    assert ("inconclusive" in conclusion(comparison)) == (verdict == INCONCLUSIVE)


@pytest.mark.long
def test_a_setup_that_fails_on_one_variant_is_a_difference() -> None:
    result = diff(PRE, DANIEL, "--entry", ROOT / "corpus/lru_free_2_4/lockdep-pagemap_lru_lock-taken-in-an-interrupt-"
                  "and-with-inte-58db2eed.toml")
    assert result.exit_code in (0, 1)


# ---- variants that cannot be compared -----------------------------------------------------------------------------------------

def test_the_line_of_a_variant_that_lacks_an_operation_names_it() -> None:
    comparison = compare("x", program("swapon", "populate m0.0 f0.0"), made(PRE, DANIEL), Budget())
    assert comparison.verdict == NOT_COMPARED
    text = "\n".join(one_program(comparison, [], 0))
    assert "n/a:             pre_patch lacks populate" in text
    assert exit_code([comparison]) == 4


def test_a_diff_with_only_one_applicable_variant_is_no_comparison() -> None:
    comparison = compare("x", program("take f0.0 k0"), made(PRE, OLD), Budget())
    assert [one.applies for one in comparison.sides] == [False, True]
    assert conclusion(comparison) == "not compared: only invalidate_2_6/pre_2_6_15 of the variants has all the operations"


@pytest.mark.long
def test_variants_of_two_families_are_compared_by_the_loads_of_user_space() -> None:
    result = diff(PRE, OLD, "--operations", "load,read,take", "--size", 1, "--cpus", 1, "--setup", 1, "--json")
    *programs, summary = objects(result)
    assert summary["exit"] == result.exit_code == 0
    assert summary["same"] >= 4
    assert summary["n/a"] >= 1
    assert {outcome["outcome"] for one in programs for variant in one["variants"] for outcome in variant["outcomes"]} == {
        "load m0.0 = 0", "no finding", "cpu0 read f0.0 = 4096", "cpu0 read f1.0 = 4096"}


# ---- many programs, many variants ------------------------------------------------------------------------------------------------

@pytest.mark.long
def test_all_programs_of_some_operations_show_each_new_difference_once() -> None:
    result = diff(PRE, DANIEL, "--operations", "exit,pin,irq_unpin", "--size", 2, "--cpus", 1, "--setup", 1)
    assert result.exit_code == 1, result.output
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("!") for line in lines) <= 3
    assert result.output.count(BUG.titles[0]) == 1


@pytest.mark.long
def test_the_diff_of_a_corpus_has_a_line_for_each_entry(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one.toml").write_text(LAST.read_text())
    result = diff(PRE, DANIEL, "--corpus", tmp_path)
    assert result.exit_code == 1
    assert "1 program: 1 different, 0 the same, 0 inconclusive, 0 not compared" in result.output
    assert diff(OLD, OLD, "--corpus", tmp_path).exit_code == 4


@pytest.mark.long
def test_several_variants_have_a_table_of_which_outcomes_include_which() -> None:
    result = diff(PRE, DANIEL, PRE, "--entry", LAST)
    assert result.exit_code == 1
    rows = [line.split() for line in result.output.splitlines()]
    assert ["pre_patch", ".", "no", "1", "yes"] in rows
    assert ["daniel_lru_count", "no", "1", ".", "no", "1"] in rows
    x, y = side("x", [A]), side("y", [A, B], "time")
    text = "\n".join(inclusions([Comparison("p", load(LAST).program, [x, y])], ["x", "y"]))
    assert [line.split() for line in text.splitlines()][2:] == [["x", ".", "yes"], ["y", "no", "1", "."]]


def test_long_names_of_variants_become_letters_in_the_table() -> None:
    names = [f"variant_with_a_long_name_{number}" for number in range(5)]
    labels = Labels(names)
    assert labels.legend()[0] == "A  variant_with_a_long_name_0"
    assert max(map(len, labels.row("-", "word " * 60, dict.fromkeys(names, "1,000,000")))) <= 100


# ---- the command --------------------------------------------------------------------------------------------------------------------

@pytest.mark.long
def test_json_has_each_program_and_a_summary() -> None:
    one, summary = objects(diff(PRE, DANIEL, "--entry", LAST, "--json"))
    assert one["verdict"] == DIFFERENT
    assert [variant["state"] for variant in one["variants"]] == ["every schedule"] * 2
    found = next(item for item in one["differences"] if item["finding"])
    assert (found["can"], found["cannot"], found["not_seen"]) == (["pre_patch"], ["daniel_lru_count"], [])
    assert found["witness"]["schedule"]
    assert summary == {"programs": 1, "different": 1, "exit": 1}


@pytest.mark.parametrize(("args", "words"), [
    ((PRE,), "two variants or more"),
    ((PRE, "lru_free_2_4/daniel"), "Did you mean lru_free_2_4/daniel_lru_count?"),
    ((PRE, DANIEL, "--operations", "reclam"), "Did you mean reclaim?"),
    ((PRE, DANIEL, "--operations", ","), "names no operation"),
    ((PRE, DANIEL, "--operations", "exit", "--entry", "x"), "either --entry or --operations"),
    ((PRE, DANIEL, "--entry", "x", "--size", "2"), "--size is for --operations"),
    ((PRE, DANIEL, "--entry", "x", "--corpus", "corpus"), "--corpus is for the programs of entries, without --entry"),
])
def test_bad_input_to_diff_gives_one_line(args: tuple[str, ...], words: str) -> None:
    result = diff(*args)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
