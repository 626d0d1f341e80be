# SPDX-License-Identifier: MIT
"""PCT: random priorities and `depth - 1` points at which the running task drops below all others.

Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010: a bug of depth d in a run of k points and n tasks is found with
probability at least 1 / (n k^(d-1)). k is learnt from earlier runs. An interrupt counts as a task: when it is raised, it gets a random
place among the others and a random cpu. A failed trylock or a yield lowers no priority here; the machine passes over a task that
yields until the others have yielded, too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import NEVER


class Pct:
    """The PCT scheduler. `depth`: the depth d of the bugs it looks for, at least 1; `points`: k, for the first run."""

    def __init__(self, rng: random.Random, depth: int = 3, points: int = 100):
        assert depth >= 1, depth
        self.random = rng.random
        self.depth = depth
        self.points = points
        self.order: list[int] = []
        self.changes: list[int] = []
        self.irqs = 0

    def begin(self, m: Machine) -> None:
        uniform = self.random
        order = self.order = []
        for task in range(len(m.tasks)):
            order.insert(int(uniform() * (task + 1)), task)
        points = self.points
        changes = self.changes = [NEVER]
        for _ in range(self.depth - 1):
            changes.append(1 + int(uniform() * points))
        changes.sort(reverse=True)
        self.irqs = 0
        m.want(changes[-1])

    def learn(self, points: int) -> None:
        """Set k: a run of this program had `points` points."""
        self.points = max(points, 2)

    def at(self, m: Machine) -> int:
        changes = self.changes
        step = m.step
        while changes[-1] <= step:
            changes.pop()
            self._sink(m.current.id)
        m.want(changes[-1])
        return self.forced(m, m.enabled or m.choices())

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        """Return the choice with the highest priority."""
        while self.irqs < m.irqs_raised:
            code = len(m.tasks) + self.irqs * len(m.cpus) + int(self.random() * len(m.cpus))
            self.order.insert(int(self.random() * (len(self.order) + 1)), code)
            self.irqs += 1
        me = m.current.id
        if me < -1 and me in choices:
            return me                               # an idle cpu finishes its interrupt first
        for who in self.order:
            if who in choices:
                return who
        return choices[0]

    def wake(self, m: Machine) -> None:
        m.want(m.step + 1)

    def _sink(self, who: int) -> None:
        order = self.order
        if who in order:
            order.remove(who)
        order.append(who)
