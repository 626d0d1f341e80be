# SPDX-License-Identifier: MIT
"""The steps of a run at which a preemption can matter. These are the accesses to contended objects: several tasks touch the object,
at least one changes it, and no common lock protects it (Eraser, SOSP 1997, finds its candidates like this).

A preemption at another step has the same effect as one before the lock was acquired. Tasks count together over all runs of a program: the
second task may touch an object only on a path that no run without preemption takes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from vmrace.harness.machine.machine import m
from vmrace.harness.points import BARRIER, IRQ, LOCAL, MASK, READ, WAIT, place_of

UNSEEN = (BARRIER, IRQ, LOCAL, MASK, WAIT)


def _exclusive(locks: Iterable[Any]) -> set[Any]:
    """Return the locks without those that readers hold, who share them."""
    return {lock for lock in locks if not hasattr(lock, "rwlock")}


class _Object:
    """The accesses to one object: their steps, their tasks, and the locks that were held at every one of them."""

    __slots__ = ("locks", "steps", "tasks", "written")

    def __init__(self, locks: set[Any]):
        self.steps: list[int] = []
        self.tasks: set[int] = set()
        self.written = False
        self.locks = locks

    @property
    def contended(self) -> bool:
        return self.written and len(self.tasks) > 1 and not self.locks


class Places:
    """A recorder of the accesses of one run. `others` counts for each step the other tasks that could run there.

    `made` has for each object, for the locks that were held and for the kind of access, the steps and the tasks that made it. A
    run makes thousands of accesses, so `objects` is worked out after it.
    """

    def __init__(self) -> None:
        self.made: dict[tuple[Any, Any, int], tuple[list[int], set[int]]] = {}
        self.others: dict[int, int] = {}

    def __call__(self, kind: int, obj: Any, arg: Any) -> None:
        if kind in UNSEEN:
            return
        me, step = m.current, m.step
        key = place_of(obj, arg), me.held, kind
        made = self.made.get(key)
        if made is None:
            made = self.made[key] = [], set()
        made[0].append(step)
        made[1].add(me.id - 100 * me.irq_depth)
        self.others[step] = len(m.choices()) - 1

    @functools.cached_property
    def objects(self) -> dict[Any, _Object]:
        """The accesses to each object, in the order of the first ones. To be asked after the run."""
        out: dict[Any, _Object] = {}
        exclusive = {held: _exclusive(held.locks) for held in {held for _, held, _ in self.made}}
        for (key, held, kind), (steps, tasks) in self.made.items():
            found = out.get(key)
            if found is None:
                found = out[key] = _Object(set(exclusive[held]))
            elif found.locks:
                found.locks &= exclusive[held]
            found.steps += steps
            found.tasks |= tasks
            found.written |= kind != READ
        for found in out.values():
            found.steps.sort()
        return out

    def contended(self) -> dict[Any, list[int]]:
        """Map each contended object (with its bit, index or field) to the steps at which it is touched."""
        return {key: found.steps for key, found in self.objects.items() if found.contended}


class Contention:
    """The objects that are contended in some runs of a program, taken together: an object may be touched by one task in one run, and by
    another task in another one. `keys` are those that are contended so far."""

    def __init__(self) -> None:
        self.objects: dict[Any, _Object] = {}
        self.keys: set[Any] = set()

    def add(self, places: Places) -> set[Any]:
        """Add a run. Returns the objects that are contended from now on, and were not before."""
        fresh = set()
        for key, found in places.objects.items():
            known = self.objects.get(key)
            if known is None:
                known = self.objects[key] = _Object({*found.locks})
            known.locks &= found.locks
            known.tasks |= found.tasks
            known.written |= found.written
            if known.contended and key not in self.keys:
                fresh.add(key)
        self.keys |= fresh
        return fresh

    def within(self, places: Places) -> dict[Any, list[int]]:
        """Map each contended object to the steps at which the run touches it."""
        return {key: found.steps for key, found in places.objects.items() if key in self.keys}
