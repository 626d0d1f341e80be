# SPDX-License-Identifier: MIT
"""lockset: a field declared under a lock was touched by a task that does not hold it (in checked and up images).

A store takes the lock for oneself; under a rwlock or a rw_semaphore a load may have either side.
"""

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
    what = f"{type(obj).__name__}.{field}" if field != "list" else obj.name
    if isinstance(field, int):
        what = f"{type(obj.struct).__name__}.{obj.name.rpartition('.')[2]}"
    m.report(f"LOCKSET: {what} touched without its lock in {m.where()}", NAME, f"{obj} by {m.current.name}")
