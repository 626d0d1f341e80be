# SPDX-License-Identifier: MIT
"""The log of a run: parts with the points of one process each, a preempted point where the task goes on, a lock where it is acquired."""

from __future__ import annotations

from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.kernel import atomic_inc, atomic_read, atomic_t, raise_irq, spin_lock, spin_unlock, spinlock_t
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.run_log import ENTERED, LEFT, RAISED, RUNS
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.replay import Replay


def logged(runner: Runner, switches: list[int], forced: list[int]) -> list[tuple[int, int, list[str]]]:
    """Make a run, and return its log with the names of the objects, without empty parts of the beginning."""
    m.run_log = log = []
    try:
        runner.run(Replay(switches, forced))
    finally:
        m.run_log = None
    return [(what, number, [f"{kind} {obj.name}" for kind, obj, _ in part]) for what, number, part in log[1:]]


def two_tasks() -> Program:
    count, lock = atomic_t("count"), spinlock_t("lock")

    def reads() -> None:
        spin_lock(lock)
        atomic_read(count)
        spin_unlock(lock)

    def adds() -> None:
        spin_lock(lock)
        atomic_inc(count)
        spin_unlock(lock)
    return Program([reads, adds])


def test_a_part_has_the_points_of_a_task_up_to_the_switch() -> None:
    assert logged(Runner(two_tasks), [], [0]) == [(RUNS, 0, ["4 lock", "1 count", "6 lock"]), (RUNS, 1, ["4 lock", "3 count", "6 lock"])]


def test_a_preempted_point_stands_where_the_task_goes_on() -> None:
    # step 1 is the acquire of the first task: it is preempted before it
    assert logged(Runner(two_tasks), [1, 1], [0]) == [
        (RUNS, 0, []), (RUNS, 1, ["4 lock", "3 count", "6 lock"]), (RUNS, 0, ["4 lock", "1 count", "6 lock"])]


def test_a_lock_that_is_waited_for_stands_where_it_is_acquired() -> None:
    # preempted at its load, with the lock: the other task spins, and acquires it after the release
    assert logged(Runner(two_tasks), [2, 1], [0]) == [
        (RUNS, 0, ["4 lock"]), (RUNS, 1, []), (RUNS, 0, ["1 count", "6 lock"]), (RUNS, 1, ["4 lock", "3 count", "6 lock"])]


def test_an_interrupt_has_parts_of_its_own() -> None:
    def make() -> Program:
        count = atomic_t("count")

        def handler() -> None:
            atomic_inc(count)

        def task() -> None:
            raise_irq(handler)
            atomic_read(count)
        return Program([task])
    # decision 1: the first interrupt hits the only cpu
    parts = logged(Runner(make), [1, 1], [])
    assert [(what, part) for what, _, part in parts] == [
        (RUNS, []), (RAISED, []), (ENTERED, ["3 count"]), (LEFT, ["1 count"])]


def test_without_a_log_the_machine_keeps_none_and_makes_the_same_run() -> None:
    runner = Runner(two_tasks)
    steps = runner.run(NoPreempt()).steps
    assert m.log is None
    m.run_log = []
    try:
        assert runner.run(NoPreempt()).steps == steps
    finally:
        m.run_log = None
