# SPDX-License-Identifier: MIT
"""every_schedule agrees with two independent counts: arithmetic on interleavings of segments, and brute force over all choices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import comb
from typing import Any

import pytest
from vmrace.harness.machine.machine import Machine
from vmrace.harness.schedulers.enumerate import every_schedule

from tests.toy import Run, Toy

TOY = Toy("tests.harness.kernels.counters")
UP = Toy("tests.harness.kernels.counters", core="up")


def enumerated(program: list[Any], preemptions: int, cpus: int | None = None, preempt: bool = False, exactly: bool = False) -> list[Run]:
    kernel = UP if cpus == 1 else TOY
    return list(every_schedule(lambda scheduler: kernel.run(program, scheduler, cpus, preempt), preemptions, exactly))


class Script:
    """A scheduler that takes the choices of `script`, then the first at each event, and notes the number of choices at each."""

    def __init__(self, script: Sequence[int]):
        self.script = script

    def begin(self, m: Machine) -> None:
        self.taken: list[int] = []
        self.widths: list[int] = []
        m.want(1)

    def _choose(self, options: Sequence[int]) -> int:
        event = len(self.taken)
        pick = self.script[event] if event < len(self.script) else 0
        self.taken.append(pick)
        self.widths.append(len(options))
        return options[pick]

    def at(self, m: Machine) -> int:
        m.want(m.step + 1)
        return self._choose([m.current.id, *(choice for choice in m.choices() if choice != m.current.id)])

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        return self._choose(choices)

    def wake(self, m: Machine) -> None:
        pass


def brute_force(program: list[Any], cpus: int | None = None, preempt: bool = False) -> list[Run]:
    """Run every schedule, counting through the choices of all events as an odometer does, and return the runs."""
    kernel = UP if cpus == 1 else TOY
    runs, script = [], []
    while True:
        scheduler = Script(script)
        runs.append(kernel.run(program, scheduler, cpus, preempt))
        script = scheduler.taken
        while script and script[-1] + 1 == scheduler.widths[len(script) - 1]:
            script = script[:-1]
        if not script:
            return runs
        script = [*script[:-1], script[-1] + 1]


def interleavings(*segments: int) -> list[tuple[int, ...]]:
    """Return every order of the segments of tasks that never wait. A task with n points has n + 1 segments."""
    order = [task for task, count in enumerate(segments) for _ in range(count)]
    return sorted(set(itertools.permutations(order)))


def preemptions_of(order: Sequence[int]) -> int:
    """Count the preemptions in `order`: a task that is not at its end is followed by another task."""
    left = [list(order).count(task) for task in range(max(order) + 1)]
    out = 0
    for now, following in itertools.pairwise(order):
        left[now] -= 1
        out += following != now and left[now] > 0
    return out


PROGRAMS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "two tasks": ([(0, [("points", 2)]), (1, [("points", 2)])], {}),
    "three tasks": ([(0, [("points", 1)]), (1, [("points", 1)]), (2, [("points", 1)])], {}),
    "a lock": ([(0, [("locked", 1)]), (1, [("locked", 1)])], {}),
    "an interrupt": ([(0, [("interrupt", 1), ("points", 2)])], {"cpus": 2}),
    "an interrupt and a second cpu": ([(0, [("interrupt", 1), ("points", 1)]), (1, [("points", 1)])], {"cpus": 2}),
    "two interrupts": ([(0, [("interrupt", 1), ("interrupt", 1), ("points", 1)])], {"cpus": 1}),
    "yield": ([(0, [("yielding", 1)]), (1, [("points", 2)])], {}),
    "two on a cpu": ([(0, [("rescheduling", 1)]), (0, [("rescheduling", 1)])], {}),
    "two on a cpu and one beside": ([(0, [("rescheduling", 0)]), (0, [("points", 1)]), (1, [("points", 1)])], {}),
    "preemptible": ([(0, [("points", 2)]), (0, [("points", 2)])], {"preempt": True}),
    "preemptible, with a lock": ([(0, [("locked", 1)]), (0, [("locked", 1)])], {"cpus": 1, "preempt": True}),
}
each_program = pytest.mark.parametrize("name", PROGRAMS)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4)])
def test_the_number_of_all_schedules_of_two_tasks_is_the_binomial(first: int, second: int) -> None:
    # n points make n + 1 segments; choose which of the places in the order are the first task's
    runs = enumerated([(0, [("points", first)]), (1, [("points", second)])], 99)
    assert len(runs) == comb(first + second + 2, first + 1)


@pytest.mark.parametrize("preemptions", range(5))
@pytest.mark.parametrize("points", [(2, 2), (3, 1), (1, 1, 1), (2, 1, 1)])
def test_the_number_of_schedules_with_few_preemptions_is_that_of_interleavings(points: tuple[int, ...], preemptions: int) -> None:
    runs = enumerated([(cpu, [("points", count)]) for cpu, count in enumerate(points)], preemptions)
    orders = interleavings(*(count + 1 for count in points))
    assert len(runs) == sum(preemptions_of(order) <= preemptions for order in orders)


@each_program
def test_every_schedule_finds_the_runs_that_brute_force_finds(name: str) -> None:
    program, how = PROGRAMS[name]
    assert sorted(run.decisions for run in enumerated(program, 99, **how)) == sorted(run.decisions for run in brute_force(program, **how))


@each_program
@pytest.mark.parametrize("preemptions", [0, 1, 2])
def test_a_bound_on_preemptions_keeps_exactly_the_schedules_within_it(name: str, preemptions: int) -> None:
    program, how = PROGRAMS[name]
    within = sorted(run.decisions for run in brute_force(program, **how) if run.preemptions <= preemptions)
    assert sorted(run.decisions for run in enumerated(program, preemptions, **how)) == within


@each_program
def test_the_option_exactly_keeps_the_schedules_with_that_number_of_preemptions(name: str) -> None:
    program, how = PROGRAMS[name]
    just = sorted(run.decisions for run in brute_force(program, **how) if run.preemptions == 1)
    assert sorted(run.decisions for run in enumerated(program, 1, exactly=True, **how)) == just


@each_program
def test_no_schedule_is_repeated(name: str) -> None:
    program, how = PROGRAMS[name]
    decisions = [run.decisions for run in enumerated(program, 99, **how)]
    assert len(decisions) == len(set(decisions))


@each_program
def test_a_larger_bound_does_not_change_the_schedules_within_a_smaller_one(name: str) -> None:
    program, how = PROGRAMS[name]
    few = {run.decisions for run in enumerated(program, 1, **how)}
    assert few <= {run.decisions for run in enumerated(program, 3, **how)}
