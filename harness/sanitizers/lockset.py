# SPDX-License-Identifier: MIT
"""lockset: a field or a list declared under a lock was touched by a task that does not hold it (not in fast images).

A store takes the lock for oneself; under a rwlock or a rw_semaphore a load may have either side. What stands in data_race() is
excused, where it is a point (in kernel source a list or a guarded field without its lock is none, and goes on being reported).
"""

import sys

from vmrace.harness.finding import Kind
from vmrace.harness.watchers.call_stack import is_excused

NAME = "lockset"


class Reader:
    """A task as one that only loads, for tests of guards that were written for stores."""

    __slots__ = ("_held",)

    def __init__(self, task):
        self._held = task.held

    @property
    def held(self):
        return self

    def holds(self, lock):
        return self._held.shares(lock)


def check_guard(m, obj, holds, field, loads=False):
    """Report, unless `holds(task)` says that the guard is held. Code for fields has tested already and passes None."""
    if holds is not None and holds(Reader(m.current) if loads else m.current):
        return
    if m.current.id == -1:
        return                      # before and after the run nobody else is there
    if m.image.core == "functions" and is_excused(m.image, sys._getframe(1)):
        return
    what = f"{type(obj).__name__}.{field}" if field != "list" else obj.name
    if isinstance(field, int):
        what = f"{type(obj.struct).__name__}.{obj.name.rpartition('.')[2]}"
    m.report(Kind.LOCKSET.title(f"{what} touched without its lock in {m.where()}"), NAME, f"{obj} by {m.current.name}")
