# SPDX-License-Identifier: MIT
"""include/linux/spinlock.h, rwlock_t: many readers or one writer; waiters spin, and no order among them is kept (i386 in 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.kernel import waiting
from vmrace.harness.kernel.registry import register
from vmrace.harness.machine.machine import m
from vmrace.harness.points import ACQUIRE, RELEASE
from vmrace.harness.sanitizers import lockdep

if TYPE_CHECKING:
    from vmrace.harness.kernel.struct import struct as Struct
    from vmrace.harness.machine.task import Task


class rwlock_t:
    """A reader-writer spinlock. `owner` is the writer, `readers` the number of readers.

    The writer holds the lock itself, a reader its `read_side`. `cls` is its lockdep class: locks of one struct field share it.
    """

    __slots__ = ("cls", "name", "owner", "read_side", "readers", "struct")
    spins = True
    volatile_slots = ("owner", "readers")

    def __init__(self, name: str, struct: Struct | None = None, cls: str = ""):
        self.name = name
        self.cls = cls or name
        self.owner: Task | None = None
        self.readers = 0
        self.read_side = ReadSide(self)
        self.struct = struct
        register(self)

    def available(self, task: object) -> bool:
        return self.owner is None and not self.readers

    def __repr__(self) -> str:
        return self.name


class ReadSide:
    """The lock as its readers hold it: free while there is no writer. A reader excludes no other reader (`shared`), not even one that
    waits behind a writer."""

    __slots__ = ("cls", "name", "rwlock")
    spins = True
    shared = True
    reads = True

    def __init__(self, rwlock: rwlock_t):
        self.rwlock = rwlock
        self.name = rwlock.name
        self.cls = rwlock.cls

    @property
    def owner(self) -> Task | None:
        return self.rwlock.owner

    def available(self, task: object) -> bool:
        return self.rwlock.owner is None

    def __repr__(self) -> str:
        return self.name


def write_lock(lock: rwlock_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, lock)
    cur = m.current
    if lock.owner is not None or lock.readers:
        waiting.spin(m, lock)
    lock.owner = cur
    cur.held = cur.held[lock]


def write_unlock(lock: rwlock_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, lock)
    cur = m.current
    if lock.owner is not cur:
        lockdep.unlocked_by_other(m, lock)
    lock.owner = None
    held = cur.held
    cur.held = held.parent if held.lock is lock else held.without(m, lock)
    if m.waiters:
        waiting.released(m)


def read_lock(lock: rwlock_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, lock, "read")
    cur = m.current
    if lock.owner is not None:
        waiting.spin(m, lock.read_side)
    lock.readers += 1
    cur.held = cur.held[lock.read_side]


def read_unlock(lock: rwlock_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, lock, "read")
    cur = m.current
    side, held = lock.read_side, cur.held
    cur.held = held.parent if held.lock is side else held.without(m, side)
    lock.readers -= 1
    if m.waiters:
        waiting.released(m)
