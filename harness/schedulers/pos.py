# SPDX-License-Identifier: MIT
"""POS: partial order sampling. Each event has a random priority, and the event with the highest priority comes next.

Yuan, Yang, Gu, "Partial Order Aware Concurrency Sampling" (CAV 2018). After each event, the events that race with it, and are still to be
made, draw new priorities. An event that conflicts with no other keeps its priority however long the task runs, so the number of such
events in a task does not decide which of two racing events comes first. A uniform walk lets the task with fewer events come first.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from vmrace.harness.machine.machine import Machine
from vmrace.harness.schedulers.every_point import EveryPoint
from vmrace.harness.schedulers.relation import Event


class Pos(EveryPoint):
    """The POS scheduler."""

    def __init__(self, rng: random.Random):
        self.random = rng.random

    def begin(self, m: Machine) -> None:
        super().begin(m)
        self.priorities: dict[int, float] = {}

    def arrives(self, m: Machine, who: int, event: Event) -> None:
        self.priorities[who] = self.random()

    def choose(self, m: Machine, choices: Sequence[int]) -> int:
        priorities = self.priorities
        for choice in choices:
            if choice not in priorities:
                priorities[choice] = self.random()      # a task that has not begun, or an interrupt
        return max(choices, key=priorities.__getitem__)

    def made(self, m: Machine, who: int, event: Event) -> None:
        for other, pending in self.pending.items():
            if other != who and event.conflicts(pending):
                self.priorities[other] = self.random()
