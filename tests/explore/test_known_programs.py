# SPDX-License-Identifier: MIT
"""Well-known programs with all their outcomes, and beside each a repaired twin, which has only good ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.functions.verify import verify
from vmrace.harness.kernel import (
    BUG_ON,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    __set_current_state,
    add_wait_queue,
    atomic_inc,
    atomic_read,
    atomic_t,
    flags_t,
    need_resched,
    remove_wait_queue,
    schedule,
    set_bit,
    set_current_state,
    spin_lock,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irqrestore,
    spinlock_t,
    test_bit,
    wait_queue_head_t,
    wake_up,
    yield_cpu,
)
from vmrace.harness.kernel.cell import cell

from tests.explore.compare import by_brute_force, by_dpor, by_states, outcome_of, within
from tests.programs import reorder

CAP = 20_000
test_bit.__test__ = False               # a function of the kernel, no test


def lost_update(repaired: bool) -> Program:
    x, count = cell("x", value=0), atomic_t("count")

    def add() -> None:
        if repaired:
            atomic_inc(count)
        else:
            x.value = x.value + 1
    return Program([add, add], check=lambda: (atomic_read(count) if repaired else x.value) == 2)


def abba(repaired: bool) -> Program:
    a, b = spinlock_t("a"), spinlock_t("b")

    def nests(first: Any, second: Any) -> Callable[[], None]:
        def task() -> None:
            spin_lock(first)
            spin_lock(second)
            spin_unlock(second)
            spin_unlock(first)
        return task
    return Program([nests(a, b), nests(a, b) if repaired else nests(b, a)])


def interrupted_holder(repaired: bool) -> Program:
    lock, count = spinlock_t("lock"), cell("count", value=0)

    def host() -> None:
        flags = spin_lock_irqsave(lock) if repaired else spin_lock(lock)
        count.value = count.value + 1
        if repaired:
            spin_unlock_irqrestore(lock, flags)
        else:
            spin_unlock(lock)

    def handler() -> None:
        spin_lock(lock)
        count.value = count.value + 1
        spin_unlock(lock)
    return Program([host], irqs=[handler], cpus=2, check=lambda: count.value == 2)


def lost_wakeup(repaired: bool) -> Program:
    """Make a sleeper that tests the bit before it sets its state: a wake-up in between finds no sleeper."""
    queue, word = wait_queue_head_t("queue"), flags_t("word")

    def sleeper() -> None:
        if repaired:
            add_wait_queue(queue)
            set_current_state(TASK_UNINTERRUPTIBLE)
            if not test_bit(0, word):
                schedule()
            set_current_state(TASK_RUNNING)
            remove_wait_queue(queue)
        elif not test_bit(0, word):
            add_wait_queue(queue)
            set_current_state(TASK_UNINTERRUPTIBLE)
            schedule()
            remove_wait_queue(queue)

    def waker() -> None:
        set_bit(0, word)
        wake_up(queue)
    return Program([sleeper, waker])


def trylock(repaired: bool) -> Program:
    """Make tasks that go on without the lock if the trylock fails; repaired, they yield and try again."""
    lock, count = spinlock_t("lock"), cell("count", value=0)

    def add() -> None:
        got = spin_trylock(lock)
        while repaired and not got:
            yield_cpu()
            got = spin_trylock(lock)
        count.value = count.value + 1
        if got:
            spin_unlock(lock)
    return Program([add, add], check=lambda: count.value == 2)


def philosophers(repaired: bool) -> Program:
    forks = [spinlock_t(f"fork{i}") for i in range(3)]
    eaten = atomic_t("eaten")

    def philosopher(i: int) -> Callable[[], None]:
        first, second = forks[i], forks[(i + 1) % 3]
        if repaired and i == 2:
            first, second = second, first

        def dine() -> None:
            spin_lock(first)
            spin_lock(second)
            atomic_inc(eaten)
            spin_unlock(second)
            spin_unlock(first)
        return dine
    return Program([philosopher(i) for i in range(3)], check=lambda: atomic_read(eaten) == 3)


CHECK = "CHECK: the program's own check fails"
GOOD: frozenset[tuple[str, ...]] = frozenset({()})
# program, the findings of each of its outcomes, the fewest preemptions of an outcome that is bad
PROGRAMS = (
    (lost_update, {(), (CHECK,)}, 1),
    (abba, {("LOCKDEP: lock order a -> b -> a",), ("DEADLOCK: nobody can run: a in task, b in task",)}, 1),
    (interrupted_holder, {("LOCKDEP: lock taken in an interrupt and with interrupts on",),
                          ("DEADLOCK: lock taken in an interrupt on its holder in handler",)}, 1),
    (lost_wakeup, {(), ("DEADLOCK: tasks asleep for ever: sleeper",)}, 1),
    (trylock, {(), (CHECK,)}, 1),
    (philosophers, {("LOCKDEP: lock order fork0 -> fork1 -> fork2 -> fork0",),
                    ("DEADLOCK: nobody can run: fork0 in dine, fork1 in dine, fork2 in dine",)}, 1),
)
IDS = [program.__name__ for program, _, _ in PROGRAMS]


@pytest.mark.long
@pytest.mark.parametrize(("program", "titles", "preemptions"), PROGRAMS, ids=IDS)
def test_all_that_can_come_of_it_is_seen(program: Callable[[bool], Program], titles: set[tuple[str, ...]], preemptions: int) -> None:
    runner = Runner(program, False)
    explored = by_dpor(runner, CAP)
    assert explored is not None
    assert {outcome[0] for outcome in explored.costs} == titles
    assert explored.blocked_count == 0
    bad = [cost for outcome, cost in explored.costs.items() if not all(title.startswith("LOCKDEP") for title in outcome[0])]
    assert min(bad) == preemptions, bad
    states = by_states(runner, CAP)
    assert states is None or set(explored.costs) == states
    for bound in range(3):
        schedules = by_brute_force(runner, CAP, bound)
        assert schedules is not None
        assert set(schedules) == within(explored.costs, bound)


@pytest.mark.parametrize("program", [program for program, _, _ in PROGRAMS], ids=IDS)
def test_of_the_repaired_one_only_good_can_come(program: Callable[[bool], Program]) -> None:
    runner = Runner(program, True)
    explored = by_dpor(runner, CAP)
    assert explored is not None
    assert {outcome[0] for outcome in explored.costs} == GOOD
    assert explored.run_count > 1
    for bound in range(3):
        schedules = by_brute_force(runner, CAP, bound)
        assert schedules is not None
        assert set(schedules) == within(explored.costs, bound)


@pytest.mark.parametrize("setters", [1, 2, 3])
def test_reorder_needs_one_preemption(setters: int) -> None:
    runner = Runner(reorder.make, setters)
    explored = by_dpor(runner, CAP)
    assert explored is not None
    for bound, titles in ((0, {()}), (1, {(), (CHECK,)})):
        schedules = by_brute_force(runner, CAP, bound)
        assert schedules is not None
        assert set(schedules) == within(explored.costs, bound)
        assert {outcome[0] for outcome in schedules} == titles


def test_a_check_may_look_at_all_there_is() -> None:
    """Read five cells in the check: its reads are no steps of the run."""
    def make() -> Program:
        cells = [cell(f"x{number}", value=0) for number in range(5)]

        def store() -> None:
            cells[0].value = 1
        return Program([store, store], check=lambda: sum(one.value for one in cells) == 1)
    found = verify(make)
    assert found.proved and found.classes == 2


def two_bugs() -> Program:
    """Make two tasks, each of which dies if it sees the first store of the other; then its second store is missing. A third task reads."""
    x, y, done = (cell(name, value=0) for name in ("x", "y", "done"))

    def left() -> None:
        x.value = 1
        BUG_ON(y.value == 1, 1)
        done.value = 1

    def right() -> None:
        y.value = 1
        BUG_ON(x.value == 1, 2)
        done.value = 2
    return Program([left, right, lambda: done.value])


def test_a_bug_in_one_task_does_not_hide_those_of_another() -> None:
    runner = Runner(two_bugs)
    explored, schedules, states = by_dpor(runner, CAP), by_brute_force(runner, CAP), by_states(runner, CAP)
    assert explored is not None
    assert schedules is not None
    assert explored.costs == schedules
    assert set(explored.costs) == states
    left, right = (f"BUG at test_known_programs.py:{line} in {name}" for line, name in ((1, "left"), (2, "right")))
    assert {(outcome[0], outcome[1][2]) for outcome in explored.costs} == {
        ((left,), 0), ((left,), 2), ((right,), 0), ((right,), 1), ((left, right), 0)}


def test_what_is_left_to_do_when_a_task_dies_is_still_explored() -> None:
    """Let a task die before the other two run. A BUG that ended the run would hide their order."""
    def make() -> Program:
        x, y = cell("x", value=1), cell("y", value=0)

        def dies() -> None:
            BUG_ON(x.value == 1, 1)

        def store() -> None:
            y.value = 1
        return Program([dies, store, lambda: y.value])
    runner, explorer = Runner(make), Optimal()
    outcomes = {outcome_of(result) for result in explorer.runs(runner.run)}
    assert {outcome[1][2] for outcome in outcomes} == {0, 1}
    assert all(len(outcome[0]) == 1 for outcome in outcomes)
    assert (explorer.run_count, explorer.blocked_count) == (2, 0)


def sets_state_without_barrier() -> Program:
    """Make a sleeper that sets its state in the step in which it reads `other`: a wake-up before that step is lost."""
    queue, ready, other = wait_queue_head_t("queue"), cell("ready", value=0), cell("other", value=0)

    def sleeper() -> None:
        add_wait_queue(queue)
        ready.value = 1
        if not other.value:
            __set_current_state(TASK_UNINTERRUPTIBLE)
        schedule()
        remove_wait_queue(queue)

    def waker() -> None:
        BUG_ON(ready.value == 0, 1)
        wake_up(queue)
    return Program([sleeper, waker])


def asks_who_is_ready(preempt: bool) -> Program:
    """Make a task that asks whether the other task of its cpu is ready; that one sleeps, is woken and ends."""
    queue, ready, other = wait_queue_head_t("queue"), cell("ready", value=0), cell("other", value=0)

    def sleeper() -> None:
        add_wait_queue(queue)
        __set_current_state(TASK_UNINTERRUPTIBLE)
        ready.value = 1
        schedule()
        remove_wait_queue(queue)

    def asks() -> tuple[int, bool]:
        return other.value, need_resched()

    def waker() -> None:
        if ready.value:
            wake_up(queue)
    return Program([[sleeper, asks], waker], preempt=preempt)


def scans(preempt: bool) -> Program:
    """Two tasks of one cpu scan as shrink_cache() of 2.4.20 does: a round in which they give up the cpu counts, and scans nothing."""
    scanned = [cell("scanned", value=0), cell("scanned", value=0)]

    def scan(mine: cell) -> None:
        for _ in range(2):
            if need_resched():
                schedule()
                continue
            mine.value += 1
    return Program([[lambda: scan(scanned[0]), lambda: scan(scanned[1])]], check=lambda: all(one.value for one in scanned), preempt=preempt)


@pytest.mark.parametrize("preempt", [False, True])
def test_a_task_that_has_just_given_up_the_cpu_need_not_do_so_again(preempt: bool) -> None:
    assert verify(scans, preempt).proved


@pytest.mark.parametrize("make", [sets_state_without_barrier, lambda: asks_who_is_ready(False), lambda: asks_who_is_ready(True)],
                         ids=["state", "ready", "ready, preempted"])
def test_what_is_stored_and_looked_at_without_a_point_of_its_own_is_known(make: Callable[[], Program]) -> None:
    runner = Runner(make)
    explored, schedules = by_dpor(runner, CAP), by_brute_force(runner, CAP)
    assert explored is not None
    assert schedules is not None
    assert explored.costs == schedules
    assert ("DEADLOCK: tasks asleep for ever: " + runner.tasks[0][1][0][0].__name__,) in {outcome[0] for outcome in schedules}
