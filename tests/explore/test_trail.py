# SPDX-License-Identifier: MIT
"""An exploration that lets a process run on, and makes events of its points later, sees the same classes as one that the machine asks
at every point: the same number, the same digest, the same outcomes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from vmrace.fuzz.run.executor import Executor, SetupFailed
from vmrace.harness.explore import is_compiled
from vmrace.harness.explore.exploration import Exploration, explore
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.functions.program import Runner
from vmrace.variants.family import family

from tests.explore.compare import outcome_of
from tests.explore.small import small
from tests.explore.test_family_programs import small as small_of_family

RUNS_MAX = 300
pytestmark = pytest.mark.skipif(is_compiled(), reason="a compiled explorer cannot be patched to be asked at every point")


def twice(monkeypatch: pytest.MonkeyPatch, run: Any, cpus: int, outcome: Any, up: bool) -> int:
    """Return the number of classes, which both explorations must agree on; 0 if there are too many."""
    def once() -> Exploration:
        return explore(run, cpus, lambda result, _: outcome(result), up=up, runs_max=RUNS_MAX)

    alone = once()
    with monkeypatch.context() as patch:
        patch.setattr(Optimal, "_runs_on", lambda self: 1)
        asked = once()
    if not (alone.complete and asked.complete):
        return 0
    assert (alone.classes, alone.digest, set(alone.outcomes)) == (asked.classes, asked.digest, set(asked.outcomes))
    return alone.classes


@pytest.mark.long
def test_of_small_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    classes = [0]
    for seed in range(80):
        runner = Runner(small(seed, 4).make)
        classes.append(twice(monkeypatch, runner.run, runner.cpus, outcome_of, False))
    assert sum(classes) > 500, sum(classes)


@pytest.mark.long
@pytest.mark.parametrize("name", ["lru_free_2_4/pre_patch", "invalidate_2_6/pre_2_6_15"])
def test_of_family_programs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    room, _, variant = name.partition("/")
    executor = Executor(family(room), variant, checked=True)
    executor.races = False
    names = tuple(executor.operations())
    classes = 0
    for seed in range(30):
        try:
            prepared = executor.prepare(small_of_family(random.Random(seed), names, ("plain", "interrupt", "shared")[seed % 3]))
        except SetupFailed:
            continue
        classes += twice(monkeypatch, lambda scheduler: executor.run(prepared, scheduler), prepared.cpus,        # noqa: B023
                         lambda outcome: (tuple(outcome.titles),), prepared.cpus == 1)
    assert classes > 200, classes
