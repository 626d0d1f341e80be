# SPDX-License-Identifier: MIT
"""Where in a run a preemption can matter: accesses to objects that several tasks touch, at least one of them changing it,
and that no common lock protects (as Eraser, SOSP 1997, finds its candidates). Being preempted elsewhere is as good as being
preempted before the lock was taken.
"""

from __future__ import annotations

from typing import Any

from vmrace.harness.machine.machine import m
from vmrace.harness.points import BARRIER, IRQ, LOCAL, MASK, READ, WAIT, place_of

UNSEEN = (BARRIER, IRQ, LOCAL, MASK, WAIT)


class _Object:
    __slots__ = ("locks", "steps", "tasks", "written")

    def __init__(self, locks: set[Any]):
        self.steps: list[int] = []
        self.tasks: set[int] = set()
        self.written = False
        self.locks = locks


class Places:
    """A recorder for one run."""

    def __init__(self) -> None:
        self.objects: dict[Any, _Object] = {}
        self.others: dict[int, int] = {}            # step -> how many others could go on there

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        if kind in UNSEEN:
            return
        me = m.current
        held = {lock for lock in me.held.locks if not getattr(lock, "readers", 0) and not hasattr(lock, "rwlock")}     # readers share
        key = place_of(obj, arg)
        found = self.objects.get(key)
        if found is None:
            found = self.objects[key] = _Object(set(held))
        found.steps.append(m.step)
        self.others[m.step] = len(m.choices()) - 1
        found.tasks.add(me.id - 100 * me.irq_depth)
        found.locks &= held
        if kind != READ:
            found.written = True

    def touched(self) -> dict[Any, list[int]]:
        """Every object, and the steps at which it is touched."""
        return {key: found.steps for key, found in self.objects.items()}

    def contended(self) -> dict[Any, list[int]]:
        """Each such object (with the bit, index or field), and the steps at which it is touched."""
        return {key: found.steps for key, found in self.objects.items()
                if found.written and len(found.tasks) > 1 and not found.locks}
