# SPDX-License-Identifier: MIT
"""The programs of a differential search, in order. Each unit of work is a function of the seed and of its number.

Only small programs can be run under every schedule. The programs of at most two operations come first, once up to symmetry. Between
them there are random programs of a few operations, larger ones of the campaign's own generator, and short campaigns ("hunts") on each
variant in turn. A hunt finds rare findings; its programs are shrunk before they are compared.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from vmrace.fuzz.programs import generate
from vmrace.fuzz.programs.enumerate import Form, Scope, form_of, idle_operation, program_of
from vmrace.variants.program import Program, TaskProgram

ROUND = 32                  # units of a round: of these the last is a hunt, and the one before a program of the generator
SMALL_TRIES = 30            # draws of a small program
ONE_OF_EACH = {"page": 1, "file": 1, "fpage": 1, "number": 1}
HUNT_RUNS, HUNT_RUNS_MAX = 2_000, 128_000        # runs of the first hunt on a variant; each later one has twice as many, up to the most


@dataclass(frozen=True)
class Unit:
    """One unit: a program to compare, or a hunt of `runs` runs on the variant number `hunted`."""

    number: int
    program: Program | None = None
    hunted: int = -1
    runs: int = 0
    seed: int = 0


class Stream:
    """The units of a search over `variants` variants, which have these operations in common."""

    def __init__(self, operations: Sequence[str], variants: int, seed: int):
        self.operations, self.variants, self.seed = tuple(operations), variants, seed
        self.forms = self._forms()

    def _forms(self) -> list[Form]:
        """List the programs of one operation, then those of two in a random order."""
        listed: list[list[Form]] = [[], [], []]
        seen: set[Form] = set()
        for size, cpus, setup in ((1, 1, 0), (1, 1, 1), (2, 2, 0)):
            for form in Scope(size, cpus, setup, self.operations, ONE_OF_EACH).programs(self.operations):
                total = len(form[0]) + sum(len(line) for tasks in form[1] for line in tasks)
                if total and form not in seen and any(form[1]):
                    seen.add(form)
                    listed[total].append(form)
        for forms in listed:
            random.Random(self.seed).shuffle(forms)
        return [form for forms in listed for form in forms]

    def unit(self, number: int) -> Unit:
        """Return a unit."""
        turn, place = divmod(number, ROUND)
        if place == ROUND - 1:
            level, hunted = divmod(turn, self.variants)
            return Unit(number, hunted=hunted, runs=min(HUNT_RUNS << min(level, 20), HUNT_RUNS_MAX), seed=self.seed * 1_000_003 + turn)
        rng = random.Random(f"{self.seed}/{number}")
        if place == ROUND - 2:
            return Unit(number, generate.program(rng, self.operations))
        at = turn * (ROUND - 2) // 2 + place // 2
        if place % 2 == 0 and at < len(self.forms):
            return Unit(number, program_of(self.forms[at]))
        return Unit(number, self._small(rng))

    def _small(self, rng: random.Random) -> Program:
        """Draw a program of one operation on each of one or two cpus, after a short setup, on few operands; at best one without an
        operation that surely does nothing."""
        for _ in range(SMALL_TRIES):
            drawn = generate.swarm(rng, self.operations)
            cpus = rng.choice((1, 2))
            setup = tuple(drawn.op(rng) for _ in range(rng.randint(1, 3)))
            made = Program(setup, tuple(TaskProgram(cpu, (drawn.op(rng),)) for cpu in range(cpus)), cpus)
            if not idle_operation(form_of(made)):
                break
        return made
