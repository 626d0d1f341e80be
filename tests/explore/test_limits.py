# SPDX-License-Identifier: MIT
"""An exploration that stopped early is never reported as complete."""

from __future__ import annotations

import pytest
from vmrace.harness.explore import optimal
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.kernel.cell import cell
from vmrace.harness.machine import stuck
from vmrace.harness.machine.machine import m

from tests.explore.compare import by_brute_force, by_dpor, by_states
from tests.programs import readers


def spins(sets: bool = True) -> Program:
    """Make a task that loops, with a store in each turn, until the other task lets it go: some runs have no end."""
    go, rounds = cell("go", value=0), cell("rounds", value=0)

    def spin() -> None:
        while not go.value:
            rounds.value = rounds.value + 1

    def let_go() -> None:
        if sets:
            go.value = 1
    return Program([spin, let_go])


@pytest.mark.parametrize("sets", [True, False])
def test_a_run_without_an_end_is_a_limit(monkeypatch: pytest.MonkeyPatch, sets: bool) -> None:
    monkeypatch.setattr(optimal, "EVENTS_MAX", 50)
    runner, explorer = Runner(spins, sets), Optimal()
    limits = []
    for _ in explorer.runs(runner.run):
        limits.append(explorer.limit)
        assert len(explorer.events) <= 50
        if len(limits) == 20:
            break
    assert limits[0]
    assert by_dpor(runner, 1000) is None


def test_a_run_that_just_fits_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the limit to the longest run of readers(2), then to one event less: it has three tasks with at most two events each."""
    runner = Runner(readers.make, 2)
    explorer = Optimal()
    longest = 0
    for _ in explorer.runs(runner.run):
        longest = max(longest, len(explorer.events))
        assert not explorer.limit
    monkeypatch.setattr(optimal, "EVENTS_MAX", longest)
    assert by_dpor(runner, 100) is not None
    monkeypatch.setattr(optimal, "EVENTS_MAX", longest - 1)
    assert by_dpor(runner, 100) is None


def test_a_run_over_the_steps_of_the_machine_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """End the run at the steps of the machine, in a schedule that no explorer chose: a livelock, and no exploration is complete."""
    monkeypatch.setattr(m, "steps_max", 60)
    monkeypatch.setattr(stuck, "FAIR_STEPS_MAX", 60)
    runner = Runner(spins, False)
    for result in Optimal().runs(runner.run):
        assert result.limit_hit
        assert result.titles == ["LIVELOCK: spin"]
    assert by_dpor(runner, 100) is None
    assert by_brute_force(runner, 100, 0) is None
    assert by_states(runner, 100) is None


def test_a_budget_that_is_spent_is_no_result() -> None:
    runner = Runner(readers.make, 3)
    assert by_dpor(runner, 8) is not None
    assert by_dpor(runner, 7) is None
    schedules = by_brute_force(runner, 100_000)
    assert schedules is not None
    assert by_brute_force(runner, 10) is None
    assert by_states(runner, 3) is None
