# SPDX-License-Identifier: MIT
"""SURW: a walk in which all orders of the interesting events are equally likely, as far as their numbers are known.

Zhao, Wolff, Mathur, Roychoudhury, "Selectively Uniform Concurrency Testing" (ASPLOS 2025). The interesting events of a run are those of one
shared place, drawn for the run. The task that makes the next of them is drawn in proportion to the number that each task still has to
make; a uniform walk would let a task with few events be done early. A task has, too, what the tasks have that it is still to spawn. Other
events are chosen uniformly. The numbers are those of the last run that was observed; without them it is a uniform walk.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from vmrace.harness.machine.machine import Machine
from vmrace.harness.points import SPAWN
from vmrace.harness.schedulers.every_point import EveryPoint, can_go_on
from vmrace.harness.schedulers.relation import Event, Relation


class Surw(EveryPoint):
    """The SURW scheduler. The caller sets `relation`, which has the numbers of events, and which learns from each run."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.relation: Relation = Relation()

    def begin(self, m: Machine) -> None:
        super().begin(m)
        shared = [key for key, place in self.relation.places.items() if place.shared]
        self.place: Any = shared[int(self.rng.random() * len(shared))] if shared else None
        self.left = dict(self.relation.places[self.place].counts) if shared else {}     # task -> interesting events to be made
        self.spawned: set[int] = set()
        self.next: int | None = None            # the task that makes the next interesting event

    def choose(self, m: Machine, choices: Sequence[int]) -> int:
        pending = self.pending
        able = [choice for choice in choices if can_go_on(m, pending.get(choice), choice)] or choices
        if self.place is None:
            return able[int(self.rng.random() * len(able))]
        if self.next is None or self._is_stuck(m):
            self.next = self._draw(m, able)
        free = [choice for choice in able if choice == self.next or not self._interesting(choice)]
        if not free:
            self.next = self._draw(m, able)     # it waits for one of the others
            free = [self.next]
        return free[int(self.rng.random() * len(free))]

    def _is_stuck(self, m: Machine) -> bool:
        """True if the task that was drawn makes no such event any more."""
        return self.next is not None and 0 <= self.next < len(m.tasks) and m.tasks[self.next].finished

    def _interesting(self, who: int) -> bool:
        event = self.pending.get(who)
        return event is not None and event.place == self.place

    def _draw(self, m: Machine, able: Sequence[int]) -> int:
        weights = [max(self._weight(m, choice), self._interesting(choice)) for choice in able]
        total = sum(weights)
        if not total:
            return able[int(self.rng.random() * len(able))]
        at = self.rng.random() * total
        for choice, weight in zip(able, weights, strict=True):
            at -= weight
            if at < 0:
                return choice
        return able[-1]

    def _weight(self, m: Machine, who: int) -> int:
        """Return the number of interesting events that the task, and those that it is still to spawn, have to make."""
        return max(self.left.get(who, 0), 0) + sum(self._weight(m, child) for child, parent in self.relation.spawner.items()
                                           if parent == who and child not in self.spawned and child != who)

    def made(self, m: Machine, who: int, event: Event) -> None:
        if event.kind == SPAWN:
            self.spawned.add(event.obj.number)
            self.next = None
        elif event.place == self.place:
            self.left[who] = self.left.get(who, 0) - 1
            self.next = None
