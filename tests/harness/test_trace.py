# SPDX-License-Identifier: MIT
"""A trace has each access where it is made, with its value and the state just after it, and says why a task stops and who wakes it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from vmrace.harness import points
from vmrace.harness.kernel.atomic import atomic_t
from vmrace.harness.replay.named_schedule import Named, parse
from vmrace.harness.schedulers import NoPreempt, Walk
from vmrace.harness.watchers.trace import PREEMPTED, RUNS, SLEEPS, SPINS, Event

from tests.harness import programs
from tests.toy import Run, Toy

TOY = Toy(programs.TOY)


def state() -> dict[str, str]:
    """Return the values of all counters of the toy kernel, as a trace writes them."""
    return {made.name: str(made.counter) for made in TOY.image.objects if isinstance(made, atomic_t)}


def follow(program: list[tuple[int, list[tuple[object, ...]]]], *lines: str) -> Run:
    keys = [f"cpu{cpu}" for cpu, _ in program]
    return TOY.trace(program, Named([parse(line) for line in lines], keys), watch=state)           # type: ignore[arg-type]


def told(run: Run) -> list[str]:
    """The events of a run: accesses with their values, and changes of the state of tasks."""
    return [f"{event.task} {event.change or event.label} {event.value}".rstrip() for event in run.events
            if event.change or event.kind != points.LOCAL]


def runs(seed: int, number: int, cpus: int, preempt: bool = False) -> Iterator[Run]:
    rng = random.Random(seed)
    for _ in range(number):
        yield TOY.trace(programs.random_program(rng, cpus=cpus), Walk(rng, 0.3), cpus, preempt, state)


def test_the_acquire_of_a_task_that_spins_stands_where_it_is_made() -> None:
    run = follow([(0, [("section", 0)]), (1, [("section", 0)])], "cpu0 until before atomic_inc(A.count) in section", "cpu1 until blocked",
                 "cpu0 to the end", "cpu1 to the end")
    assert told(run) == [
        "0 lock A.lock", "0 write A.hint 0 -> 1", "0 preempted", "1 spins", "0 atomic_inc(A.count) 0 -> 1", "0 unlock A.lock",
        "1 lock A.lock", "1 write A.hint 1 -> 2", "1 atomic_inc(A.count) 1 -> 2", "1 unlock A.lock"]
    spins, = (event for event in run.events if event.change == SPINS)
    assert spins.obj == "A.lock"


def test_the_state_beside_an_access_is_the_one_just_after_it() -> None:
    """This was one row early where a task went on after a stop."""
    number = 0
    for run in [*runs(1, 60, 3), *runs(2, 60, 2, preempt=True)]:
        now = dict.fromkeys((made.name for made in TOY.image.objects if isinstance(made, atomic_t)), "0")
        for event in run.events:
            if event.change:
                continue
            if event.obj in now and event.kind in (points.RMW, points.WRITE) and event.value:
                before, _, after = event.value.partition(" -> ")
                assert before == now[event.obj], (event, run.decisions)
                now[event.obj] = after
                number += 1
            elif event.obj in now and event.kind == points.READ:
                assert event.value == f"= {now[event.obj]}"
            assert event.after == now, (event, run.decisions)
    assert number > 500


def test_no_spinlock_is_acquired_in_a_trace_while_another_task_has_it() -> None:
    waited = 0
    for run in runs(3, 240, 3):
        owner: dict[str, tuple[int, int]] = {}
        for event in run.events:
            if not event.obj.endswith((".lock", ".irq_lock")):
                continue
            waited += event.change == SPINS
            if event.kind == points.ACQUIRE or (event.kind == points.TRYLOCK and event.obj not in owner):
                assert event.obj not in owner, (event, run.decisions)
                owner[event.obj] = event.task, event.irq_depth
            elif event.kind == points.RELEASE:
                assert owner.pop(event.obj) == (event.task, event.irq_depth)
    assert waited > 15


def test_the_steps_of_a_trace_never_go_back() -> None:
    """An access that a task makes late has the step of that time, as a finding would have."""
    late = 0
    for run in runs(5, 60, 3):
        steps = [event.step for event in run.events]
        assert steps == sorted(steps), run.decisions
        late += any(event.change == PREEMPTED for event in run.events)
    assert late > 20


@pytest.mark.parametrize("preempt", [False, True])
def test_a_run_that_comes_to_rest_has_each_step_in_its_trace(preempt: bool) -> None:
    """A task that is preempted in an interrupt, and was preempted below it, makes both accesses later."""
    nested = 0
    for run in runs(4, 120, 3, preempt):
        if run.titles:
            continue
        left = [event for event in run.events if event.kind == points.IRQ and event.arg == "left"]
        assert sum(event.kind not in (points.LOCAL, points.IRQ) for event in run.events) + len(left) == run.steps, run.decisions
        nested += any(event.change and event.irq_depth for event in run.events)
    assert nested > 5


def test_a_sleep_names_its_lock_and_the_task_that_ends_it() -> None:
    run = follow([(0, [("mutex", 0)]), (1, [("mutex", 0)])], "cpu0 until before atomic_inc(A.count) in mutex", "cpu1 until blocked",
                 "cpu0 to the end", "cpu1 to the end")
    assert told(run) == ["0 lock A.sem", "0 preempted", "1 sleeps", "0 atomic_inc(A.count) 0 -> 1", "0 unlock A.sem", "1 runs",
                         "1 lock A.sem", "1 atomic_inc(A.count) 1 -> 2", "1 unlock A.sem"]
    sleeps, = (event for event in run.events if event.change == SLEEPS)
    wakes, = (event for event in run.events if event.woke)
    again, = (event for event in run.events if event.change == RUNS)
    assert (sleeps.obj, wakes.label, wakes.woke, again.by) == ("A.sem", "unlock A.sem", (1,), 0)


def test_a_sleeper_on_a_wait_queue_runs_after_the_wake_up() -> None:
    run = follow([(0, [("consume", 0)]), (1, [("produce", 0)])], "cpu0 until blocked", "cpu1 to the end", "cpu0 to the end")
    events = told(run)
    order = ["0 atomic_read(A.made) = 0", "0 sleeps", "1 wake_up_all(A.wait)", "0 runs", "0 atomic_read(A.made) = 1"]
    assert [line for line in events if line in order] == order


def test_a_preemption_is_recorded_and_an_interrupt_of_the_same_cpu_is_none() -> None:
    run = follow([(0, [("interrupt", 0), ("work", 1)])], "cpu0 until before atomic_inc(B.count) in work", "irq 0 on cpu0 until done",
                 "cpu0 to the end")
    assert PREEMPTED not in [event.change for event in run.events]
    assert told(run)[-1] == "0 atomic_inc(B.count) 0 -> 1"


def test_the_values_of_flags_locks_and_lists_are_those_that_the_code_sees() -> None:
    run = TOY.trace([(0, [("flag", 1), ("flag", 1), ("store", 2, None)])], NoPreempt(), watch=state)
    assert [line for line in told(run) if "->" in line] == [
        "0 test_and_set_bit(B bit 1) 0 -> 1", "0 test_and_set_bit(B bit 1) 1 -> 1", "0 write C.free_for_all 0 -> NULL"]
    first, second, third = (event for event in run.events if "->" in event.value)
    assert (first.stores, second.stores, third.stores) == (True, False, True)


def test_an_event_knows_the_outermost_struct_of_its_object() -> None:
    run = TOY.trace([(0, [("section", 1)])], NoPreempt(), watch=state)
    assert {event.owner for event in run.events if event.kind != points.LOCAL} == {"B"}


def test_the_result_of_an_operation_stands_where_it_ends() -> None:
    run = TOY.trace([(0, [("fails", 0, -12), ("work", 0), ("fails", 0, 0), ("fails", 0, "SIGBUS")])], NoPreempt(), watch=state)
    assert [(event.label, event.result) for event in run.events if event.kind == points.LOCAL] == [
        ("op 0", ""), ("op 1", "-ENOMEM"), ("op 2", ""), ("op 3", "0"), ("end", "SIGBUS")]
    again = TOY.trace([(0, [("work", 0)])], NoPreempt(), watch=state)
    assert not any(event.result for event in again.events)


def test_changes_of_state_are_no_part_of_the_digest() -> None:
    lines = "cpu0 until before atomic_inc(A.count) in work", "cpu1 to the end", "cpu0 to the end"
    run = follow([(0, [("work", 0)]), (1, [("work", 1)])], *lines)
    changes = [event for event in run.events if event.change]
    assert changes and all(isinstance(event, Event) and event.kind == points.LOCAL for event in changes)
    from vmrace.harness.machine.machine import m
    from vmrace.harness.watchers.trace import Recorder
    bare = Recorder(m)
    bare.events = [event for event in run.events if not event.change]
    assert bare.digest() == run.digest
