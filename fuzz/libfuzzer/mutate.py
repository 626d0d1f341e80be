# SPDX-License-Identifier: MIT
"""Changes of inputs, for libFuzzer: of the program, as a campaign changes its kept ones, or of the schedule. Each returns a legal input.

libFuzzer bounds the size of each changed input. One that is too large gets smaller in the steps of a shrinker, so `-minimize_crash=1`
tries smaller programs and fewer preemptions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from vmrace.fuzz.libfuzzer.inputs import DECISIONS_MAX, Input, decode, encode
from vmrace.fuzz.programs import generate
from vmrace.fuzz.programs.reduce import smaller
from vmrace.variants.program import Op, Program, TaskProgram

NEW_SHARE = 0.1             # share of the changes that are a new program
SCHEDULE_SHARE = 0.3        # share of the others that keep the program
SWEEP_SHARE = 0.3           # share of the rest that are a program of two operations which conflict, after all its sweep was run
LONGER_SHARE = 0.15         # share of the rest that make the setup longer
STATE_SHARE = 0.6           # share of the rest that draw new tasks after a setup: that of the input, or one that reaches some state
OWN_SHARE = 0.5             # share of these with the setup of the input
CANDIDATES = 10             # programs drawn, of which the one that tries most is taken
NEAR = 12                   # points by which a preemption is moved, on average
POINTS = 100                # points over which the first preemption is drawn


def no_sweep(rng: random.Random) -> Input | None:
    """Run nothing."""
    return None


class Mutator:
    """The changes of inputs of one variant.

    `runs_of(program)` returns the schedules of a program that showed something new, if any. `novelty(program)` is larger for a program
    that tries more: it chooses among CANDIDATES changes. `setup(rng)` picks a setup that reaches a state, and `reach_out(rng)` looks for
    more of them; it returns a program that fails without a race, if it meets one. `sweep(rng)` runs a sweep (see campaign/sweeping.py), and
    returns an input of it.
    """

    def __init__(self, operations: Sequence[str], runs_of: Callable[[Program], Sequence[Input]] = lambda program: (),
                 novelty: Callable[[Program], float] = lambda program: 0.0,
                 setup: Callable[[random.Random], tuple[Op, ...]] = lambda rng: (),
                 reach_out: Callable[[random.Random], Program | None] = lambda rng: None,
                 sweep: Callable[[random.Random], Input | None] = no_sweep):
        self.operations, self.runs_of, self.novelty, self.setup, self.reach_out = tuple(operations), runs_of, novelty, setup, reach_out
        self.sweep = sweep

    def mutate(self, data: bytes, size_max: int, seed: int) -> bytes:
        """Change an input; the result has at most `size_max` bytes."""
        rng = random.Random(seed)
        one = decode(data, self.operations)
        if len(data) > size_max:
            return self._fit(rng, one, size_max)
        return self._fit(rng, self._changed(rng, one), size_max)

    def cross(self, data: bytes, other: bytes, size_max: int, seed: int) -> bytes:
        """Make one input of two; the result has at most `size_max` bytes."""
        rng = random.Random(seed)
        one, two = decode(data, self.operations), decode(other, self.operations)
        if rng.random() < 0.5:
            made = Input(generate.crossed(rng, one.program, two.program))
        else:                       # the setup of one, the tasks and the schedule of the other
            made = replace(two, program=replace(two.program, setup=one.program.setup))
        return self._fit(rng, made, size_max)

    def _changed(self, rng: random.Random, one: Input) -> Input:
        if rng.random() < NEW_SHARE:
            return Input(generate.program(rng, self.operations))
        if rng.random() < SCHEDULE_SHARE:
            return self._another_schedule(rng, one)
        if rng.random() < SWEEP_SHARE and (swept := self.sweep(rng)) is not None:
            return swept
        if rng.random() < LONGER_SHARE:
            return replace(one, program=replace(one.program, setup=generate.extended(rng, one.program.setup, self.operations).setup))
        failing = self.reach_out(rng)
        if failing is not None:
            return Input(failing)
        if rng.random() < STATE_SHARE:
            setup = one.program.setup if rng.random() < OWN_SHARE else self.setup(rng)
            drawn = [generate.from_setup(rng, setup, self.operations) for _ in range(CANDIDATES)]
        else:
            drawn = [generate.mutate(rng, one.program, one.program, self.operations) for _ in range(CANDIDATES)]
        return Input(max(drawn, key=self.novelty))

    def _another_schedule(self, rng: random.Random, one: Input) -> Input:
        known = self.runs_of(one.program)
        if known and rng.random() < 0.7:
            return rng.choice(known)
        return replace(one, switches=_moved(rng, one.switches), forced=one.forced if rng.random() < 0.5 else ())

    def _fit(self, rng: random.Random, one: Input, size_max: int) -> bytes:
        """Make an input smaller until it fits."""
        out = encode(one)
        while len(out) > size_max:
            one = _less(rng, one)
            less = encode(one)
            if len(less) >= len(out):
                return out[:size_max]           # one operation, and even that is too much
            out = less
        return out


def _moved(rng: random.Random, switches: tuple[int, ...]) -> tuple[int, ...]:
    """Add a preemption, drop one, or move one."""
    pairs = list(zip(switches[::2], switches[1::2]))
    what = rng.random()
    if pairs and what < 0.3:
        pairs.pop(rng.randrange(len(pairs)))
    elif pairs and what < 0.6:
        at = rng.randrange(len(pairs))
        step, task = pairs[at]
        pairs[at] = max(1, step + rng.choice((-1, 1)) * (1 + int(rng.expovariate(1 / NEAR)))), task
    elif 2 * len(pairs) < DECISIONS_MAX:
        since = pairs[-1][0] if pairs else 0
        pairs.append((since + 1 + rng.randrange(POINTS), rng.randrange(4)))
    return tuple(number for pair in sorted(pairs) for number in pair)


def _less(rng: random.Random, one: Input) -> Input:
    """Return an input that is smaller by one step of the shrinker; the same one if there is none."""
    if (one.switches or one.forced) and rng.random() < 0.5:
        if one.switches and (not one.forced or rng.random() < 0.7):
            at = 2 * rng.randrange(len(one.switches) // 2)
            return replace(one, switches=one.switches[:at] + one.switches[at + 2:])
        return replace(one, forced=one.forced[:len(one.forced) // 2])
    programs: list[Program] = [program for program in smaller(one.program) if program.size < one.program.size]
    if programs:
        return replace(one, program=rng.choice(programs))
    if one.switches or one.forced:
        return Input(one.program)
    first = one.program.tasks[0]
    return Input(Program((), (TaskProgram(0, first.ops[:1]),), 1))
