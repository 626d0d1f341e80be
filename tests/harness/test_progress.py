# SPDX-License-Identifier: MIT
"""progress reports a deadlock with its cycle, and a livelock after the bound; atomic_sleep reports sleeping where it is forbidden."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.kernel import (
    BUG_ON,
    TASK_UNINTERRUPTIBLE,
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_t,
    down,
    down_read,
    down_write,
    raise_irq,
    read_lock,
    read_unlock,
    rw_semaphore,
    rwlock_t,
    schedule,
    semaphore,
    set_current_state,
    spin_lock,
    spin_unlock,
    spinlock_t,
    write_lock,
    write_unlock,
)
from vmrace.harness.machine import machine, stuck
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import NEVER
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.family import family

from tests.fuzz.family_programs import program as program_of
from tests.harness.referee import Referee
from tests.toy import GREENLETS, THREADS, Run, Toy

LOCKS = "tests.harness.kernels.locks"
SLEEPERS = "tests.harness.kernels.sleepers"
YIELDERS = "tests.harness.kernels.yielders"
SEQSCHEDLOCK = "vmrace.variants.invalidate_2_6.andrea_seqschedlock.seqschedlock_h"
TOYS = {LOCKS: Toy(LOCKS), SLEEPERS: Toy(SLEEPERS), YIELDERS: Toy(SEQSCHEDLOCK, YIELDERS)}


def runs(program: list[Any], preemptions: int, kernel: str = LOCKS, cpus: int | None = None, preempt: bool = False) -> list[Run]:
    return list(every_schedule(lambda scheduler: TOYS[kernel].run(program, scheduler, cpus, preempt), preemptions))


def first_with(found: list[Run], start: str) -> Run:
    return next(run for run in found if run.title is not None and run.title.startswith(start))


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(m, "steps_max", 500)
    monkeypatch.setattr(stuck, "FAIR_STEPS_MAX", 500)


# ---- deadlock -------------------------------------------------------------------------------------------------------------

ABBA = [(0, [("forward",)]), (1, [("backward",)])]
ABBA_TITLE = "DEADLOCK: nobody can run: first in backward, second in forward"


def test_two_lock_orders_do_not_deadlock_without_a_preemption() -> None:
    assert {run.title for run in runs(ABBA, 0)} == {None}


def test_two_lock_orders_deadlock_with_one_preemption() -> None:
    assert {run.title for run in runs(ABBA, 1)} == {None, ABBA_TITLE}


def test_the_detail_of_a_deadlock_names_which_task_waits_for_which() -> None:
    run = first_with(runs(ABBA, 1), "DEADLOCK")
    assert run.findings[0].detail == "task0 spins for second, held by task1; task1 spins for first, held by task0"


def test_the_title_of_a_deadlock_of_three_tasks_names_all_three() -> None:
    cycle = [(0, [("forward",)]), (1, [("second_third",)]), (2, [("third_first",)])]
    run = first_with(runs(cycle, 2), "DEADLOCK")
    assert run.title == "DEADLOCK: nobody can run: first in third_first, second in forward, third in second_third"


def test_the_title_of_a_deadlock_with_a_reader_names_only_the_tasks_in_the_cycle() -> None:
    """A task that only waits behind the cycle is in the detail and not in the title."""
    found = runs([(0, [("read_then_first",)]), (1, [("first_then_write",)]), (2, [("take_irqs_on",)])], 2)
    deadlocks = [run for run in found if run.title is not None]
    assert {run.title for run in deadlocks} == {"DEADLOCK: nobody can run: first in read_then_first, tasks in first_then_write"}
    assert {run.findings[0].detail.count(" spins for ") for run in deadlocks} == {2, 3}
    assert all("task1 spins for tasks, held by task0" in run.findings[0].detail for run in deadlocks)


def test_taking_a_lock_twice_is_a_deadlock_of_one() -> None:
    run = TOYS[LOCKS].run([(0, [("twice",)])], NoPreempt())
    assert run.titles == ["DEADLOCK: first taken again by its holder in twice"]


def test_reading_under_ones_own_write_lock_is_a_deadlock_of_one() -> None:
    run = TOYS[LOCKS].run([(0, [("write_then_read",)])], NoPreempt())
    assert run.titles == ["DEADLOCK: tasks taken again by its holder in write_then_read"]


def test_reading_a_rwlock_twice_is_no_deadlock() -> None:
    assert {run.title for run in runs([(0, [("read_twice",)]), (1, [("write_with_irqs_on",)])], 2)} == {None}


def test_reading_a_rwsem_twice_deadlocks_with_a_writer_in_between() -> None:
    found = runs([(0, [("rwsem_read_twice",)]), (1, [("rwsem_write",)])], 2)
    assert first_with(found, "DEADLOCK").title == "DEADLOCK: tasks asleep for ever: rwsem_read_twice, rwsem_write"


def test_an_interrupt_that_hits_the_holder_of_its_lock_is_a_deadlock() -> None:
    found = runs([(0, [("take_irqs_on",)]), (1, [("raise_taker",)])], 1)
    assert "DEADLOCK: first taken in an interrupt on its holder in take_in_irq" in {run.title for run in found}


def test_an_interrupt_never_hits_a_cpu_with_interrupts_off() -> None:
    found = runs([(0, [("take_irqs_off",)]), (1, [("raise_taker",)])], 2)
    assert {run.title for run in found} == {None}


def test_interrupts_that_wait_for_each_other_after_the_last_task_are_a_deadlock() -> None:
    """Two handlers take two locks in two orders on two idle cpus, after the task that raised them has ended."""
    found = runs([(0, [("raise_both",)])], 2, cpus=3)
    assert first_with(found, "DEADLOCK").title == "DEADLOCK: nobody can run: first in irq_backward, second in irq_forward"


def test_after_a_deadlock_of_interrupts_the_machine_runs_as_before() -> None:
    kernel = TOYS[LOCKS]
    program = [(0, [("raise_both",)])]
    before = kernel.trace(program, NoPreempt(), cpus=3)
    first_with(runs(program, 2, cpus=3), "DEADLOCK")
    assert kernel.trace(program, NoPreempt(), cpus=3).facts == before.facts


def test_a_deadlock_of_a_task_that_an_interrupt_has_hit_names_that_task() -> None:
    """An interrupt hits a task that spins for a lock, waits for a lock itself and returns: the task still waits at the same place."""
    found = runs([(0, [("hold_first_and_raise",)]), (1, [("hold_third_and_spin_for_first",)])], 3)
    titles = {run.title for run in found} - {None}
    assert "DEADLOCK: nobody can run: first in hold_third_and_spin_for_first, third in hold_first_and_raise" in titles
    assert not any(title is not None and "user_space" in title for title in titles)


def test_sleeping_for_ever_is_a_deadlock_whose_title_names_the_place() -> None:
    run = TOYS[SLEEPERS].run([(0, [("wait_for_nobody",)]), (1, [("nothing",)])], NoPreempt())
    assert run.titles == ["DEADLOCK: tasks asleep for ever: wait_for_nobody"]
    assert run.findings[0].detail == "task0 sleeps in wait_for_nobody"


def test_a_task_behind_one_that_sleeps_for_ever_is_named_in_the_detail_only() -> None:
    """One mistake has one title, however many tasks wait behind it."""
    run = TOYS[SLEEPERS].run([(0, [("wait_for_nobody_with_sem",)]), (1, [("take_sem_with_other",)])], NoPreempt())
    assert run.titles == ["DEADLOCK: tasks asleep for ever: wait_for_nobody"]
    assert run.findings[0].detail == "task0 sleeps in wait_for_nobody; task1 sleeps in take_sem for sem, held by task0"


def test_a_reader_and_a_writer_behind_a_reader_that_sleeps_for_ever_are_in_the_detail() -> None:
    run = TOYS[SLEEPERS].run([(0, [("wait_for_nobody_reading",)]), (1, [("write_rwsem",)]), (2, [("read_rwsem",)])], NoPreempt())
    assert run.titles == ["DEADLOCK: tasks asleep for ever: wait_for_nobody"]
    assert run.findings[0].detail == ("task0 sleeps in wait_for_nobody; task1 sleeps in write_rwsem for rwsem, held by task0; "
                                      "task2 sleeps in read_rwsem for rwsem, behind task1")


def test_the_title_of_a_deadlock_of_semaphores_names_the_tasks_in_the_cycle() -> None:
    found = runs([(0, [("take_sem_with_other",)]), (1, [("take_other_with_sem",)]), (2, [("take_sem",)])], 1, SLEEPERS)
    titles = {run.title for run in found if run.title is not None and run.title.startswith("DEADLOCK")}
    assert titles == {"DEADLOCK: tasks asleep for ever: take_other_with_sem, take_sem"}


def found_by_walks(make: Callable[[], Program], count: int) -> set[tuple[str, str]]:
    """Return the (title, detail) of each finding of `count` random walks."""
    runner = Runner(make)
    return {(finding.title, finding.detail) for seed in range(count) for finding in runner.run(Walk(random.Random(seed), 0.5)).findings}


def test_a_reader_whose_interrupt_waits_still_holds_its_lock() -> None:
    def program() -> Program:
        tasks, lock, count = rwlock_t("tasks"), spinlock_t("lock"), atomic_t("count")

        def handler() -> None:
            spin_lock(lock)
            spin_unlock(lock)

        def reader() -> None:
            read_lock(tasks)
            raise_irq(handler)
            atomic_inc(count)
            read_unlock(tasks)

        def writer() -> None:
            spin_lock(lock)
            write_lock(tasks)
            write_unlock(tasks)
            spin_unlock(lock)
        return Program([reader, writer])
    deadlocks = {found for found in found_by_walks(program, 300) if found[0].startswith("DEADLOCK: nobody")}
    assert {title for title, _ in deadlocks} == {"DEADLOCK: nobody can run: lock in handler, tasks in writer"}
    assert all("task1 spins for tasks, held by task0" in detail for _, detail in deadlocks)


def test_many_writers_behind_a_reader_that_sleeps_for_ever_are_reported_fast() -> None:
    def program() -> Program:
        rwsem = rw_semaphore("rwsem")

        def reader() -> None:
            down_read(rwsem)
            set_current_state(TASK_UNINTERRUPTIBLE)
            schedule()

        def writer() -> None:
            down_write(rwsem)
        return Program([reader] + [writer] * (machine.TASKS_MAX - 1))
    finding = Runner(program).run(NoPreempt()).findings[0]
    assert finding.title == "DEADLOCK: tasks asleep for ever: reader"
    assert finding.detail.endswith(f"task{machine.TASKS_MAX - 1} sleeps in writer for rwsem, held by task0")


def test_an_interrupt_that_hits_a_task_in_a_deadlock_is_no_error() -> None:
    """After the interrupt returns no task can run, and the task under it detects the deadlock."""
    def program() -> Program:
        tasks, count = rwlock_t("tasks"), atomic_t("count")

        def tick() -> None:
            pass

        def reads_then_writes() -> None:
            raise_irq(tick)
            if atomic_read(count) == 1:
                read_lock(tasks)
                write_lock(tasks)

        def other() -> None:
            atomic_inc(count)
            atomic_dec(count)
        return Program([reads_then_writes, other])
    assert {title for title, _ in found_by_walks(program, 2000)} == {"DEADLOCK: nobody can run: tasks in reads_then_writes"}


def test_a_program_that_catches_everything_does_not_outlive_its_run() -> None:
    def program() -> Program:
        never, count = semaphore("never", 0), atomic_t("count")

        def waits() -> None:
            with contextlib.suppress(BaseException):
                down(never)

        def fails() -> None:
            atomic_inc(count)
            BUG_ON(True, 7)
        return Program([waits, fails, lambda: atomic_inc(count)])
    assert {title for title, _ in found_by_walks(program, 200)} == {"BUG at test_progress.py:7 in fails"}


@pytest.mark.long
def test_a_deadlock_names_the_place_of_a_task_whose_interrupt_had_to_wait() -> None:
    """The interrupt spins for `third`, acquires it and returns; the task under it never runs again, and the deadlock names its place."""
    program = [(0, [("hold_first_raise_and_wait_for_second",)]), (1, [("backward",)]), (2, [("third_only",)])]
    titles = {run.title for run in runs(program, 3)} - {None}
    assert "DEADLOCK: nobody can run: first in backward, second in hold_first_raise_and_wait_for_second" in titles
    assert [title for title in titles if title is not None and "user_space" in title] == []


def test_spinning_tasks_of_a_preemptible_cpu_do_not_preempt_each_other_for_ever() -> None:
    program = [(0, [("take_irqs_on",)]), (0, [("take_irqs_on",)]), (1, [("forward",)]), (2, [("backward",)])]
    rng = random.Random(4)
    titles = {TOYS[LOCKS].run(program, Referee(Walk(rng, 0.5)), 3, True).title for _ in range(200)}
    assert "DEADLOCK: nobody can run: first in backward, second in forward" in titles


@pytest.mark.parametrize("backend", [GREENLETS, THREADS])
def test_a_deadlock_of_tasks_that_share_preemptible_cpus_ends_the_run(backend: Any) -> None:
    """Spinning tasks could preempt each other for ever. None of them can make progress, so this is a deadlock."""
    kernel = Toy(LOCKS, backend=backend)
    program = [(0, [("forward",)]), (0, [("take_irqs_on",)]), (1, [("backward",)]), (1, [("take_irqs_on",)])]
    rng = random.Random(3)
    titles = {kernel.run(program, Walk(rng, 0.4), 2, True).title for _ in range(150)}
    assert any(title is not None and title.startswith("DEADLOCK: nobody can run") for title in titles)


# ---- livelock -------------------------------------------------------------------------------------------------------------

SCHEDULERS: list[Callable[[random.Random], Any]] = [lambda rng: NoPreempt(), lambda rng: Walk(rng, 0.2), lambda rng: Pct(rng, 3, 40)]
each_scheduler = pytest.mark.parametrize("make", SCHEDULERS, ids=["nopreempt", "walk", "pct"])


@each_scheduler
def test_a_loop_that_yields_to_the_task_it_waits_for_is_no_livelock(make: Any) -> None:
    rng = random.Random(5)
    for _ in range(20):
        assert TOYS[LOCKS].run([(0, [("wait_for_go",)]), (1, [("set_go",)])], make(rng)).titles == []


def test_a_loop_that_yields_lets_the_other_task_run_at_once() -> None:
    run = TOYS[LOCKS].run([(0, [("wait_for_go",)]), (1, [("set_go",)])], NoPreempt())
    assert run.steps == 4               # read, yield, the other's increment, read


@each_scheduler
def test_a_loop_that_yields_to_a_task_of_its_own_cpu_is_no_livelock(make: Any) -> None:
    rng = random.Random(6)
    for _ in range(20):
        assert TOYS[LOCKS].run([(0, [("wait_for_go",)]), (0, [("set_go",)])], make(rng)).titles == []


def test_a_loop_without_yield_is_no_livelock_if_a_fair_schedule_ends_it() -> None:
    run = TOYS[LOCKS].run([(0, [("wait_for_go_without_yielding",)]), (1, [("set_go",)])], NoPreempt())
    assert (run.titles, run.limit_hit) == ([], False)
    assert run.steps > machine.STEPS_MAX


def test_a_loop_without_yield_that_waits_for_a_task_of_its_own_cpu_is_a_livelock() -> None:
    run = TOYS[LOCKS].run([(0, [("wait_for_go_without_yielding",)]), (0, [("set_go",)])], Replay((), (0,)))
    assert run.titles == ["LIVELOCK: wait_for_go_without_yielding"]
    assert run.limit_hit


def test_a_livelock_is_reported_exactly_at_the_bound_of_steps() -> None:
    run = TOYS[LOCKS].run([(0, [("wait_for_go",)])], NoPreempt())
    assert run.steps == machine.STEPS_MAX + stuck.FAIR_STEPS_MAX


@each_scheduler
def test_the_title_names_the_function_with_the_loop_wherever_the_run_is_cut(make: Any, short_runs: None) -> None:
    rng = random.Random(7)
    program = [(cpu, [("beat_and_look_until_go",)]) for cpu in (0, 1)]
    titles = {TOYS[LOCKS].run(program[:tasks], make(rng)).title for tasks in (1, 2) for _ in range(10)}
    assert titles == {"LIVELOCK: beat_and_look_until_go"}


@each_scheduler
def test_two_tasks_that_wait_for_each_other_for_ever_are_one_livelock_under_any_schedule(make: Any, short_runs: None) -> None:
    rng = random.Random(8)
    titles = {TOYS[LOCKS].run([(0, [("wait_for_back_then_go",)]), (1, [("wait_for_go_then_back",)])], make(rng)).title
              for _ in range(20)}
    assert titles == {"LIVELOCK: wait_for_back_then_go, wait_for_go_then_back"}


def test_a_replayed_livelock_has_the_same_title_and_steps(short_runs: None) -> None:
    program = [(0, [("wait_for_back_then_go",)]), (1, [("wait_for_go_then_back",)]), (2, [("beat_until_go",)])]
    run = TOYS[LOCKS].run(program, Walk(random.Random(9), 0.2))
    again = TOYS[LOCKS].replay(run, program)
    assert (again.titles, again.decisions, again.steps) == (run.titles, run.decisions, run.steps)


# ---- yield() lets each task run in turn -----------------------------------------------------------------------------------

READER = [("read_until_success",)]
each_writer = pytest.mark.parametrize("writer", ["write_section", "write_section_that_sleeps"])


class Partners:
    """A scheduler that starts the writer, preempts it at point `stop`, and after a yield runs the first task that can run."""

    def __init__(self, stop: int):
        self.stop_at = stop

    def begin(self, m: Any) -> None:
        m.want(self.stop_at)

    def at(self, m: Any) -> int:
        m.want(NEVER)
        return min(m.choices())

    def forced(self, m: Any, choices: Any) -> int:
        return min(choices) if m.step else max(choices)

    def wake(self, m: Any) -> None:
        pass


def test_two_readers_that_yield_to_each_other_let_a_runnable_writer_run() -> None:
    program = [(0, READER), (1, READER), (2, [("write_section",)])]
    found = [TOYS[YIELDERS].run(program, Partners(stop)) for stop in range(1, 6)]
    assert all((run.titles, run.limit_hit, bool(run.switches)) == ([], False, True) for run in found)
    assert max(run.steps for run in found) < 60
    assert max(len(run.forced) for run in found) < 12


@each_scheduler
@pytest.mark.parametrize("cpus", [(0, 1, 2), (0, 0, 1), (0, 1, 1), (0, 0, 0)], ids=str)
@each_writer
def test_a_writer_and_readers_that_yield_to_it_end_within_300_steps(make: Any, cpus: tuple[int, ...], writer: str) -> None:
    rng = random.Random(7)
    program = [(cpus[0], READER), (cpus[1], READER), (cpus[2], [(writer,)])]
    for _ in range(50):
        run = TOYS[YIELDERS].run(program, make(rng), cpus=3)
        assert (run.titles, run.limit_hit) == ([], False)
        assert run.steps < 300


@pytest.mark.parametrize(("writer", "preemptions"), [("write_section", 2), ("write_section_that_sleeps", 1)])
def test_a_preempted_writer_and_yielding_readers_are_no_livelock_under_any_schedule(writer: str, preemptions: int) -> None:
    """After each preemption the preempted task runs again only when no other task can."""
    found = runs([(0, READER), (1, READER), (2, [(writer,)])], preemptions, YIELDERS)
    assert len(found) > 500
    assert {run.title for run in found} == {None}
    assert max(run.steps for run in found) < 100


@pytest.mark.parametrize(("writer", "title"), [
    ("write_section_left_open", "LIVELOCK: read_until_success"),
    ("write_section_that_sleeps_for_ever", "LIVELOCK: read_until_success, wait_for"),
    ("write_section_that_does_not_end", "LIVELOCK: read_until_success, write_section_that_does_not_end"),
])
def test_the_livelock_of_readers_that_yield_for_ever_names_the_place_of_the_writer(
        writer: str, title: str, short_runs: None) -> None:
    """The title names a sleeping or running writer with the readers, and no writer that has ended."""
    program = [(0, READER), (1, READER), (2, [(writer,)])]
    assert {TOYS[YIELDERS].run(program, NoPreempt(lead=2)).title} == {title}
    rng = random.Random(10)
    for make in SCHEDULERS:
        for _ in range(10):
            run = TOYS[YIELDERS].run(program, make(rng))
            assert run.title in (title, None) or "read_until_success" not in run.title       # the readers may be done before it begins


@pytest.mark.parametrize("make", SCHEDULERS[1:], ids=["walk", "pct"])
@pytest.mark.parametrize("variant", ["andrea_seqschedlock", "andrea_seqschedlock_2"])
def test_two_faults_that_yield_to_an_invalidate_end_without_a_livelock(variant: str, make: Any) -> None:
    """The seqschedlock in its kernel: faults yield while the invalidate has its write section open."""
    executor = Executor(family("invalidate_2_6"), variant)
    setup = ["mmap_shared m0.0 f0.0", "load m0.0", "fork m0 m1", "write f0.0"]
    prepared = executor.prepare(program_of(setup, ["load m0.0"], ["load m1.0"], ["invalidate2_page f0.0"]))
    rng, yields = random.Random(11), 0
    for _ in range(60):
        outcome = executor.run(prepared, make(rng))
        assert not any(title.startswith("LIVELOCK") for title in outcome.titles)
        assert outcome.steps < 2000
        yields += sum(task.yields for task in m.tasks)
    assert yields


# ---- sleeping where it is forbidden ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("operation", [
    "down_locked", "down_read_locked", "down_write_locked", "schedule_locked", "sleep_locked", "yield_locked"])
def test_a_task_that_sleeps_under_a_spinlock_is_reported(operation: str) -> None:
    run = TOYS[SLEEPERS].run([(0, [(operation,)]), (1, [("nothing",)])], NoPreempt())
    assert run.titles == [f"SLEEP: sleeping with a spinlock held in {operation}"]


def test_a_task_that_sleeps_under_a_rwlock_held_for_reading_is_reported() -> None:
    run = TOYS[SLEEPERS].run([(0, [("down_reading",)])], NoPreempt())
    assert run.titles == ["SLEEP: sleeping with a spinlock held in down_reading"]


def test_a_semaphore_may_be_held_while_sleeping() -> None:
    run = TOYS[SLEEPERS].run([(0, [("down_twice",)])], NoPreempt())
    assert run.titles == []


def test_an_interrupt_that_sleeps_is_reported() -> None:
    run = TOYS[SLEEPERS].run([(0, [("raise_sleeper",)])], NoPreempt())
    assert run.titles == ["SLEEP: sleeping in an interrupt in sleeping_handler"]


def test_sleeping_with_interrupts_off_is_reported() -> None:
    run = TOYS[SLEEPERS].run([(0, [("sleep_irqs_off",)])], NoPreempt())
    assert run.titles == ["SLEEP: sleeping with interrupts off in sleep_irqs_off"]


def test_a_trylock_on_a_semaphore_does_not_sleep() -> None:
    run = TOYS[SLEEPERS].run([(0, [("down_trylock_locked",)])], NoPreempt())
    assert run.titles == []
