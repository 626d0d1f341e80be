# SPDX-License-Identifier: MIT
"""In turn: each task makes one event, then the one that began before it. It is the opposite of the schedule without preemption.

A task that is about to spawn a thread goes on, so that all threads take part. The youngest comes first, the oldest last.
"""

from __future__ import annotations

from collections.abc import Sequence

from vmrace.harness.machine.machine import Machine
from vmrace.harness.points import SPAWN
from vmrace.harness.schedulers.every_point import EveryPoint, can_go_on


class InTurn(EveryPoint):
    """The scheduler that lets all tasks take turns, the youngest first. It makes no random choice."""

    def choose(self, m: Machine, choices: Sequence[int]) -> int:
        me = m.current.id
        event = self.pending.get(me)
        if event is not None and event.kind == SPAWN and me in choices:
            return me
        able = [choice for choice in choices if can_go_on(m, self.pending.get(choice), choice)] or choices
        older = [choice for choice in able if choice < me]
        return max(older) if older else max(able)
