# SPDX-License-Identifier: MIT
"""Accesses that only one process can notice make no classes, and the explorer learns of everything that makes them visible."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.explore.routes import Routes
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.kernel import (
    atomic_inc,
    atomic_read,
    atomic_t,
    current,
    raise_irq,
    spin_lock,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
    spinlock_t,
)
from vmrace.harness.kernel.cell import cell

from tests.explore.compare import by_brute_force, by_dpor

CAP = 20_000


def classes(make: Callable[[], Program]) -> int:
    """Return the number of classes on the route that sends all interrupts to cpu 0."""
    runner, explorer = Runner(make), Optimal()
    for _ in explorer.runs(runner.run):
        pass
    assert explorer.blocked_count == 0
    return explorer.run_count


def agrees(make: Callable[[], Program]) -> set[object]:
    """Return the results of the tasks in all outcomes, after a comparison of optimal DPOR with every schedule."""
    runner = Runner(make)
    explored, schedules = by_dpor(runner, CAP), by_brute_force(runner, CAP)
    assert explored is not None
    assert schedules is not None
    assert explored.costs == schedules
    return {outcome[1] for outcome in schedules}


def interrupted(steps: int) -> Callable[[], Program]:
    """Make a program whose interrupt reads a cell that its cpu writes after that number of private steps."""
    def make() -> Program:
        mine, shown = cell("mine", value=0), cell("shown", value=0)
        seen: list[int] = []

        def task() -> None:
            for _ in range(steps):
                mine.value = mine.value + 1
            shown.value = 1

        def handler() -> None:
            seen.append(shown.value)
        return Program([task, lambda: tuple(seen)], irqs=[handler], cpus=2)
    return make


def test_where_an_interrupt_comes_among_steps_that_it_cannot_tell_makes_no_class() -> None:
    assert classes(interrupted(1)) == classes(interrupted(8))


def test_a_lock_and_its_data_that_one_task_has_alone_make_no_class() -> None:
    def make() -> Program:
        shared = atomic_t("shared")

        def alone(number: int) -> Callable[[], int]:
            lock, mine = spinlock_t(f"lock{number}"), cell(f"mine{number}", value=0)

            def task() -> int:
                spin_lock(lock)
                mine.value = mine.value + 1
                spin_unlock(lock)
                atomic_inc(shared)
                spin_lock(lock)
                mine.value = mine.value + 1
                spin_unlock(lock)
                return mine.value
            return task
        return Program([alone(0), alone(1)], check=lambda: atomic_read(shared) == 2)
    runner, explorer = Runner(make), Optimal()
    events = {len(explorer.events) for _ in explorer.runs(runner.run)}
    assert explorer.run_count == 2
    assert min(events) == 4                 # the start of each task, and its increment


def test_what_only_a_late_run_shares_is_noticed() -> None:
    """Let the second task touch the data of the first only if it comes between two steps of the first."""
    def make() -> Program:
        step, mine = cell("step", value=0), cell("mine", value=0)

        def first() -> int:
            step.value = 1
            mine.value = 1
            mine.value = mine.value + 1
            step.value = 2
            return mine.value

        def second() -> None:
            if step.value == 1:
                mine.value = 10
        return Program([first, second])
    assert {results[0] for results in agrees(make)} == {2, 10, 11}      # type: ignore[index]


@pytest.mark.parametrize("way", ["irqsave", "preempt"])
def test_a_step_after_which_nobody_may_come_in_any_more_is_an_event(way: str) -> None:
    """Let another process come between `shown` and the section, behind a private step; once the section has begun, it cannot."""
    def make() -> Program:
        lock, mine, shown = spinlock_t("lock"), cell("mine", value=0), cell("shown", value=0)
        seen = cell("seen", value=-1)

        def task() -> None:
            shown.value = 1
            mine.value = 1
            flags = spin_lock_irqsave(lock)
            shown.value = 2
            shown.value = 3
            spin_unlock_irqrestore(lock, flags)

        def looks() -> None:
            seen.value = shown.value
        if way == "irqsave":
            return Program([task, lambda: seen.value], irqs=[looks], cpus=2)
        return Program([[task, looks], lambda: seen.value], preempt=True)
    runner = Runner(make)
    seen = set()
    for route in (routes := Routes(runner.cpus)):
        explorer = Optimal(route)
        for result in explorer.runs(runner.run):
            seen.add(result.state)
        routes.seen(explorer)
    agrees(make)
    assert {value for state in seen for part in state for value in part} >= {0, 1, 3}


def test_an_interrupt_that_asks_for_current_can_tell_how_far_its_task_is() -> None:
    """Use data that is keyed by `current`, which is no access: only the task itself and its interrupts can see it."""
    def make() -> Program:
        mine, seen = cell("mine", value=0), cell("seen", value=0)
        words = {}

        def task() -> None:
            mine.value = 1
            words[current()] = 5
            mine.value = 2
            del words[current()]
            mine.value = 3

        def handler() -> None:
            seen.value = words.get(current(), 1)
        return Program([task, lambda: seen.value], irqs=[handler], cpus=2)
    assert {results[1] for results in agrees(make)} == {0, 1, 5}        # type: ignore[index]


def test_an_interrupt_raised_behind_a_step_of_ones_own_is_noticed() -> None:
    def make() -> Program:
        mine, shown = cell("mine", value=0), cell("shown", value=0)

        def task() -> int:
            shown.value = 1
            mine.value = 1
            raise_irq(handler)
            mine.value = 2
            shown.value = 2
            return shown.value

        def handler() -> None:
            shown.value = shown.value + 10
        return Program([task, lambda: shown.value], cpus=2)
    assert {results[0] for results in agrees(make)} >= {2, 12}          # type: ignore[index]
