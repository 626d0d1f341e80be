# SPDX-License-Identifier: MIT
"""lockset: a task touches a field or a list that is declared under a lock, and does not hold that lock (not in fast images).

A store needs the lock exclusively. For a load under a rwlock or a rw_semaphore either side is enough. In programs of plain functions
data_race() excuses the access. In kernel source it does not: there a list, or a guarded field, without its lock is no point, and so no
schedule would show the race that was excused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from vmrace.harness.call_stack import is_excused
from vmrace.harness.finding import Kind

if TYPE_CHECKING:
    from vmrace.harness.kernel.list import list_head
    from vmrace.harness.kernel.struct import array
    from vmrace.harness.kernel.struct import struct as Struct
    from vmrace.harness.machine.machine import Machine
    from vmrace.harness.machine.task import Task
    from vmrace.harness.sanitizers.lockdep import Held, Lock

NAME = "lockset"


class Locks(Protocol):
    """A set of locks, as the test of a guard asks for one of them."""

    def holds(self, lock: Lock) -> bool:
        """True if `lock` is in the set."""


class Holder(Protocol):
    """A task, or a Reader, as the test of a guard sees it."""

    @property
    def held(self) -> Locks:
        """The locks that it holds."""


class Reader:
    """A task as one that only loads, for the tests of guards, which are written for stores."""

    __slots__ = ("_held",)

    def __init__(self, task: Task):
        self._held: Held = task.held

    @property
    def held(self) -> Reader:
        return self

    def holds(self, lock: Lock) -> bool:
        """True if the task holds `lock`, or shares it with other readers."""
        return self._held.shares(lock)


def check_guard(m: Machine, obj: Struct | array | list_head, holds: Callable[[Holder], bool] | None, field: str | int,
                loads: bool = False) -> None:
    """Report an access of the running task to `field` of `obj`, unless `holds(task)` is true: the task holds the guard.

    `holds` is None if the caller has tested the guard and the task does not hold it. `field` is "list" for a list, and the index for
    an array. `loads`: the access only loads.
    """
    if holds is not None and holds(Reader(m.current) if loads else m.current):
        return
    if m.current.id == -1:
        return                      # before and after the run nothing else runs
    if m.image.core == "functions" and is_excused(m.image, sys._getframe(1)):
        return
    what = f"{type(obj).__name__}.{field}" if field != "list" else obj.name
    if isinstance(field, int):
        what = f"{type(obj.struct).__name__}.{obj.name.rpartition('.')[2]}"
    m.report(Kind.LOCKSET.title(f"{what} touched without its lock in {m.where()}"), NAME, f"{obj} by {m.current.name}")
