# SPDX-License-Identifier: MIT
"""Schedulers make only legal decisions, and under each of them a spinlock has at most one holder."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.kernel import RMW, point, raise_irq, smp_processor_id
from vmrace.harness.kernel.cell import cell
from vmrace.harness.machine.task import TASKS_MAX
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.harness.schedulers.mutate import STRIDE, Bred

from tests.harness.programs import EVERYTHING, INTERRUPTS, LOCKING, OTHER, TOY, programs, random_program, schedulers
from tests.harness.referee import Referee
from tests.toy import Toy

SHAPES = {"three cpus": ("fast", 3, False), "preemptible": ("fast", 2, True),
          "one cpu": ("up", 1, False), "one cpu, preemptible": ("up", 1, True)}
TOYS = {core: Toy(TOY, core=core) for core in ("fast", "up")}

# as `schedulers` makes them
KINDS = ("nopreempt", "walk", "pct", "mutate", "contended", "in_turn", "pos", "surw", "rf_walk", "rf_pos")

each_shape = pytest.mark.parametrize("shape", SHAPES)


@each_shape
@pytest.mark.parametrize("name", KINDS)
def test_a_scheduler_only_makes_legal_decisions(name: str, shape: str) -> None:
    core, cpus, preempt = SHAPES[shape]
    rng = random.Random(11)
    scheduler = schedulers(rng)[KINDS.index(name)]
    referee = Referee(scheduler)
    for _ in range(75):
        program = random_program(rng, EVERYTHING, cpus)
        run = TOYS[core].run(program, referee, cpus, preempt)
        if hasattr(scheduler, "base"):      # `mutate` gets a base of this program, which is stale for the next
            scheduler.base = type(scheduler.base)(switches=run.switches, forced=run.forced, steps=run.steps)
        TOYS[core].run(program, referee, cpus, preempt)
    assert referee.choices > 50


@each_shape
@pytest.mark.parametrize("name", ["walk", "pct", "pos", "surw", "rf_walk", "rf_pos"])
def test_the_random_schedulers_preempt_tasks(name: str, shape: str) -> None:
    core, cpus, preempt = SHAPES[shape]
    rng = random.Random(12)
    scheduler = schedulers(rng)[KINDS.index(name)]
    switched = [TOYS[core].run(random_program(rng, (*OTHER, "work", *INTERRUPTS), cpus), scheduler, cpus, preempt).preemptions
                for _ in range(60)]
    assert sum(count > 0 for count in switched) >= 5


def test_without_preemption_no_task_is_switched_at_a_point() -> None:
    rng = random.Random(13)
    runs = [TOYS["fast"].run(random_program(rng), NoPreempt(), 3) for _ in range(60)]
    assert {run.preemptions for run in runs} == {0}


def _turns(depth: int) -> Callable[[], Program]:
    """Return the make of a program: two tasks add `depth + 1` entries to a log, and the check fails if they took turns. Then each entry
    but the last two is followed by a preemption, and the last switch is at the end of the other task."""
    def make() -> Program:
        log = cell("log", value=())

        def adds(name: str, count: int) -> Callable[[], None]:
            def task() -> None:
                for _ in range(count):
                    point(log, RMW)
                    log._value = (*log._value, name)
            return task
        wanted = tuple("ab"[number % 2] for number in range(depth + 1))
        return Program([adds("a", wanted.count("a")), adds("b", wanted.count("b"))], check=lambda: log._value != wanted)
    return make


@pytest.mark.parametrize("depth", [2, 3])
def test_pct_finds_a_bug_of_its_depth_and_none_that_is_deeper(depth: int) -> None:
    """The bug of depth d is an order of d + 1 entries in which the tasks take turns. It needs d - 1 preemptions, each by a priority change
    point of its own; the last switch is the end of a task. PCT finds it with probability at least 1 / (n k^(d-1)). With n = 2 tasks and
    k = 4 points that is 1/8 and 1/32, so 700 runs miss it with less than e^-20. With one change point less no run can have it."""
    def found(pct_depth: int) -> bool:
        runner, scheduler = Runner(_turns(depth)), Pct(random.Random(14), pct_depth, 4)
        return any(runner.run(scheduler).titles for _ in range(700))
    assert found(depth)
    assert not found(depth - 1)


def _with_an_interrupt(raised: bool) -> Program:
    """Return a program whose task adds two entries to a log, and whose interrupt adds the number of its cpu. The interrupt is pending from
    the start, or (`raised`) raised by the task between its entries."""
    log = cell("log", value=())

    def adds(what: object) -> None:
        point(log, RMW)
        log._value = (*log._value, what)

    def handler() -> None:
        adds(smp_processor_id())

    def task() -> tuple[object, ...]:
        adds("a")
        if raised:
            raise_irq(handler)
        adds("b")
        point(log, RMW)
        return tuple(log._value)
    return Program([task], irqs=() if raised else (handler,), cpus=2)


@pytest.mark.parametrize(("raised", "orders"), [
    (False, {(0, "a", "b"), (1, "a", "b"), ("a", "b")}), (True, {("a", 0, "b"), ("a", 1, "b"), ("a", "b")})])
def test_pct_delivers_an_interrupt_on_each_cpu_at_once_or_last(raised: bool, orders: set[Any]) -> None:
    """There is no change point here: only the priority of the interrupt among the tasks decides."""
    runner, scheduler = Runner(_with_an_interrupt, raised), Pct(random.Random(15), 1, 4)
    assert {runner.run(scheduler).results[0] for _ in range(100)} == orders


@settings(deadline=None, max_examples=80, derandomize=True)
@given(program=programs((*LOCKING, *OTHER, *INTERRUPTS)), seed=st.integers(0, 1 << 16), shape=st.sampled_from(sorted(SHAPES)))
def test_a_spinlock_is_never_held_by_two_tasks(program: list[Any], seed: int, shape: str) -> None:
    """The referee checks the locks that tasks hold; the sections of the toy kernel check for themselves (BUG_ON in `enter`)."""
    core, cpus, preempt = SHAPES[shape]
    program = [(cpu % cpus, ops) for cpu, ops in program]
    run = TOYS[core].run(program, Referee(Walk(random.Random(seed), 1)), cpus, preempt)
    assert run.titles == []


def test_with_a_broken_lock_the_check_for_two_holders_fails() -> None:
    """With a lock that excludes no task, two tasks are in a section at once and the check sees it."""
    broken = Toy(TOY, "tests.harness.kernels.no_lock")
    rng = random.Random(14)
    titles = [broken.run([(0, [("section", 0)]), (1, [("section", 0)])], Walk(rng, 1)).title for _ in range(40)]
    assert any(title is not None and title.startswith("BUG at kernel/toy.c:") for title in titles)


def test_a_kept_run_lists_one_child_for_each_other_task_and_new_ones_are_run_first() -> None:
    one, others, rng = Bred(), {3: TASKS_MAX - 1, 5: 2, 7: 1}, random.Random(1)
    one.breed(rng, [[3, 5]], others)
    assert sorted(divmod(child, STRIDE) for child in one.children) == [(3, other) for other in range(TASKS_MAX - 1)] + [(5, 0), (5, 1)]
    listed = list(one.children)
    one.breed(rng, [[3, 7], [5]], others)
    assert list(one.children) == [*listed, 7 * STRIDE]
