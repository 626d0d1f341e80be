# SPDX-License-Identifier: MIT
"""Reads-from constraints: one load must read from one store; all else is chosen by a uniform walk or by POS.

Wolff, Shi, Duck, Mathur, Roychoudhury, "Greybox Fuzzing for Concurrency Testing" (RFF, ASPLOS 2024). The number of pairs of a load and a
store, as sites in the source, does not grow with the number of tasks. A window between two accesses is one such pair. RFF constrains
several loads and chooses by POS; here it is one, and acquires of locks count as loads.

The scheduler holds a task back whose next event would break the constraint. It holds back the load until the store was the last one at its
place. From then on it holds back all other stores there, until the load is made. It drops the constraint when no other task can go on, or
after HELD_MAX choices in which it held back a task.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from vmrace.harness.machine.machine import Machine
from vmrace.harness.points import RELEASE
from vmrace.harness.schedulers.every_point import EveryPoint, can_go_on
from vmrace.harness.schedulers.pos import Pos
from vmrace.harness.schedulers.relation import LOADS, STORES, Event, Pair, Relation

HELD_MAX = 1_000


class ReadsFrom(EveryPoint):
    """A scheduler with one constraint a run, drawn from `relation`, which the caller sets.

    `chooser` chooses among the tasks that may go on; without it the choice is uniform.
    """

    def __init__(self, rng: random.Random, chooser: Pos | None = None):
        self.rng = rng
        self.chooser = chooser
        self.relation: Relation = Relation()

    def begin(self, m: Machine) -> None:
        super().begin(m)
        if self.chooser is not None:
            self.chooser.begin(m)
            self.chooser.pending = self.pending
        self.constraint: Pair | None = self.relation.draw(self.rng)
        self.held = 0

    def arrives(self, m: Machine, who: int, event: Event) -> None:
        if self.chooser is not None:
            self.chooser.arrives(m, who, event)

    def choose(self, m: Machine, choices: Sequence[int]) -> int:
        pending = self.pending
        able = [choice for choice in choices if can_go_on(m, pending.get(choice), choice)] if len(choices) > 1 else choices
        free = able = able or choices
        if self.constraint is not None:
            free = [choice for choice in able if not self._breaks(self.constraint, pending.get(choice))]
            self.held += len(free) < len(able)
            if not free or self.held > HELD_MAX:
                self.constraint, free = None, able
        return self.chooser.choose(m, free) if self.chooser is not None else free[int(self.rng.random() * len(free))]

    def _breaks(self, constraint: Pair, event: Event | None) -> bool:
        place, load, store = constraint
        if event is None or event.place != place:
            return False
        if self.relation.last.get(place) != store:
            return event.kind in LOADS and event.site == load
        return event.kind in STORES and event.kind != RELEASE and event.site != load

    def made(self, m: Machine, who: int, event: Event) -> None:
        if self.constraint is not None and event.place == self.constraint[0] and event.site == self.constraint[1] and (
                self.relation.last.get(event.place) == self.constraint[2]):
            self.constraint = None              # it holds
        if self.chooser is not None:
            self.chooser.made(m, who, event)
