# SPDX-License-Identifier: MIT
"""States: what the pages look like when the tasks start, and which pairs of operations have met there.

A page's state is the family's description of it, without its name. Random setups reach a few states all the time and others
once in thousands, or never: so setups grow from setups. A state is picked evenly, a setup that reaches it gets an operation
or two more, and whatever new state that reaches is picked as often as any from then on (as Go-Explore does, Nature 2021).
Only the setup is run for that, which costs as much as a schedule or two. A program whose (state, operation, operation)
triples are all well known is not explored again in full.
"""

from __future__ import annotations

import random
from itertools import combinations

from variants.program import Op, Program

SETUPS_MAX = 6          # kept for each state, the shortest
KNOWN = 3               # programs after which a triple is well known


class States:
    def __init__(self) -> None:
        self.setups: dict[str, list[tuple[Op, ...]]] = {}
        self.met: dict[tuple[str, str, str], int] = {}

    def meet(self, program: Program, described: dict[str, str]) -> bool:
        """A program is about to run from this state. Is any of its triples not well known?"""
        self.reach(program.setup, described)
        states = {text for text in described.values() if "FREE" not in text} or {""}
        firsts = [op.name for task in program.tasks for op in task.ops]
        fresh = False
        for state in states:
            for one, other in combinations(sorted(firsts), 2):
                key = (state, one, other)
                count = self.met.get(key, 0)
                self.met[key] = count + 1
                fresh = fresh or count < KNOWN
        return fresh

    def reach(self, setup: tuple[Op, ...], described: dict[str, str]) -> None:
        """A setup was run and led here."""
        for state in {text for text in described.values() if "FREE" not in text}:
            self._keep(state, setup)

    def _keep(self, state: str, setup: tuple[Op, ...]) -> None:
        kept = self.setups.setdefault(state, [])
        if setup not in kept and (len(kept) < SETUPS_MAX or len(setup) < len(kept[-1])):
            kept.append(setup)
            kept.sort(key=len)
            del kept[SETUPS_MAX:]

    def setup(self, rng: random.Random) -> tuple[Op, ...]:
        """A setup for a state picked evenly."""
        return rng.choice(self.setups[rng.choice(list(self.setups))]) if self.setups else ()
