# SPDX-License-Identifier: MIT
"""include/linux/spinlock.h: spinlocks, and interrupts off or on.

Acquire and release are both points. A task at an acquire can be chosen only while the lock is free.
`held` of a task is a node of the tree of locksets (sanitizers/lockdep.py): an acquire moves down the tree, a release up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.kernel import waiting
from vmrace.harness.kernel.registry import register
from vmrace.harness.machine.machine import m
from vmrace.harness.points import ACQUIRE, MASK, READ, RELEASE, RMW, TRYLOCK
from vmrace.harness.sanitizers import lockdep
from vmrace.harness.sanitizers import refcount as refcounts

if TYPE_CHECKING:
    from vmrace.harness.kernel.atomic import atomic_t
    from vmrace.harness.kernel.struct import struct as Struct
    from vmrace.harness.machine.task import Task


class spinlock_t:
    """A spinlock. `owner` is the task that holds it; `cls` its lockdep class, which the locks of one struct field share."""

    __slots__ = ("cls", "name", "owner", "struct")
    spins = True
    volatile_slots = ("owner",)

    def __init__(self, name: str, struct: Struct | None = None, cls: str = ""):
        self.name = name
        self.cls = cls or name
        self.owner: Task | None = None
        self.struct = struct
        register(self)

    def available(self, task: object) -> bool:
        return self.owner is None

    def __repr__(self) -> str:
        return self.name


def spin_lock(lock: spinlock_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, lock)
    cur = m.current
    if lock.owner is not None:
        waiting.spin(m, lock)
    lock.owner = cur
    cur.held = cur.held[lock]


def spin_unlock(lock: spinlock_t) -> None:
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


def spin_trylock(lock: spinlock_t) -> int:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(TRYLOCK, lock)
    if lock.owner is not None:
        return 0
    lock.owner = cur = m.current
    cur.held = cur.held.tried(lock)
    return 1


def spin_is_locked(lock: spinlock_t) -> bool:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, lock)
    return lock.owner is not None


def local_irq_disable() -> None:
    """Turn interrupts off on this cpu. It is a point if they were on, as an interrupt may still come just before."""
    cur = m.current
    if not cur.held.irqs_off:
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(MASK, cur.cpu)
        cur.held = cur.held.with_irqs_off()


def local_irq_enable() -> None:
    cur = m.current
    cur.held = cur.held.with_irqs_on()


def local_irq_save() -> bool:
    """Turn interrupts off on this cpu. Returns the flags for `local_irq_restore`: true if they were off before."""
    flags: bool = m.current.held.irqs_off
    local_irq_disable()
    return flags


def local_irq_restore(flags: bool) -> None:
    if flags:
        local_irq_disable()
    else:
        local_irq_enable()


def spin_lock_irq(lock: spinlock_t) -> None:
    local_irq_disable()
    spin_lock(lock)


def spin_unlock_irq(lock: spinlock_t) -> None:
    spin_unlock(lock)
    local_irq_enable()


def spin_lock_irqsave(lock: spinlock_t) -> bool:
    flags = local_irq_save()
    spin_lock(lock)
    return flags


def spin_unlock_irqrestore(lock: spinlock_t, flags: bool) -> None:
    spin_unlock(lock)
    local_irq_restore(flags)


def atomic_dec_and_lock(v: atomic_t, lock: spinlock_t) -> int:
    """arch/i386/lib/dec_and_lock.c: decrement a count. If it becomes 0, return 1 with `lock` held, else 0 without it.

    The decrement to 0 is made under the lock, any other without it.
    """
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    if v.counter != 1:
        v.counter -= 1
        if v.counter < 0 and v.refcount:
            refcounts.below_zero(m, v)
        return 0
    spin_lock(lock)
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter -= 1
    if v.counter < 0 and v.refcount:
        refcounts.below_zero(m, v)
    if not v.counter:
        return 1
    spin_unlock(lock)
    return 0
