# SPDX-License-Identifier: MIT
"""A run is a pure function of its program and its decisions, on any backend and after any other runs."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vmrace.harness.errors import Diverged
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.harness.schedulers.replay import Replay

from tests.harness.programs import EVERYTHING, INTERRUPTS, LOCKING, OTHER, SLEEPING, TOY, programs, random_program
from tests.toy import THREADS, Run, Toy

# name: (core, cpus, preempt, operations). On one cpu several tasks share it; `up` is the core of a one-cpu kernel.
MACHINES: dict[str, tuple[str, int, bool, tuple[str, ...]]] = {
    "three cpus": ("fast", 3, False, EVERYTHING),
    "three cpus, checked": ("checked", 3, False, EVERYTHING),
    "two cpus, preemptible": ("fast", 2, True, EVERYTHING),
    "one cpu": ("up", 1, False, EVERYTHING),
    "one cpu, preemptible": ("up", 1, True, EVERYTHING),
    "interrupts": ("fast", 2, False, ("irq_section", "irqsave_section", "irqs_off", *INTERRUPTS)),
    "sleepers on shared cpus": ("fast", 2, False, SLEEPING),
    "spinners": ("fast", 3, False, LOCKING + OTHER),
}
TOYS: dict[str, Toy] = {}

each_machine = pytest.mark.parametrize("name", MACHINES)


def toy(core: str) -> Toy:
    if core not in TOYS:
        TOYS[core] = Toy(TOY, core=core)
    return TOYS[core]


def random_runs(name: str, count: int, seed: int) -> list[tuple[Toy, list[Any], Run, dict[str, Any]]]:
    """Run random programs under random walks of several densities and PCT. Return (toy, program, run, options of the run) of each."""
    core, cpus, preempt, names = MACHINES[name]
    rng = random.Random(seed)
    kernel = toy(core)
    how = {"cpus": cpus, "preempt": preempt}
    out = []
    for number in range(count):
        program = random_program(rng, names, cpus)
        scheduler = Pct(rng, 4, 60) if number % 4 == 3 else Walk(rng, (0.05, 0.3, 1)[number % 4])
        out.append((kernel, program, kernel.run(program, scheduler, **how), how))
    return out


@each_machine
def test_replaying_the_decisions_gives_the_same_run_twice(name: str) -> None:
    for kernel, program, run, how in random_runs(name, 120, 1):
        once = kernel.replay(run, program, **how)
        assert kernel.replay(run, program, **how).facts == once.facts


@each_machine
def test_a_replay_makes_the_decisions_it_was_given_and_no_others(name: str) -> None:
    for kernel, program, run, how in random_runs(name, 120, 2):
        assert kernel.replay(run, program, **how).decisions == run.decisions


@each_machine
def test_recording_a_run_does_not_change_it(name: str) -> None:
    for kernel, program, run, how in random_runs(name, 120, 3):
        again = kernel.replay(run, program, **how)
        assert (again.titles, again.steps, again.state) == (run.titles, run.steps, run.state)


@each_machine
def test_the_threads_backend_gives_the_same_digest(name: str) -> None:
    core = MACHINES[name][0]
    threads = Toy(TOY, core=core, backend=THREADS)
    for kernel, program, run, how in random_runs(name, 40, 4):
        assert threads.replay(run, program, **how).facts == kernel.replay(run, program, **how).facts


def test_the_random_runs_preempt_choose_interrupt_and_deadlock() -> None:
    """Among 120 random runs, some must preempt, choose, take interrupts on tasks and on idle cpus, nest them, and end in a deadlock."""
    runs = random_runs("three cpus", 120, 5)
    events = [event for kernel, program, run, how in runs for event in kernel.replay(run, program, **how).events]
    assert any(run.switches for _, _, run, _ in runs)
    assert any(run.forced for _, _, run, _ in runs)
    assert any(event.irq_depth == 1 and event.task >= 0 for event in events)
    assert any(event.irq_depth == 2 for event in events)
    assert any(event.irq_depth == 1 and event.task < 0 for event in events)
    assert any(run.findings for _, _, run, _ in runs)
    assert any(not run.findings for _, _, run, _ in runs)


def test_different_decisions_give_different_digests() -> None:
    kernel = toy("fast")
    program = [(0, [("work", 0), ("work", 1)]), (1, [("work", 0)])]
    digests = {kernel.trace(program, Replay(switches, forced)).digest
               for switches, forced in (((), (0,)), ((), (1,)), ((1, 1), (0,)), ((2, 1), (0,)))}
    assert len(digests) == 4


@settings(deadline=None, max_examples=60, derandomize=True)
@given(program=programs(), seed=st.integers(0, 1 << 16), preempt=st.booleans())
def test_every_generated_program_replays_exactly(program: list[Any], seed: int, preempt: bool) -> None:
    kernel = toy("fast")
    run = kernel.trace(program, Walk(random.Random(seed), 0.3), 3, preempt)
    assert kernel.replay(run, program, 3, preempt).facts == run.facts


# ---- a run does not depend on the runs before it --------------------------------------------------------------------------

HELD = [(0, [("section", 0)]), (1, [("section", 0)])]
LOST = [(0, [("consume", 0)]), (1, [("section", 1)])]           # no task produces, so it sleeps for ever
BOTH_BACKENDS = pytest.mark.parametrize("backend", ["greenlets", "threads"])


def fresh(backend: str) -> Toy:
    return Toy(TOY, backend=THREADS) if backend == "threads" else Toy(TOY)


@BOTH_BACKENDS
def test_the_same_run_twice_gives_the_same_digest(backend: str) -> None:
    kernel = fresh(backend)
    first = kernel.trace(HELD, NoPreempt())
    assert kernel.trace(HELD, NoPreempt()).facts == first.facts


@BOTH_BACKENDS
def test_a_deadlock_does_not_change_the_next_run(backend: str) -> None:
    kernel = fresh(backend)
    first = kernel.trace(HELD, NoPreempt())
    lost = kernel.run(LOST, NoPreempt())
    assert lost.titles == ["DEADLOCK: tasks asleep for ever: consume"]
    assert kernel.trace(HELD, NoPreempt()).facts == first.facts


@BOTH_BACKENDS
def test_a_run_that_diverges_with_a_lock_held_does_not_change_the_next_run(backend: str) -> None:
    kernel = fresh(backend)
    first = kernel.trace(HELD, NoPreempt())
    with pytest.raises(Diverged):
        kernel.run(HELD, Replay((2, 5), (0,)))          # step 2 is in the section; there is no task 5
    assert kernel.trace(HELD, NoPreempt()).facts == first.facts


@BOTH_BACKENDS
def test_a_run_that_ends_inside_an_interrupt_does_not_change_the_next_run(backend: str) -> None:
    kernel = fresh(backend)
    program = [(0, [("interrupt", 0)]), (1, [("work", 0)])]
    first = kernel.trace(program, NoPreempt(), cpus=3)
    codes = [2 + cpu for cpu in range(3)]               # two tasks: interrupt 0 on cpu 0, 1, 2
    for code in codes:
        with pytest.raises(Diverged):
            kernel.run(program, Replay((1, code), (0, 0, 99)), cpus=3)
    assert kernel.trace(program, NoPreempt(), cpus=3).facts == first.facts


@BOTH_BACKENDS
def test_runs_of_other_shapes_in_between_do_not_change_a_run(backend: str) -> None:
    kernel = fresh(backend)
    rng = random.Random(7)
    first = kernel.trace(HELD, NoPreempt())
    for _ in range(30):
        kernel.run(random_program(rng), Walk(rng, 0.5), cpus=3)
        assert kernel.trace(HELD, NoPreempt()).facts == first.facts


def test_a_run_leaves_the_state_of_another_image_alone() -> None:
    mine, other = Toy(TOY), Toy(TOY)
    before = other.image.save()
    mine.run([(0, [("work", 0), ("section", 1)])], NoPreempt())
    assert other.image.save() == before


def test_a_decision_that_is_not_legal_makes_a_replay_diverge() -> None:
    with pytest.raises(Diverged, match="step 1: decision 1 is not one of"):
        toy("fast").run([(0, [("work", 0)])], Replay((1, 1), ()))


def test_a_lenient_replay_skips_decisions_that_are_not_legal() -> None:
    run = toy("fast").run([(0, [("work", 0)])], Replay((1, 1), (), lenient=True))
    assert run.decisions == ((), ())
