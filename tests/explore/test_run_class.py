# SPDX-License-Identifier: MIT
"""The number of a run's class: two classes never have the same one, and runs of one class have the same one.

The explorer runs each class of a program once. These runs are made again with a log. With what the explorer has learnt of quiet points,
there must be as many numbers as classes. Random runs then must have no other number, except where the module's text allows it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from vmrace.fuzz.run.executor import Executor, SetupFailed
from vmrace.harness.errors import Diverged
from vmrace.harness.explore.access import Locations
from vmrace.harness.explore.classes import trace_hash
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.explore.routes import Routes
from vmrace.harness.explore.run_class import Entries, RunClasses
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import PARK
from vmrace.harness.schedulers import Walk
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.family import family

from tests.explore.small import OWN, SORTS, TOUCHING, small
from tests.explore.test_counts import COUNTS
from tests.explore.test_family_programs import small as small_of_family

RUNS_MAX = 300              # a program with more runs is not compared
WALKS = 100                 # random runs, for each of three chances of a preemption
Decisions = tuple[list[int], list[int]]
Run = Callable[[Any], Any]


def representatives(run: Run, cpus: int, up: bool, runs_max: int = RUNS_MAX) -> tuple[list[Decisions], Locations] | None:
    """Return a run of each class, and what the explorer has learnt. None if there are too many, or if a run has a finding: under an
    explorer the other cpus go on after it."""
    found: dict[int, Decisions] = {}
    locations: Locations | None = None
    routes, runs = Routes(cpus), 0
    for route in routes:
        explorer = Optimal(route, up, locations)
        of_route: dict[int, Decisions] = {}
        restarts = 0
        for result in explorer.runs(run):
            runs += 1
            if runs > runs_max or explorer.limit or m.findings or m.cut or PARK in m.switches[1::2]:
                return None
            if explorer.restarts != restarts:
                restarts, of_route = explorer.restarts, {}
            if result is not None and not (explorer.misrouted or explorer.rerouted):
                of_route[trace_hash(explorer)] = list(m.switches), list(m.forced)
        locations = explorer.locations
        routes.seen(explorer)
        for number, decisions in of_route.items():
            found.setdefault(number, decisions)
    assert locations is not None
    return list(found.values()), locations


def number_of(classes: RunClasses, run: Run, scheduler: Any) -> int:
    """Make a run with a log, and return the number of its class."""
    m.run_log = log = []
    try:
        run(scheduler)
    finally:
        m.run_log = None
    return classes.of(log, m.looked)


def numbers(classes: RunClasses, run: Run, runs: Sequence[Decisions]) -> set[int]:
    """Return the numbers of these runs, once all of them have been made: then no run teaches anything."""
    for _ in range(2):
        out = set()
        for switches, forced in runs:
            out.add(number_of(classes, run, Replay(switches, forced)))
            if (m.switches, m.forced) != (switches, forced):
                raise Diverged(m.step, "a task yields: an explorer lets it run on")
    return out


def compare(run: Run, cpus: int, up: bool, on: Sequence[int], preempt: bool) -> tuple[int, int]:
    """Return the number of classes of a program, which must have as many numbers, and that of the numbers that only random runs have."""
    known = representatives(run, cpus, up)
    if known is None:
        return 0, 0
    runs, locations = known
    classes = RunClasses(Entries(up, locations), on, preempt)
    classes.noticed |= locations.shared
    try:
        assert len(numbers(classes, run, runs)) == len(runs)
    except Diverged:
        return 0, 0
    rng, more = random.Random(1), set()
    for _ in range(2):
        found = numbers(classes, run, runs)
        more = {number_of(classes, run, Walk(rng, chance)) for chance in (0.05, 0.3, 1.0) for _ in range(WALKS)
                } - found if not m.findings else set()
    return len(runs), len(more)


@pytest.mark.parametrize(("make", "n", "count"), [one for one in COUNTS if one[2] <= 512],
                         ids=[f"{make.__module__.split('.')[-1]}-{n}" for make, n, count in COUNTS if count <= 512])
def test_there_are_as_many_numbers_as_classes(make: Callable[[int], Program], n: int, count: int) -> None:
    runner = Runner(make, n)
    known = representatives(runner.run, runner.cpus, False, 2 * count + 100)
    assert known is not None
    classes = RunClasses(Entries(), [cpu for cpu, _ in runner.tasks])
    assert len(numbers(classes, runner.run, known[0])) == len(known[0]) == count


# sorts of operations, seeds, the least number of classes that must be compared
SMALL = ((SORTS, 40, 200), (TOUCHING, 15, 100), (OWN, 10, 30))
SMALL_LONG = ((SORTS, 200, 1000), (TOUCHING, 60, 400), (OWN, 40, 150))


def of_small(sorts: Any, seeds: int) -> int:
    total = 0
    for seed in range(seeds):
        runner = Runner(small(seed, 3, sorts).make)
        classes, _ = compare(runner.run, runner.cpus, False, [cpu for cpu, _ in runner.tasks], runner.program.preempt)
        total += classes
    return total


@pytest.mark.parametrize(("sorts", "seeds", "least"), SMALL, ids=["all", "touching", "own"])
def test_no_two_classes_of_a_small_program_have_one_number(sorts: Any, seeds: int, least: int) -> None:
    assert of_small(sorts, seeds) >= least


@pytest.mark.long
@pytest.mark.parametrize(("sorts", "seeds", "least"), SMALL_LONG, ids=["all", "touching", "own"])
def test_no_two_classes_of_many_small_programs_have_one_number(sorts: Any, seeds: int, least: int) -> None:
    assert of_small(sorts, seeds) >= least


# kind of program, the share of numbers beyond the classes that is allowed: where an interrupt falls, and in shared cpus
KINDS = {"plain": 0.03, "interrupt": 0.05, "shared": 1.0}


def of_family(name: str, kind: str, programs: int) -> tuple[int, int]:
    room, _, variant = name.partition("/")
    executor = Executor(family(room), variant, checked=True)
    executor.races = False
    classes = more = 0
    for seed in range(programs):
        program = small_of_family(random.Random(seed), tuple(executor.operations()), kind)
        try:
            prepared = executor.prepare(program)
        except SetupFailed:
            continue
        some, others = compare(lambda scheduler: executor.run(prepared, scheduler), prepared.cpus, prepared.cpus == 1,   # noqa: B023
                               [cpu for cpu, _ in prepared.tasks], program.preempt)
        classes += some
        more += others
    return classes, more


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_programs_of_a_family(kind: str) -> None:
    classes, more = of_family("lru_free_2_4/daniel_lru_count", kind, 12)
    assert classes >= 40
    assert more <= KINDS[kind] * classes, (classes, more)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["lru_free_2_4/pre_patch", "invalidate_2_6/pre_2_6_15", "cow_swap_2_6/pre_2_6_26"])
def test_numbers_of_more_programs_of_families(name: str, kind: str) -> None:
    classes, more = of_family(name, kind, 25)
    assert classes >= 90
    assert more <= KINDS[kind] * classes, (classes, more)
