# SPDX-License-Identifier: MIT
"""A sweep runs the pairs of operations that conflict on a page in one state, with every single preemption there, each once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import vmrace.fuzz.campaign.sweeping
from vmrace.fuzz.campaign.facts import LOADED, STORED, Fact
from vmrace.fuzz.campaign.messages import Lesson, ShardTask
from vmrace.fuzz.campaign.shard import SWEEP_FROM, SWEEP_LESS, _Shard, sweeps, sweeps_before
from vmrace.fuzz.campaign.start_states import few
from vmrace.fuzz.campaign.sweeping import NAME, Sweeping
from vmrace.fuzz.campaign.sweeps import TIMES, Pair, Sweeps, pairs_of
from vmrace.fuzz.campaign.worker import Worker
from vmrace.fuzz.run.executor import Prepared
from vmrace.fuzz.sampling.portfolio import Spent
from vmrace.variants.program import Op, Program, TaskProgram, parse_op

SETUP = tuple(parse_op(text, "setup") for text in ("store m0.0", "shrink_cache 1", "reclaim", "shrink_cache 1"))
LOCKED = "2 LRU locked launder swap swapped 1 bh"         # reclaim writes the page to swap, and its I/O is not done
READ, WRITE = Op("read", ("f0.0",)), Op("write", ("f0.0",))
BOTH = READ, WRITE
OPERATIONS = ("map", "unmap", "dontneed", "fork", "load", "pin", "shrink_cache", "reclaim", "swap_out", "read", "sync", "lock")


def fact(kind: str, field: str = "page.count", held: str = "") -> Fact:
    return Fact(kind, field, held=held)


def conflicts(read: Fact, write: Fact) -> list[Pair]:
    return [*pairs_of([(READ, frozenset([read])), (WRITE, frozenset([write]))])]


# ---- knowledge -------------------------------------------------------------------------------------------------------------------

def test_two_operations_are_a_pair_if_one_stores_a_field_that_the_other_accesses_without_a_common_lock() -> None:
    assert conflicts(fact(LOADED), fact(STORED)) == [(READ, WRITE), (WRITE, WRITE)]
    assert conflicts(fact(LOADED), fact(LOADED)) == []
    assert conflicts(fact(LOADED), fact(STORED, "page.flags[1]")) == [(WRITE, WRITE)]
    assert conflicts(fact(LOADED, held="a"), fact(STORED, held="a and b")) == []
    assert conflicts(fact(LOADED, held="a"), fact(STORED, held="b")) == [(READ, WRITE)]


def test_the_queue_begins_with_a_state_that_few_setups_reach_and_that_has_few_pairs() -> None:
    sweeps = Sweeps()
    sweeps.begin("often", (), (BOTH,))
    sweeps.begin("many", (), (BOTH, (READ, READ)))
    sweeps.begin("rare", (), (BOTH,))
    seen = {"often": 5, "many": 1, "rare": 1}
    assert sweeps.queue(seen) == [("rare", BOTH), ("many", BOTH), ("many", (READ, READ)), ("often", BOTH)]
    for state in seen:
        sweeps.run(state, BOTH, [])
    assert sweeps.queue(seen) == [("many", (READ, READ))]
    assert (sweeps.waiting, sweeps.ran) == (1, 3)


def test_the_queue_of_short_setups_begins_with_the_shortest() -> None:
    sweeps = Sweeps()
    sweeps.begin("long and rare", (READ, WRITE), (BOTH,))
    sweeps.begin("short", (READ,), (BOTH, (READ, READ)))
    sweeps.begin("short and rare", (WRITE,), (BOTH,))
    seen = {"long and rare": 1, "short": 5, "short and rare": 1}
    assert [state for state, _ in sweeps.queue(seen)] == ["long and rare", "short and rare", "short", "short"]
    assert [state for state, _ in sweeps.queue(seen, short=True)] == ["short and rare", "short", "short", "long and rare"]


def test_a_copy_collects_what_it_learns_and_two_shards_may_run_the_same_pair() -> None:
    sweeps = Sweeps()
    sweeps.begin("s", (), (BOTH, (READ, READ)))
    first, second = sweeps.copy(), sweeps.copy()
    for copy in (first, second):
        copy.run("s", BOTH, [("line", "read and write")])
        copy.begin("new", (), (BOTH,))
    assert (sweeps.ran, sweeps.waiting) == (0, 2)
    for copy in (first, second):
        assert copy.news is not None
        sweeps.add(copy.news)
    assert (sweeps.ran, sweeps.waiting, sweeps.preempted) == (1, 2, {("line", "read and write"): 2})


def test_a_state_is_swept_again_with_another_setup_when_no_pair_is_left() -> None:
    sweeps, setups = Sweeps(), [(), (READ,)]
    assert sweeps.other("s", setups) == setups
    sweeps.begin("s", (), (BOTH,))
    sweeps.begin("s", (READ,), ((READ, READ),))         # another shard was first
    assert (sweeps.setup("s"), sweeps.left["s"], sweeps.other("s", setups)) == ((), (BOTH,), [])
    sweeps.run("s", BOTH, [])
    assert sweeps.other("s", setups) == [(READ,)]
    sweeps.begin("s", (), (BOTH,))
    assert sweeps.waiting == 0
    sweeps.begin("s", (READ,), ((READ, READ),))
    assert (sweeps.setup("s"), sweeps.left["s"], sweeps.other("s", setups)) == ((READ,), ((READ, READ),), [])


def test_a_preemption_is_worth_a_schedule_in_a_few_states_and_again_in_later_sweeps() -> None:
    sweeps, one = Sweeps(), ("line", "read and write")
    for number in range(TIMES):
        assert sweeps.worth(one, f"s{number}")
        sweeps.begin(f"s{number}", (), (BOTH,))
        sweeps.run(f"s{number}", BOTH, [one])
    assert not sweeps.worth(one, "s0") and not sweeps.worth(one, "another")
    assert sweeps.worth(("line", "write and write"), "s0")
    sweeps.begin("s0", (READ,), (BOTH,))
    assert sweeps.worth(one, "s0") and not sweeps.worth(one, "s1")


# ---- a sweep ---------------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def worker() -> Worker:
    made = Worker("lru_free_2_4", "pre_patch")
    made.operations = tuple(name for name in made.operations if name in OPERATIONS)
    return made


def shard(worker: Worker, seed: int = 1, number: int = SWEEP_FROM + 1, lag: int = 0) -> _Shard:
    """A shard that knows the state LOCKED. It does not know what the `lag` shards before it have learnt."""
    worker.begin(Lesson())
    worker.position = number - lag
    made = _Shard(worker, ShardTask("lru_free_2_4", "pre_patch", seed, number, runs=20_000, seconds=600.0))
    prepared = worker.fast.prepare(Program(SETUP, (TaskProgram(0, ()),), 2))
    described = worker.fast.family.describe(prepared.image)
    worker.states.reach(SETUP, {"A": next(text for text in described.values() if few(text) == LOCKED)})
    return made


def sweeping(made: _Shard) -> tuple[Sweeping, Pair, Prepared]:
    """The sweep of the state LOCKED, with the pair that shows the double free, ready to be explored."""
    sweeps = made.worker.memory.sweeps
    sweep = Sweeping(made, sweeps, LOCKED)
    pair = parse_op("unmap m0.0", "task"), parse_op("reclaim", "task")
    sweep.setup = SETUP
    sweeps.begin(LOCKED, SETUP, (pair,))
    return sweep, pair, made.worker.fast.prepare(sweep.program(pair))


def test_operations_that_touch_no_page_in_the_state_are_in_no_pair(worker: Worker) -> None:
    made = shard(worker)
    sweeps = worker.memory.sweeps
    Sweeping(made, sweeps, LOCKED).begin([SETUP], ["swapon", "reclaim", "read", "unmap", "bdflush"])
    assert {op.name for pair in sweeps.left[LOCKED] for op in pair} == {"reclaim", "unmap"}
    assert made.result.tallies[NAME].runs <= 5 * 2 * 3


def test_a_sweep_begins_with_a_setup_that_reaches_the_state(worker: Worker) -> None:
    sweeps = shard(worker).worker.memory.sweeps
    for setups, setup in (([(), SETUP], SETUP), ([()], ())):
        sweeps.left.clear()
        Sweeping(shard(worker), sweeps, LOCKED).begin(setups, ["reclaim"])
        assert (sweeps.setup(LOCKED), len(sweeps.left[LOCKED])) == (setup, bool(setup))


def test_the_sweep_of_a_page_that_is_on_its_way_to_swap_finds_the_double_free(worker: Worker) -> None:
    """Six pairs of operations show it. After the interrupt that the race needs, either task may go on, so each has a chance of one half:
    20 of 20 seeds find it."""
    titles: Counter[str] = Counter()
    for seed in range(2):
        made = shard(worker, seed)
        made._sweep()
        titles.update(made.result.titles)
        assert worker.memory.sweeps.waiting == 0
        assert made.result.checked_runs >= worker.memory.sweeps.ran
    assert "double free in __free_pages_ok" in titles, titles


def test_a_sweep_goes_on_where_the_last_one_ended(worker: Worker) -> None:
    made = shard(worker)
    made.task.enough = 150
    made._sweep()
    ran, waiting = worker.memory.sweeps.ran, worker.memory.sweeps.waiting
    assert waiting
    made.task.enough += 2_000
    made._sweep()
    assert (worker.memory.sweeps.ran, worker.memory.sweeps.waiting) == (ran + waiting, 0)


def test_shards_that_sweep_at_one_time_take_other_pairs(worker: Worker) -> None:
    ran = []
    for number in range(8):
        made = shard(worker, number=SWEEP_LESS + number, lag=8)
        sweeping(made)[0].begin([SETUP], worker.operations)
        worker.memory.sweeps.left[LOCKED] = tuple((READ, parse_op(f"write f{file}.{page}", "task")) for file in (0, 1) for page in (0, 1))
        made._sweep()
        ran.append(4 - worker.memory.sweeps.waiting)
    assert ran[::2] == [0] * 4
    assert sum(ran) <= 4


def test_the_first_shards_do_not_sweep(worker: Worker) -> None:
    for number, sweeping in ((1, False), (SWEEP_FROM - 1, False), (SWEEP_FROM + 1, True)):
        made = shard(worker, number=number)
        made._sweep()
        assert (made.result.runs > 0) == sweeping


def test_half_of_the_shards_sweep_in_the_end() -> None:
    sweeping = [number for number in range(400) if sweeps(number)]
    assert [sweeps_before(number) for number in sweeping] == list(range(len(sweeping)))
    assert sweeps_before(SWEEP_LESS) == SWEEP_LESS // 2 and sweeps_before(400) == 200


def test_a_preemption_that_was_tried_in_a_few_states_is_not_made_again(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vmrace.fuzz.campaign.sweeping, "CHILDREN_MAX", 60)      # all of the pair
    made = shard(worker)
    sweep, pair, prepared = sweeping(made)
    sweep.explore(pair, prepared)
    runs, tried = made.result.runs, dict(sweep.sweeps.preempted)
    assert runs > 50 and len(tried) > 20
    sweep.sweeps.preempted = dict.fromkeys(tried, TIMES)
    sweep.explore(pair, made.worker.fast.prepare(sweep.program(pair)))
    assert made.result.runs - runs <= 3


def test_only_preemptions_that_were_made_count_as_tried(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vmrace.fuzz.campaign.sweeping, "CHILDREN_MAX", 2)
    made = shard(worker)
    sweep, pair, prepared = sweeping(made)
    sweep.explore(pair, prepared)
    assert 1 <= len(sweep.sweeps.preempted) <= 3 * 2
    assert made.result.runs <= 3 + 3 * 2


def test_runs_without_preemption_that_are_the_same_are_preempted_once(worker: Worker) -> None:
    """No interrupt is pending, so to have interrupts first is to have the first task first."""
    made = shard(worker)
    sweep = Sweeping(made, worker.memory.sweeps, "2 LRU")
    sweep.setup = (parse_op("store m0.0", "setup"),)
    pair = parse_op("load m0.0", "task"), parse_op("unmap m0.0", "task")
    worker.memory.sweeps.begin("2 LRU", sweep.setup, (pair,))
    assert len(sweep.explore(pair, worker.fast.prepare(sweep.program(pair)))) == 2


@pytest.mark.parametrize("limit", ["runs", "time"])
def test_a_pair_that_a_limit_cuts_is_not_recorded(worker: Worker, limit: str) -> None:
    made = shard(worker)
    sweep, pair, prepared = sweeping(made)
    made.task = replace(made.task, **({"runs": 20} if limit == "runs" else {"seconds": 0.0}))
    with pytest.raises(Spent):
        sweep.explore(pair, prepared)
    assert (sweep.sweeps.ran, sweep.sweeps.waiting, sweep.sweeps.preempted) == (0, 1, {})
    assert made.result.runs == (20 if limit == "runs" else 0)
