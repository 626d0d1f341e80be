# SPDX-License-Identifier: MIT
"""Each lock excludes the tasks that it must, and each wake-up wakes the right ones.

Every schedule with at most two preemptions of two or three tasks is run. The sections of the toy kernel check their lock themselves
(BUG in kernels/toy.py), so a lock that lets a second task in is a finding.
"""

from __future__ import annotations

from typing import Any

import pytest
from vmrace.harness.schedulers.enumerate import every_schedule

from tests.harness.programs import TOY
from tests.toy import Toy

TOYS = {core: Toy(TOY, core=core) for core in ("fast", "up")}
CROWDS = [
    ("section", "section"), ("section", "trylock"), ("try_until", "section"), ("section", "nested"), ("listed", "listed", "listed"),
    ("reader", "writer"), ("writer", "writer"), ("reader", "writer", "reader"), ("mutex", "mutex"), ("mutex", "mutex", "mutex"),
    ("mutex", "try_mutex", "mutex"), ("rwsem_reader", "rwsem_writer"), ("rwsem_writer", "rwsem_writer", "rwsem_reader"),
    ("rwsem_reader", "rwsem_writer", "rwsem_reader"), ("rwsem_downgrader", "rwsem_writer"),
    ("rwsem_downgrader", "rwsem_reader", "rwsem_writer"), ("irq_section", "irqsave_section"), ("irqsave_section", "interrupt"),
    ("irq_section", "interrupt_twice"), ("drop_last", "section"),
]
SHAPES = {"a cpu each": (3, False), "two on a cpu": (2, False), "two on a preemptible cpu": (2, True)}


def titles(names: tuple[str, ...], cpus: int, preempt: bool, core: str = "fast", preemptions: int = 2) -> set[str | None]:
    tasks: list[Any] = [(number % cpus, [(name, 0, 1) if name == "nested" else (name, 0)]) for number, name in enumerate(names)]
    return {run.title for run in every_schedule(lambda scheduler: TOYS[core].run(tasks, scheduler, cpus, preempt), preemptions)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("names", CROWDS, ids="-".join)
def test_no_task_enters_a_section_whose_lock_is_held(names: tuple[str, ...], shape: str) -> None:
    assert titles(names, *SHAPES[shape]) == {None}


@pytest.mark.parametrize("preempt", [False, True])
@pytest.mark.parametrize("names", CROWDS, ids="-".join)
def test_no_task_enters_a_section_whose_lock_is_held_on_one_cpu(names: tuple[str, ...], preempt: bool) -> None:
    assert titles(names, 1, preempt, "up") == {None}


ASLEEP = "DEADLOCK: tasks asleep for ever: consume_alone"


def test_waking_one_wakes_only_one_exclusive_sleeper() -> None:
    assert titles(("consume_alone", "consume_alone", "produce_for_one"), 3, False) == {None, ASLEEP}


def test_waking_all_wakes_exclusive_sleepers_too() -> None:
    assert titles(("consume_alone", "consume_alone", "produce"), 3, False) == {None}


def test_waking_one_wakes_every_sleeper_that_is_not_exclusive() -> None:
    assert titles(("consume", "consume", "produce_for_one"), 3, False) == {None}


def test_a_wake_up_in_an_interrupt_wakes_a_sleeper() -> None:
    assert titles(("consume", "interrupt"), 2, False) == {None}
