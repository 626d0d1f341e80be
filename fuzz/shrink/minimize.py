# SPDX-License-Identifier: MIT
"""Shrinking a failing program of a family, and proving that none of its operations can go.

The title stays: a run with another failure is not the one being shrunk. The order in which results are better is shortlex: fewer
tasks, fewer operations, fewer outside the setup, then operations that come earlier in the shared interface, then lower operands.

First the program: tasks, operations, then simpler operands. Each candidate is run under the schedule that failed, by its decisions and
by the names of its points (which survive the loss of an operation), then near it, then at random. Then the schedule (schedule.py). Then
the program again, now under every schedule with at most as many preemptions as the failure has, or every class of them, which proves
that no operation can go; where that exceeds its budget, nothing is claimed. At its deadline, or where the user asks to stop, shrinking
is cut: its result so far stands, and says that it was cut.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from vmrace.fuzz.programs.reduce import PASSES, adapted, without_an_operation
from vmrace.fuzz.run.executor import SetupFailed
from vmrace.fuzz.shrink.failing import Attempts, Budget, Cut, Run
from vmrace.fuzz.shrink.operations import OperationsFail
from vmrace.fuzz.shrink.schedule import Shrunk, fewer_preemptions, least_preemptions
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.schedulers import Mutate, Pct, Walk
from vmrace.harness.schedulers.mutate import Bred
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.program import Program

RANDOM_TRIES = 120          # random schedules searched for a candidate program, and schedules near the one that failed
REMOVE_MAX = 10_000         # runs that the proof for one removed operation may take


def minimize(failing: OperationsFail, run: Run, budget: Budget, seed: int = 0) -> Shrunk:
    """Shrink the program and the schedule of the failing `run`, within the budget."""
    state, rng = Shrunk(failing, run), random.Random(seed)
    state.narrate()
    try:
        shrink_program(state, budget, rng)
        fewer_preemptions(state, budget)
        least_preemptions(state, budget)
        _prove_operations(state, budget)
    except Cut as cut:
        state.cut = str(cut)
    state.operations_proved = bool(state.operations_proved)
    state.runs = budget.runs
    return state


Fits = Callable[[Program, Shrunk], bool]


def shrink_program(state: Shrunk, budget: Budget, rng: random.Random, fits: Fits | None = None, tries: int = RANDOM_TRIES) -> None:
    """Apply each pass of candidates until none of them gives a smaller program that fails. A candidate is run under `tries` schedules near
    the present one, and as many random ones. With `fits`, a candidate that fails must fit as well: it gets the program, and what is left
    with it."""
    improved = True
    while improved:
        improved = False
        for name, candidates in PASSES.items():
            useful = tried = 0
            progress = True
            while progress:
                progress = False
                for candidate in candidates(program_of(state)):
                    tried += 1
                    if _fails_near(state, candidate, budget, rng, fits, tries):
                        useful += 1
                        progress = improved = True
                        break
            was = state.passes.get(name, (0, 0))
            state.passes[name] = (was[0] + useful, was[1] + tried)


def program_of(state: Shrunk) -> Program:
    """Return what is left of the program."""
    return _failing_of(state).program


def _failing_of(state: Shrunk) -> OperationsFail:
    assert isinstance(state.failing, OperationsFail), state.failing
    return state.failing


def _with(state: Shrunk, program: Program) -> OperationsFail | None:
    """Return another program, to be run for the same title; None if this variant cannot run it."""
    failing = _failing_of(state)
    if failing.executor.lacks(program):
        return None
    try:
        return OperationsFail(failing.executor, program, failing.title)
    except SetupFailed:
        return None


def _fails_near(state: Shrunk, candidate: Program, budget: Budget, rng: random.Random, fits: Fits | None, tries: int) -> bool:
    """True if the candidate fails under a schedule near the present one, or a random one. It is then what is left."""
    failing = _with(state, candidate)
    found = None if failing is None else Attempts(failing, budget).first(_near(state, candidate, rng, tries))
    if failing is None or found is None:
        return False
    before = state.failing, state.run, state.lines
    state.failing, state.run = failing, found
    state.narrate()
    if fits is not None and not fits(candidate, state):
        state.failing, state.run, state.lines = before
        return False
    return True


def _near(state: Shrunk, candidate: Program, rng: random.Random, tries: int) -> Iterator[Scheduler]:
    """Yield the schedule that failed, then schedules bred from it, then random ones."""
    run, lines = state.run, adapted(state.lines, program_of(state), candidate)
    yield Replay(run.switches, run.forced, lenient=True)
    yield Named(lines, candidate.keys(), lenient=True)
    bred = Mutate(rng)
    bred.base = Bred(list(m.switches), list(m.forced), m.step)       # of the run just made
    for _ in range(tries):
        yield bred
    pct = [Pct(rng, depth, max(run.steps, 10)) for depth in (2, 3, 4)]
    walks = [Walk(rng, chance) for chance in (0.05, 0.15, 0.4)]
    for number in range(tries):
        yield (pct if number & 1 else walks)[number // 2 % 3]


def _prove_operations(state: Shrunk, budget: Budget) -> None:
    """Leave out one operation at a time, under every schedule with at most `state.preemptions`, until none can go."""
    progress = True
    while progress:
        progress = False
        proved = True
        for candidate in without_an_operation(program_of(state)):
            failing = _with(state, candidate)
            if failing is None:
                continue
            attempts = Attempts(failing, budget)
            found, _, clean = attempts.enumerate(state.preemptions, REMOVE_MAX)
            if found is None and not clean:
                found, _, clean = attempts.classes(state.preemptions)
            if found is not None:
                state.failing, state.run = failing, found
                least_preemptions(state, budget)
                progress = True
                break
            proved = proved and clean
        state.operations_proved = proved and not progress
