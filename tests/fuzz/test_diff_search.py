# SPDX-License-Identifier: MIT
"""vmrace diff without a program: it finds what tells variants apart, claims no more, depends on the seed alone, and loses nothing."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from click.testing import CliRunner, Result
from vmrace.fuzz.campaign.messages import ShardResult, ShardTask
from vmrace.fuzz.campaign.shard import run_shard
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.compare.found import Decided, Found, UnitResult
from vmrace.fuzz.compare.hunt import hunt
from vmrace.fuzz.compare.kinds import Kind, kind_of
from vmrace.fuzz.compare.outcomes import Budget, Comparison, Difference, Reach, Side, compare, contenders
from vmrace.fuzz.compare.search_report import conclusion, inclusion
from vmrace.fuzz.compare.stream import ROUND, Stream
from vmrace.fuzz.compare.totals import Totals
from vmrace.fuzz.corpus.entry import load
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.variants.family import FAMILIES
from vmrace.variants.program import Op, Program, TaskProgram

from tests.documents import document
from tests.fuzz.returning_family import FAMILY
from tests.golden.test_golden import golden

ROOT = pathlib.Path(__file__).parents[2]
BASE, COPY, PATCH, CHECK = (f"returning/{name}" for name in ("base", "copy", "patch", "check"))
BUG = "BUG at mm/returning.c:12 in take_slot"
RUNS = ("--runs", "300", "--seed", "1")


@pytest.fixture(autouse=True)
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(FAMILIES, "returning", "tests.fuzz.returning_family")
    return tmp_path


def diff(*args: object) -> Result:
    return CliRunner().invoke(main, ["diff", *map(str, args)])


def told(*args: object) -> dict[str, Any]:
    """The document of a search, without what depends on the time."""
    result = diff(*args, "--json")
    out = document(result.stdout, "diff")
    out["summary"].pop("seconds")
    return out


# ---- differences ---------------------------------------------------------------------------------------------------------------

def test_a_search_finds_each_kind_of_difference_once_and_keeps_a_minimal_pair() -> None:
    out = told(BASE, CHECK, *RUNS)
    assert out["exit"] == 1
    kinds = [(one["part"], one["kind"], tuple(one["can"]), tuple(one["cannot"])) for one in out["found"]]
    assert ("finding", BUG, ("check",), ("base",)) in kinds
    assert ("result", "read = -ENOMEM", ("base",), ("check",)) in kinds
    assert len(set(kinds)) == len(kinds)
    for one in out["found"]:
        entry = load(pathlib.Path(one["witness"]["path"]))
        assert entry.program.size == 2, "two takers are the least that tell them apart"
        assert set(entry.expect) == {"base", "check"}
        assert [str(line) for line in entry.schedule] == one["witness"]["schedule"]
        assert one["witness"]["elsewhere"].keys() == set(one["cannot"])
    assert CliRunner().invoke(main, ["replay", "differences"]).exit_code == 0


def test_a_variant_does_not_differ_from_a_copy_of_itself() -> None:
    for other in (BASE, COPY):
        out = told(BASE, other, *RUNS)
        assert (out["exit"], out["found"], out["summary"]["kinds"]) == (0, [], [])
        assert out["summary"]["runs"] >= 300


@pytest.mark.long
def test_hunts_and_samples_of_a_copy_show_no_difference() -> None:
    result = diff(BASE, COPY, "--runs", 8_000, "--seed", 1)
    assert result.exit_code == 0, result.output
    found = re.search(r"no difference in \d+ programs: \d+ exhausted, (\d+) sampled; (\d+) hunts?; ", result.output)
    assert found and int(found[1]) and int(found[2]), result.output


def test_the_table_of_inclusions_has_a_witness_for_each_no() -> None:
    out = told(BASE, PATCH, CHECK, *RUNS)
    cells = {(one["of"], one["in"]): (one["lacks"] > 0, one["witness"]) for one in out["summary"]["inclusions"]}
    assert len(cells) == 6
    assert not cells["patch", "base"][0], "all that the patch does, the base does when nobody fails"
    for (of, other), (lacks, witness) in cells.items():
        assert lacks == (witness is not None)
        if witness:
            found = out["found"][witness - 1]
            assert of in found["can"] and other in found["cannot"]


@pytest.mark.long
def test_a_search_reads_as_kept() -> None:
    result = diff(BASE, CHECK, *RUNS, "--workers", 1)
    text = re.sub(r"\d+\.\d s", "N s", re.sub(r"diff-[0-9a-f]{16}", "diff-KEY", result.output))
    golden("diff-search", "\n".join(line for line in text.splitlines() if not re.match(r"  \d+:\d\d ", line)) + "\n")
    assert max(map(len, result.output.splitlines())) <= 100


# ---- a function of the seed ------------------------------------------------------------------------------------------------------

STARTED = ("from vmrace.variants.family import FAMILIES; FAMILIES['returning'] = 'tests.fuzz.returning_family'; "
           "from vmrace.__main__ import main; main()")


def started(*args: object, **environment: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", STARTED, "diff", *map(str, args)]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "PYTHONPATH": paths, **environment})


@pytest.mark.long
def test_a_search_up_to_some_runs_depends_on_its_seed_alone(place: pathlib.Path) -> None:
    outs = []
    for number, (workers, hashes) in enumerate([(1, "0"), (2, "1"), (4, "2")]):
        process = started(BASE, CHECK, *RUNS, "--workers", workers, "--state", place / f"{number}.jsonl", "--json",
                          PYTHONHASHSEED=hashes)
        out = json.loads(process.communicate(timeout=120)[0])
        out["summary"].pop("seconds")
        outs.append(out)
    assert outs[0] == outs[1] == outs[2]
    assert outs[0]["found"]


def test_the_units_are_a_function_of_seed_and_number() -> None:
    one, same, other = (Stream(("read", "write", "touch"), 2, seed) for seed in (1, 1, 2))
    assert [one.unit(number) for number in range(64)] == [same.unit(number) for number in range(63, -1, -1)][::-1]
    assert [one.unit(number) for number in range(64)] != [other.unit(number) for number in range(64)]
    hunts = [unit for number in range(4 * ROUND) if (unit := one.unit(number)).hunted >= 0]
    assert [(unit.hunted, unit.runs) for unit in hunts] == [(0, 2_000), (1, 2_000), (0, 4_000), (1, 4_000)]
    sizes = [unit.program.size for number in range(0, 60, 2) if (unit := one.unit(number)).program and number % ROUND < ROUND - 2]
    assert sizes[:3] == [1, 1, 1], "the smallest programs come first"


def test_a_hunt_is_a_campaign_whose_shards_learn_from_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[ShardTask, ShardResult]] = []

    def watched(task: ShardTask) -> ShardResult:
        made.append((task, run_shard(task)))
        return made[-1][1]

    monkeypatch.setattr("vmrace.fuzz.compare.hunt.run_shard", watched)
    hits, runs, error = hunt("lru_free_2_4", "pre_patch", seed=1, runs=3_000)
    assert (runs, error) == (3_000, "") and len(made) > 5
    assert [task.number for task, _ in made] == list(range(len(made)))
    assert all(task.lesson.learnt == [result.learnt] for (task, _), (_, result) in zip(made[1:], made, strict=False))
    titles = [hit.title for hit in hits]
    assert "BUG at mm/page_alloc.c:95 in __free_pages_ok" in titles and len(titles) == len(set(titles))
    assert [hit.title for hit in hunt("lru_free_2_4", "pre_patch", seed=1, runs=3_000)[0]] == titles


# ---- it stops and goes on ----------------------------------------------------------------------------------------------------------

def test_a_search_goes_on_where_it_was_stopped(place: pathlib.Path) -> None:
    state = ("--state", place / "state")
    diff(BASE, CHECK, "--runs", 100, "--seed", 1, *state)
    lines = (place / "state").read_bytes().splitlines(keepends=True)
    (place / "state").write_bytes(b"".join(lines[:-3]) + lines[-3].replace(b'"runs": ', b'"runs": 9') + lines[-1][:20])
    again = diff(BASE, CHECK, *RUNS, *state)
    assert "results done before" in again.output
    assert "damaged, its checksum does not fit: its unit is run again" in again.stderr
    more, whole = told(BASE, CHECK, *RUNS, *state), told(BASE, CHECK, *RUNS)
    assert more == whole


def test_a_state_of_another_search_is_refused(place: pathlib.Path) -> None:
    diff(BASE, CHECK, "--runs", 10, "--seed", 1, "--state", place / "state")
    other = diff(BASE, CHECK, "--runs", 10, "--seed", 2, "--state", place / "state")
    assert (other.exit_code, "is of another seed (1, now 2)" in other.stderr) == (2, True), other.output


@pytest.mark.long
def test_an_interrupted_search_exits_with_130_and_keeps_what_it_found(place: pathlib.Path) -> None:
    process = started(BASE, CHECK, "--for", "10m", "--seed", 1)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("  wrote "):
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "vmrace: interrupted" in out and "the same command continues from .vmrace/diff-" in out
    assert load(pathlib.Path(line.split()[-1])).expect
    assert not [line for line in pathlib.Path("differences").rglob("*") if line.is_file() and line.suffix != ".toml"]


@pytest.mark.long
def test_a_search_ends_with_its_time() -> None:
    start = time.monotonic()
    assert diff(BASE, COPY, "--for", "3s", "--seed", 1).exit_code == 0
    assert time.monotonic() - start < 30


# ---- nothing is claimed that was not seen ------------------------------------------------------------------------------------------

def side(name: str, reached: list[Reached], why: str = "") -> Side:
    class Named:
        pass
    Named.name = Named.full_name = name         # type: ignore[attr-defined]
    return Side(Named(), {thing: Reach(1, 1) for thing in reached}, [], why, 10, 5)     # type: ignore[arg-type]


ONE = Reached((BUG,), printed=(BUG,))
EMPTY = Program((), (TaskProgram(0, (Op("read", ("f0.0",)),)),), 1)


def found(cannot: list[int], not_seen: list[int], part: str = "finding") -> Found:
    return Found(Kind(part, BUG), ONE, EMPTY, [0], cannot, not_seen, 0, [], [])


def decided(cannot: list[int], not_seen: list[int], can: list[int] | None = None, error: str = "") -> Decided:
    return Decided(0, 0, Kind("finding", BUG), 5, EMPTY, BUG, [0] if can is None else can, cannot, not_seen, error=error)


def test_an_outcome_that_only_samples_lack_is_no_difference() -> None:
    totals, one = Totals(), found([], [1])
    totals.add(UnitResult(0, -1, EMPTY, 10, [0, 1], [0], unsure=[(0, 1)], found=[one]))
    assert totals.wants(one)
    assert not totals.decided(decided([], [1]), one)
    assert (totals.kept, [row.kind.text for row in totals.open], totals.lacks) == ([], [BUG], {})
    assert conclusion(totals).startswith("no difference for certain in 1 program: 0 exhausted, 1 sampled")
    assert "inconclusive: 1 kind seen on one side only" in conclusion(totals)


def test_a_kind_that_turns_out_to_be_on_both_variants_is_no_difference() -> None:
    totals, one = Totals(), found([], [1])
    assert totals.wants(one)
    assert not totals.decided(decided([], [], can=[]), one)
    assert (totals.kept, totals.open, totals.rows[one.kind].alike) == ([], [], 1)


def test_loads_and_states_that_only_samples_show_are_not_looked_into() -> None:
    assert not Totals().wants(found([], [1], part="pages"))
    assert Totals().wants(found([1], [], part="pages"))


def test_a_difference_that_does_not_replay_is_an_error_and_no_finding() -> None:
    totals, one = Totals(), found([1], [])
    assert totals.wants(one)
    assert not totals.decided(decided([1], [], error="it ends otherwise"), one)
    assert (totals.kept, totals.errors) == ([], [f"{BUG}: it ends otherwise"])


def test_a_kept_difference_between_the_same_variants_is_looked_into_once() -> None:
    totals, one = Totals(), found([1], [])
    assert totals.wants(one) and totals.decided(decided([1], []), one)
    assert not totals.wants(one)
    assert totals.wants(found([2], []))
    assert (totals.rows[one.kind].programs, totals.witness((0, 1)), inclusion(totals, (1, 0))) == (3, 1, "?")


@pytest.mark.parametrize(("thing", "others", "kind"), [
    (Reached((BUG,)), [], ("finding", BUG)),
    (Reached((), (), (), ("cpu1 read f0.0 = -EIO",)), [Reached()], ("result", "read = -EIO")),
    (Reached((), ("load m0.0.0 = 3", "2 x load m0.1.0 = 0")), [Reached((), ("load m0.0.0 = 3",))], ("load", "load of memory = 0")),
    (Reached((), (), ("2 x LRU dirty", "FREE")), [Reached((), (), ("FREE", "LRU"))], ("pages", "LRU dirty")),
    (Reached((), ("load m0.0.0 = 1",), ("LRU",)), [Reached((), ("load m0.0.0 = 1",)), Reached((), (), ("LRU",))],
     ("together", "results, loads and final states that occur one by one")),
])
def test_the_kind_of_a_difference_is_its_part_that_no_other_outcome_has(thing: Reached, others: list[Reached], kind: Any) -> None:
    x, y = side("x", [thing]), side("y", others)
    assert kind_of(Difference(thing, [x], [y])) == Kind(*kind)


def test_the_kind_leaves_out_tasks_and_operands() -> None:
    made = contenders([(FAMILY, "base"), (FAMILY, "patch")])
    kinds = []
    for places in (("f0.0", "f0.1"), ("f1.0", "f0.0")):
        tasks = tuple(TaskProgram(cpu, (Op("read", (operand,)),)) for cpu, operand in enumerate(places))
        comparison: Comparison = compare("x", Program((), tasks, 2), made, Budget())
        kinds.append({kind_of(one) for one in comparison.differences})
    assert kinds[0] == kinds[1] == {Kind("result", "read = -ENOMEM")}


# ---- the command -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("args", "words"), [
    ((BASE, CHECK, "--entry", "x", "--runs", "9"), "--runs is for a search"),
    ((BASE, CHECK, "--for-each", "9s"), "--for-each is for programs that are given"),
    ((BASE, CHECK, "--operations", "read", "--seed", "1"), "--seed is for a search"),
    ((BASE, "lru_free_2_4/pre_patch", "--state", "/"), "cannot be written"),
])
def test_options_of_the_other_comparisons_are_refused(args: tuple[str, ...], words: str) -> None:
    result = diff(*args)
    assert (result.exit_code in (2, 3), words in result.stderr) == (True, True), result.output
