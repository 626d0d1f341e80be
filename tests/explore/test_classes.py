# SPDX-License-Identifier: MIT
"""Every random run belongs to a class that the explorer has run.

The outcomes of thousands of programs agree with brute force (test_same_outcomes.py), but an explorer may lose classes without
losing an outcome. This test makes random runs with the same locations, and each must belong to a class that the explorer has run.
It cannot show that no class is lost. Each seed in LOST was found in this way, with an explorer that lost some.
"""

from __future__ import annotations

from typing import Any

import pytest
from vmrace.harness.explore import optimal
from vmrace.harness.explore.classes import trace_hash
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.explore.routes import Routes
from vmrace.harness.functions.program import Runner
from vmrace.harness.machine.machine import m

from tests.explore.small import OWN, SORTS, TOUCHING, small

RUNS_MAX = 500              # of a route: a program with more runs is not compared

# (seed, size, sorts) of a program of which an explorer lost classes that
LOST = {
    "took a lock of an interrupt for one of the task below": (228, 2, SORTS),
    "forgot whom a planned wake-up makes ready": (237, 2, SORTS),
    "let a process sleep that a plan had parted from": (255, 2, SORTS),
    "did not see whom an interrupt comes over under CONFIG_PREEMPT": (30_074, 3, OWN),
    "took a lock that one sleeps for to read nothing": (524, 4, TOUCHING),
    "let a process sleep on what it touched, not on what it was parted by": (1000, 5, TOUCHING),
}
# first seed, number of seeds, size, sorts, random runs of each program, and the least number of programs that must be compared
CHUNKS = (
    (200, 80, 2, SORTS, 60, 70), (10_000, 30, 4, SORTS, 60, 18), (30_050, 40, 3, OWN, 60, 30), (40_000, 30, 4, TOUCHING, 60, 20))


def unknown(seed: int, size: int, sorts: tuple[tuple[str, ...], ...], runs: int) -> int | None:
    """Return the number of random runs whose class the explorer has not run; None if the program has too many runs to compare."""
    runner = Runner(small(seed, size, sorts).make)
    locations, out = None, 0
    routes = Routes(runner.cpus)
    for route in routes:
        explorer = Optimal(route, locations=locations)
        known: set[int] = set()
        restarts = 0
        for count, _ in enumerate(explorer.runs(runner.run)):
            if explorer.restarts != restarts:
                restarts, known = explorer.restarts, set()
            if not (explorer.blocked or explorer.misrouted or explorer.rerouted):
                known.add(trace_hash(explorer))
            if count > RUNS_MAX or explorer.limit:
                return None
        locations = explorer.locations
        routes.seen(explorer)
        for number in range(runs):
            explorer.sample(runner.run, number)
            assert not (locations.restart or explorer.learned), "a random run touches what no run of the exploration does"
            if not (explorer.misrouted or explorer.rerouted or m.cut):
                out += trace_hash(explorer) not in known
    return out


@pytest.fixture(autouse=True)
def few_points_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimal, "SCOUTED", 2)


@pytest.mark.long
@pytest.mark.parametrize("why", LOST)
def test_what_was_lost_once_is_known(why: str) -> None:
    assert unknown(*LOST[why], 600) == 0


@pytest.mark.long
@pytest.mark.parametrize(("first", "count", "size", "sorts", "runs", "compared"), CHUNKS,
                         ids=[f"size {chunk[2]} from {chunk[0]}" for chunk in CHUNKS])
def test_random_runs_are_of_known_classes(first: int, count: int, size: int, sorts: Any, runs: int, compared: int) -> None:
    told = {seed: unknown(seed, size, sorts, runs) for seed in range(first, first + count)}
    assert not {seed: lost for seed, lost in told.items() if lost}
    assert sum(lost is not None for lost in told.values()) >= compared
