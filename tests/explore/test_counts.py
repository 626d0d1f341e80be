# SPDX-License-Identifier: MIT
"""Optimal DPOR makes exactly the numbers of runs that the literature gives for inequivalent schedules, and blocks none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.functions.program import Program, Runner

from tests.programs import filesystem, indexer, lastzero, readers, reorder

COUNTS = (
    (readers.make, 1, 2), (readers.make, 2, 4), (readers.make, 8, 256),
    (lastzero.make, 5, 64), (lastzero.make, 7, 320), (lastzero.make, 10, 3328),
    (filesystem.make, 14, 2), (filesystem.make, 16, 8), (filesystem.make, 18, 32), (filesystem.make, 19, 64),
    (indexer.make, 11, 1), (indexer.make, 12, 8), (indexer.make, 13, 64), (indexer.make, 14, 512),
)


@pytest.mark.parametrize(("make", "n", "count"), COUNTS, ids=[f"{make.__module__.split('.')[-1]}-{n}" for make, n, _ in COUNTS])
def test_each_class_of_schedules_is_run_once(make: Callable[[int], Program], n: int, count: int) -> None:
    runner, explorer = Runner(make, n), Optimal()
    results: list[Any] = []
    restarts = 0
    for result in explorer.runs(runner.run):
        if explorer.restarts != restarts:               # runs from before a restart do not count
            restarts, results = explorer.restarts, []
        results.append(result)
    assert (len(results), explorer.run_count, explorer.blocked_count) == (count, count, 0)
    assert not any(result.findings for result in results)


def test_no_two_runs_are_equivalent() -> None:
    """Tell two classes apart by their happens-before, which is the same for every order of a class."""
    runner, explorer = Runner(reorder.make, 2), Optimal()
    classes = []
    for _ in explorer.runs(runner.run):
        index: dict[int, int] = {}
        names = []                              # of events: (process, index among the events of that process)
        for event in explorer.events:
            index[event.process] = index.get(event.process, -1) + 1
            names.append((event.process, index[event.process]))
        classes.append(frozenset((names[event.number], frozenset(
            names[other] for other in range(event.number) if event.past >> other & 1)) for event in explorer.events))
    assert len(set(classes)) == len(classes) > 10
