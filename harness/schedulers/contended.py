# SPDX-License-Identifier: MIT
"""A few preemptions, each of them at a contended access: an access to an object that several tasks touch.

`objects` are the contended ones of earlier runs (see fuzz/sampling/contention.py): several tasks touch them, at least one changes them,
and no lock is common to all. A preemption at any other point has the same effect as one at the next contended access, so no random
choice is wasted on points that make no difference. The second preemption is mostly near the first, because windows are short.

The scheduler is asked at every point, which costs about a sixth of a run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import NEVER
from vmrace.harness.points import place_of

NEAR = 5        # contended accesses, on average, from the first preemption to a second that is near it


class Contended:
    """A scheduler that makes `preemptions` preemptions a run, each at a random contended access."""

    def __init__(self, rng: random.Random, preemptions: int = 2):
        assert preemptions >= 1, preemptions
        self.rng = rng
        self.preemptions = preemptions
        self.objects: set[Any] = set()
        self.total = 30             # contended accesses in a run: a guess, until `learn`

    def begin(self, m: Machine) -> None:
        uniform = self.rng.random
        self.count = 0
        places = [1 + int(uniform() * self.total)]
        while len(places) < self.preemptions:
            near = uniform() < 0.6
            places.append(places[-1] + 1 + int(self.rng.expovariate(1 / NEAR)) if near else 1 + int(uniform() * self.total))
        places.sort(reverse=True)
        self.places = places
        m.want(1)

    def at(self, m: Machine) -> int:
        me = m.current
        assert me.at is not None, me
        _, obj, arg = me.at
        if place_of(obj, arg) not in self.objects:
            m.want(m.step + 1)
            return me.id
        self.count = count = self.count + 1
        m.want(m.step + 1)
        places = self.places
        if not places or places[-1] > count:
            if not places:
                m.want(NEVER)
            return me.id
        while places and places[-1] <= count:
            places.pop()
        others = [choice for choice in m.choices() if choice != me.id]
        return others[int(self.rng.random() * len(others))] if others else me.id

    def learn(self, objects: set[Any], total: int) -> None:
        """Set the contended objects, and the number of contended accesses in a run."""
        self.objects = objects
        self.total = max(total, 2)

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        return choices[int(self.rng.random() * len(choices))]

    def wake(self, m: Machine) -> None:
        pass
