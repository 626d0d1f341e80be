# SPDX-License-Identifier: MIT
"""race knows each edge of happens-before: two tiny kernels, one with the edge and one without it, run under every schedule."""

from __future__ import annotations

import time
from typing import Any

import pytest
from vmrace.fuzz.campaign.driver import Campaign
from vmrace.fuzz.campaign.status import Options
from vmrace.fuzz.campaign.view import View
from vmrace.fuzz.run.executor import Executor
from vmrace.harness import points
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.harness.schedulers.replay import Replay
from vmrace.harness.watchers.race import Watch
from vmrace.variants.family import family
from vmrace.variants.program import Op, Program, TaskProgram

from tests.toy import THREADS, Run, Toy

KERNEL = "tests.harness.kernels.races"


def two(first: str, second: str) -> list[Any]:
    return [(0, [(first,)]), (1, [(second,)])]


def runs(tasks: list[Any], cpus: int = 2, trace: bool = False) -> list[Run]:
    """Run every schedule with at most two preemptions."""
    toy = Toy(KERNEL, core="checked", races=True)
    run = toy.trace if trace else toy.run
    return list(every_schedule(lambda scheduler: run(tasks, scheduler, cpus), 2))


def races(tasks: list[Any], cpus: int = 2) -> set[str]:
    """Return the titles of the races that any schedule finds."""
    return {title for run in runs(tasks, cpus) for title in run.titles if title.startswith("RACE")}


# (name, functions with the edge, functions without it)
EDGES = [
    ("a lock", ("store_locked", "load_locked"), ("store", "load_locked")),
    ("the same lock", ("store_locked", "load_locked"), ("store_locked", "load_other_lock")),
    ("a lock on both sides of the store", ("store_locked", "store_locked"), ("store_locked", "load_after_lock")),
    ("a trylock that succeeds", ("store_locked", "load_tried"), ("store_locked", "load_tried_in_vain")),
    ("a writer's lock, then a reader's", ("store_write_locked", "load_read_locked"), ("store_write_locked", "load")),
    ("a writer's lock, then a writer's", ("store_write_locked", "store_write_locked"), ("store_read_locked", "store_read_locked")),
    ("a semaphore", ("store_down", "load_down"), ("store_down", "load")),
    ("a semaphore that is free", ("store_down", "load_down_tried"), ("store_down", "load_down_tried_in_vain")),
    ("a rw semaphore", ("store_down_write", "load_down_read"), ("store_down_read", "load_down_read")),
    ("a wake-up", ("store_then_wake", "sleep_then_load"), ("wake_then_store", "sleep_then_load")),
    ("the lock of a wait queue", ("queue_store_flag", "if_flag_queue_load"), ("queue_store_flag", "if_flag_load")),
    ("the raising of an interrupt", ("store_then_raise", "irqs_off"), ("raise_then_store", "irqs_off")),
    ("a counter that says who is last", ("load_then_drop", "load_then_drop"), ("load_then_drop_unordered", "load_then_drop_unordered")),
    ("xchg", ("store_then_xchg", "if_xchg_load"), ("store_then_set", "if_xchg_load")),
    ("cmpxchg", ("store_then_xchg", "if_cmpxchg_load"), ("store_then_xchg", "if_flag_load")),
    ("a bit as a lock", ("store_bit_locked", "load_bit_locked"), ("store_bit_locked", "load")),
    ("a barrier before a bit is cleared", ("store_bit_locked_barrier", "load_bit_locked"),
     ("store_bit_locked_no_barrier", "load_bit_locked")),
    ("a write barrier", ("store_wmb_set", "if_flag_rmb_load"), ("store_then_set", "if_flag_rmb_load")),
    ("a read barrier", ("store_wmb_set", "if_flag_rmb_load"), ("store_wmb_set", "if_flag_load")),
    ("barriers around a bit", ("store_mb_set_bit", "if_bit_mb_load"), ("store_set_bit", "if_bit_mb_load")),
    ("user space", ("store_happens_before", "if_flag_happens_after_load"), ("store_happens_before", "if_flag_load")),
    ("user space, of one name", ("store_happens_before", "if_flag_happens_after_load"),
     ("store_happens_before_another", "if_flag_happens_after_load")),
    ("a mark on a load", ("store", "load_marked"), ("store", "load")),
    ("a mark on a call", ("store", "load_marked_in_a_call"), ("store", "load_beside_a_mark")),
    ("a mark on a store", ("store_marked", "load"), ("store_a_marked_value", "load")),
    ("a mark on a store to an array", ("store_slot_marked", "load_slot"), ("store_slot", "load_slot")),
    ("another element", ("store_slot", "load_other_slot"), ("store_slot", "load_slot")),
    ("a plain store to a word whose bits are looked at", ("plainly_set", "test_one"), ("plainly_set", "set_one")),
    ("a plain load of a word whose bits are looked at", ("whole_word", "test_one"), ("whole_word", "set_one")),
]
each_edge = pytest.mark.parametrize(("having", "lacking"), [edge[1:] for edge in EDGES], ids=[edge[0] for edge in EDGES])


@each_edge
def test_with_the_happens_before_edge_no_schedule_has_a_race(having: tuple[str, str], lacking: tuple[str, str]) -> None:
    assert races(two(*having)) == set()


@each_edge
def test_without_the_happens_before_edge_some_schedule_has_a_race(having: tuple[str, str], lacking: tuple[str, str]) -> None:
    assert races(two(*lacking)) != set()


@pytest.mark.parametrize(("second", "count"), [("same_bit_then_load", 0), ("other_bit_then_load", 1)])
def test_each_bit_of_a_word_orders_only_accesses_to_that_bit(second: str, count: int) -> None:
    run = Toy(KERNEL, core="checked", races=True).run(two("store_then_test_and_set", second), NoPreempt())
    assert len(run.titles) == count


def test_two_loads_are_no_race() -> None:
    assert races(two("load", "load")) == set()


# ---- cpus and interrupts ---------------------------------------------------------------------------------------------------

def test_tasks_of_one_cpu_do_not_race() -> None:
    assert races([(0, [("store",)]), (0, [("load",)]), (1, [("irqs_off",)])]) == set()


def test_an_interrupt_does_not_race_with_the_task_that_it_interrupts() -> None:
    """A store after the raise races with the handler if and only if another cpu took the interrupt."""
    seen = set()
    for run in runs([(0, [("raise_then_store",)])], trace=True):
        cpu = next(event.cpu for event in run.events if event.kind == points.IRQ and event.arg == "enter")
        seen.add((cpu, bool(run.titles)))
    assert seen == {(0, False), (1, True)}


def test_a_machine_of_one_cpu_has_no_races() -> None:
    toy = Toy(KERNEL, core="up", races=True)
    assert [run.titles for run in every_schedule(lambda scheduler: toy.run([(0, [("store",)]), (0, [("load",)])], scheduler, 1), 2)
            if run.titles] == []


# ---- title and detail ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("tasks", [two("store", "load"), two("load", "store")])
def test_the_title_of_a_race_does_not_depend_on_which_access_came_first(tasks: list[Any]) -> None:
    assert {title for run in runs(tasks) for title in run.titles} == {"RACE: store box_t.data in store and load in load"}


def test_the_title_of_a_race_of_two_stores_names_the_functions_in_alphabetical_order() -> None:
    assert races(two("store_locked", "store")) == {"RACE: store box_t.data in store and store in store_locked"}


def test_the_title_of_a_race_with_atomic_stores_names_only_the_plain_load() -> None:
    assert races(two("plainly_clear", "set_one")) == {"RACE: load box_t.flags in plainly_clear and atomic store"}


def test_a_race_is_reported_at_the_later_access_with_the_earlier_one_in_the_detail() -> None:
    run = Toy(KERNEL, core="checked", races=True).run(two("store", "load"), NoPreempt())
    finding, = run.findings
    assert (finding.step, finding.task, finding.cpu, finding.stack[-1].function) == (2, "task1", 1, "load")
    assert finding.detail.startswith("box.data: nothing orders it after the store by task0 at step 1, in store (races.py:")


def test_a_race_is_reported_once_in_a_run() -> None:
    run = Toy(KERNEL, core="checked", races=True).run([(0, [("store",), ("store",)]), (1, [("load",), ("load",)])], NoPreempt())
    assert len(run.findings) == 1


def test_a_race_is_reported_at_the_step_of_an_access_that_a_preemption_delayed() -> None:
    """task1 is preempted at its load (step 1), and loads after task0's store (step 2 for the recorder too)."""
    toy = Toy(KERNEL, core="checked", races=True)
    found = {(run.findings[0].step, run.findings[0].task) for run in every_schedule(
        lambda scheduler: toy.trace(two("store", "load"), scheduler), 1) if run.findings}
    assert found == {(2, "task1"), (2, "task0")}


# ---- watching a run does not change it -------------------------------------------------------------------------------------

PROGRAMS = [two("store_locked", "load_tried"), two("load_then_drop", "load_then_drop"), two("store_then_wake", "sleep_then_load"),
            two("store_then_raise", "load"), two("store_happens_before", "if_flag_happens_after_load")]


@pytest.mark.parametrize("tasks", PROGRAMS)
def test_watching_a_run_for_races_does_not_change_it(tasks: list[Any]) -> None:
    watched, alone = Toy(KERNEL, core="checked", races=True), Toy(KERNEL, core="checked")
    for run in every_schedule(lambda scheduler: alone.run(tasks, scheduler, 2), 2):
        same = watched.run(tasks, Replay(run.switches, run.forced), 2)
        assert (same.decisions, same.steps) == (run.decisions, run.steps)
        assert alone.replay(run, tasks, 2).digest == watched.replay(run, tasks, 2).digest


@pytest.mark.parametrize("tasks", PROGRAMS)
def test_a_replay_reports_the_same_races_in_the_same_words_on_both_backends(tasks: list[Any]) -> None:
    watched, threads = Toy(KERNEL, core="checked", races=True), Toy(KERNEL, core="checked", races=True, backend=THREADS)
    for run in every_schedule(lambda scheduler: watched.trace(tasks, scheduler, 2), 1):
        for toy in (watched, threads):
            assert toy.replay(run, tasks, 2).facts == run.facts


# ---- executor and campaign -------------------------------------------------------------------------------------------------

FORK = Program((), (TaskProgram(0, (Op("fork", ("m0", "m1")),)), TaskProgram(1, (Op("swap_out", ()),))), 2)
MM_RB = "RACE: store mm_struct.mm_rb in rb_link_node and load in find_vma"


def outcomes(checked: bool, title: str = "") -> tuple[Executor, list[list[str]]]:
    executor = Executor(family("lru_free_2_4"), "pre_patch", checked=checked)
    if title:
        executor.only(title)
    prepared = executor.prepare(FORK)
    out = [outcome.titles for outcome in every_schedule(lambda scheduler: executor.run(prepared, scheduler), 1)]
    assert m.recorder is None
    return executor, out


def test_only_a_checked_run_is_watched_for_races() -> None:
    assert any(MM_RB in titles for titles in outcomes(checked=True)[1])
    assert not any(MM_RB in titles for titles in outcomes(checked=False)[1])


def test_a_run_that_seeks_another_title_reports_no_races() -> None:
    assert not any(MM_RB in titles for titles in outcomes(checked=True, title="double free in F")[1])
    assert any(MM_RB in titles for titles in outcomes(checked=True, title=MM_RB)[1])


def test_a_campaign_goes_on_after_a_race_and_stops_at_a_double_free() -> None:
    campaign = Campaign(Options("lru_free_2_4", "pre_patch", 1e9), View())
    campaign.status.started = time.monotonic()
    campaign.status.new.append(MM_RB)
    assert campaign._more()
    campaign.status.new.append("double free in F")
    assert not campaign._more()


def test_leaks_are_searched_for_after_a_race() -> None:
    executor = Executor(family("lru_free_2_4"), "pre_patch", checked=True)
    prepared = executor.prepare(FORK)
    outcome = executor.run(prepared, NoPreempt())
    told: list[Any] = []
    executor.family.drained, drained = lambda image: told.append(image) or [], executor.family.drained
    try:
        assert outcome.titles == [MM_RB]
        executor.leaks(prepared, outcome)
    finally:
        executor.family.drained = drained
    assert len(told) == 1


def test_a_run_on_one_cpu_is_not_watched_for_races() -> None:
    executor = Executor(family("lru_free_2_4"), "pre_patch", checked=True)
    prepared = executor.prepare(Program((), (TaskProgram(0, (Op("swap_out", ()),)),), 1))
    assert executor._watch_races(prepared) is None


def test_a_watch_for_races_lasts_one_run() -> None:
    toy = Toy(KERNEL, core="checked")
    watch = Watch(m, toy.image, 2)
    m.recorder = watch
    try:
        toy.run(two("store", "load"), NoPreempt())
    finally:
        m.recorder = None
    toy.run(two("store", "load"), NoPreempt())
    assert len(watch.findings) == 1
