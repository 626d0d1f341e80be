# SPDX-License-Identifier: MIT
"""lockdep reports lock orders and unsafe use in interrupts without a deadlock; in exact mode from the present run alone."""

from __future__ import annotations

from typing import Any

import pytest
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.enumerate import every_schedule

from tests.toy import Run, Toy

LOCKS = "tests.harness.kernels.locks"


def run(*calls: str, tasks: list[Any] | None = None, exact: bool = True, core: str = "checked", cpus: int = 2) -> Run:
    """Run the calls one after another in one task, so that lockdep sees every order and no deadlock is possible."""
    return Toy(LOCKS, core=core, exact=exact).run(tasks or [(0, [(call,) for call in calls])], NoPreempt(), cpus)


def test_a_cycle_of_two_locks_is_found_without_a_deadlock() -> None:
    assert run("forward", "backward").titles == ["LOCKDEP: lock order first -> second -> first"]


def test_a_cycle_has_one_title_whichever_lock_order_came_first() -> None:
    assert run("backward", "forward").titles == run("forward", "backward").titles


def test_a_lock_order_cycle_is_found_across_tasks() -> None:
    assert run(tasks=[(0, [("forward",)]), (1, [("backward",)])]).titles == ["LOCKDEP: lock order first -> second -> first"]


def test_a_cycle_of_three_locks_is_found() -> None:
    assert run("forward", "second_third", "third_first").titles == ["LOCKDEP: lock order first -> second -> third -> first"]


def test_a_lock_order_cycle_is_reported_once() -> None:
    assert run("forward", "backward", "forward", "backward").titles == ["LOCKDEP: lock order first -> second -> first"]


@pytest.mark.parametrize(("calls", "title"), [
    (("all_forward", "all_backward"), "LOCKDEP: lock order second -> third -> second"),
    (("all_backward", "all_forward"), "LOCKDEP: lock order first -> second -> first"),
])
def test_if_one_call_closes_several_cycles_only_the_first_is_reported(calls: tuple[str, ...], title: str) -> None:
    assert run(*calls).titles == [title]


@pytest.mark.parametrize("calls", [("forward", "forward"), ("forward", "second_third"), ("second_third", "third_first")])
def test_lock_orders_without_a_cycle_are_not_reported(calls: tuple[str, ...]) -> None:
    assert run(*calls).titles == []


def test_a_trylock_against_the_lock_order_is_no_cycle() -> None:
    assert run("forward", "backward_try").titles == []


def test_waiting_for_a_lock_while_holding_one_from_a_trylock_counts_as_an_order() -> None:
    assert run("forward", "try_then_wait").titles == ["LOCKDEP: lock order first -> second -> first"]


def test_a_lockdep_note_is_no_finding_and_does_not_end_the_run() -> None:
    result = run("forward", "backward")
    assert result.findings == []
    assert result.steps == 8


def test_a_lock_taken_in_an_interrupt_and_with_interrupts_on_is_unsafe() -> None:
    title = "LOCKDEP: first taken in an interrupt and with interrupts on"
    assert run("take_irqs_on", "raise_taker").titles == [title]


def test_unsafe_use_in_an_interrupt_is_reported_whichever_use_came_first() -> None:
    tasks = [(0, [("raise_taker",)]), (1, [("wait_for_go",), ("take_irqs_on",)]), (2, [("set_go",)])]
    assert run(tasks=tasks, cpus=3).titles == run("take_irqs_on", "raise_taker").titles


@pytest.mark.parametrize("calls", [("take_irqs_off", "raise_taker"), ("take_irqs_on", "raise_trier"), ("take_irqs_on",), ("raise_taker",)])
def test_interrupt_safe_uses_of_a_lock_are_not_reported(calls: tuple[str, ...]) -> None:
    assert run(*calls).titles == []


def test_readers_may_be_interrupted_by_readers() -> None:
    assert run("read_with_irqs_on", "write_with_irqs_off", "raise_reader").titles == []


def test_writers_may_not_be_interrupted_by_readers() -> None:
    title = "LOCKDEP: tasks taken in an interrupt and with interrupts on"
    assert run("write_with_irqs_on", "raise_reader").titles == [title]


def test_reading_a_rwlock_twice_is_no_cycle() -> None:
    assert run("read_twice").titles == []


@pytest.mark.parametrize("calls", [
    ("read_then_other", "other_then_read"),             # only readers: none waits for another
    ("first_then_read", "read_then_first"),             # the reader of `tasks` waits for no reader
])
def test_a_cycle_in_which_a_reader_waits_for_a_reader_is_not_reported(calls: tuple[str, ...]) -> None:
    assert run(*calls).titles == []


CYCLE = "LOCKDEP: lock order files -> tasks -> files"


@pytest.mark.parametrize(("calls", "titles"), [
    (("read_then_other", "other_then_write"), []),              # a writer waits for the reader, which waits for no reader
    (("read_then_other", "write_other_then_read"), []),         # the reader of `tasks` waits for the writer, which waits for no reader
    (("first_then_write", "read_then_first"), ["LOCKDEP: lock order first -> tasks -> first"]),
])
def test_a_cycle_is_reported_only_if_each_task_in_it_waits(calls: tuple[str, ...], titles: list[str]) -> None:
    assert run(*calls).titles == titles


def test_a_reader_that_also_takes_the_write_lock_deadlocks_with_itself() -> None:
    result = run("read_then_write")
    assert result.titles == ["DEADLOCK: nobody can run: tasks in read_then_write"]


def test_an_order_of_readers_does_not_hide_an_order_with_a_writer_of_the_same_locks() -> None:
    calls = ("first_then_read", "read_then_first", "first_then_write")
    assert run(*calls).titles == ["LOCKDEP: lock order first -> tasks -> first"]


def test_lockdep_reports_a_cycle_of_readers_only_if_some_schedule_deadlocks() -> None:
    """Every schedule of each pair is run: lockdep reports a cycle if and only if some schedule deadlocks."""
    pairs = [("read_then_other", "other_then_read"), ("first_then_read", "read_then_first"), ("read_then_other", "other_then_write"),
             ("read_then_other", "write_other_then_read"), ("first_then_write", "read_then_first"), ("read_then_write", "read_then_write"),
             ("other_then_write", "write_other_then_read"), ("other_then_write", "other_then_write")]
    for one, other in pairs:
        toy = Toy(LOCKS, core="checked", exact=True)
        tasks = [(0, [(one,)]), (1, [(other,)])]
        runs = list(every_schedule(lambda scheduler, toy=toy, tasks=tasks: toy.run(tasks, scheduler), 2))  # type: ignore[misc]
        deadlocks = any(title.startswith("DEADLOCK") for made in runs for title in made.titles)
        told = run(one, other).titles
        assert bool(told) == deadlocks, (one, other, told)


def test_reading_a_rwsem_twice_is_a_cycle() -> None:
    assert run("rwsem_read_twice").titles == ["LOCKDEP: lock order mmap_sem -> mmap_sem"]


@pytest.mark.parametrize(("call", "held"), [("keep", "first"), ("keep_irqs_off", "interrupts off")])
def test_returning_to_user_space_with_a_lock_held_is_reported(call: str, held: str) -> None:
    assert run(call).titles == [f"LOCKDEP: {held} still held on return to user space"]


def test_releasing_a_lock_that_the_task_does_not_hold_is_reported() -> None:
    assert run("release_only").titles == ["LOCKDEP: first released by a task that does not hold it in release_only"]


def test_lockdep_learns_the_same_lock_orders_on_one_cpu() -> None:
    assert run("forward", "backward", core="up", cpus=1).titles == ["LOCKDEP: lock order first -> second -> first"]


# ---- orders that lockdep remembers between runs -----------------------------------------------------------------------------

def test_lockdep_in_exact_mode_depends_on_the_present_run_alone() -> None:
    toy = Toy(LOCKS, core="checked", exact=True)
    toy.run([(0, [("forward",)])], NoPreempt())
    assert toy.run([(0, [("backward",)])], NoPreempt()).titles == []


def test_lockdep_in_exact_mode_reports_the_same_for_every_run() -> None:
    toy = Toy(LOCKS, core="checked", exact=True)
    program = [(0, [("forward",), ("backward",)])]
    told = [[(note.title, note.step, note.detail) for note in toy.run(program, NoPreempt()).notes] for _ in range(3)]
    assert told[0] == told[1] == told[2] != []


def test_lockdep_learning_over_runs_raises_an_alarm_and_no_report() -> None:
    toy = Toy(LOCKS)
    first = toy.run([(0, [("forward",)])], NoPreempt())
    assert not toy.image.lockdep.alarmed
    second = toy.run([(0, [("backward",)])], NoPreempt())
    assert toy.image.lockdep.alarmed
    assert first.titles + second.titles == []


def test_lockdep_keeps_its_orders_after_an_aborted_run() -> None:
    toy = Toy(LOCKS)
    toy.run([(0, [("forward",), ("twice",)])], NoPreempt())
    toy.run([(0, [("backward",)])], NoPreempt())
    assert toy.image.lockdep.alarmed


def test_turning_exact_mode_on_forgets_the_orders_of_earlier_runs() -> None:
    toy = Toy(LOCKS, core="checked")
    toy.run([(0, [("forward",)])], NoPreempt())
    toy.exact = True
    assert toy.run([(0, [("backward",)])], NoPreempt()).titles == []


def test_every_schedule_of_a_lock_order_cycle_reports_it_or_deadlocks() -> None:
    toy = Toy(LOCKS, core="checked", exact=True)
    program = [(0, [("forward",)]), (1, [("backward",)])]
    titles = {run.title for run in every_schedule(lambda scheduler: toy.run(program, scheduler), 2)}
    assert titles == {"LOCKDEP: lock order first -> second -> first", "DEADLOCK: nobody can run: first in backward, second in forward"}
