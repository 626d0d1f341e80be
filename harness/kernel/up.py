# SPDX-License-Identifier: MIT
"""Spinlocks of a kernel built without CONFIG_SMP: they exclude no task, and only keep a preemptible task on its cpu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.kernel.spinlock import local_irq_disable, local_irq_enable, local_irq_restore, local_irq_save
from vmrace.harness.machine.machine import m
from vmrace.harness.points import ACQUIRE, RELEASE, RMW, TRYLOCK
from vmrace.harness.sanitizers import refcount as refcounts

if TYPE_CHECKING:
    from vmrace.harness.kernel.atomic import atomic_t
    from vmrace.harness.kernel.rwlock import ReadSide, rwlock_t
    from vmrace.harness.kernel.spinlock import spinlock_t

    Lock = spinlock_t | rwlock_t | ReadSide


def spin_lock(lock: Lock) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, lock)
    cur = m.current
    cur.held = cur.held[lock]


def spin_unlock(lock: Lock) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, lock)
    cur = m.current
    held = cur.held
    cur.held = held.parent if held.lock is lock else held.without(m, lock)


def spin_trylock(lock: Lock) -> int:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(TRYLOCK, lock)
    cur = m.current
    cur.held = cur.held.tried(lock)
    return 1


def spin_is_locked(lock: Lock) -> bool:
    return False


def spin_lock_irq(lock: Lock) -> None:
    local_irq_disable()
    spin_lock(lock)


def spin_unlock_irq(lock: Lock) -> None:
    spin_unlock(lock)
    local_irq_enable()


def spin_lock_irqsave(lock: Lock) -> bool:
    flags = local_irq_save()
    spin_lock(lock)
    return flags


def spin_unlock_irqrestore(lock: Lock, flags: bool) -> None:
    spin_unlock(lock)
    local_irq_restore(flags)


def atomic_dec_and_lock(v: atomic_t, lock: Lock) -> int:
    """lib/dec_and_lock.c: decrement a count under the lock. Returns 1, with the lock held, if it becomes 0; else 0."""
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


def read_lock(lock: rwlock_t) -> None:
    spin_lock(lock.read_side)


def read_unlock(lock: rwlock_t) -> None:
    spin_unlock(lock.read_side)


OVERRIDES = {
    function.__name__: function for function in (
        spin_lock, spin_unlock, spin_trylock, spin_is_locked, spin_lock_irq, spin_unlock_irq, spin_lock_irqsave,
        spin_unlock_irqrestore, atomic_dec_and_lock, read_lock, read_unlock)
} | {"write_lock": spin_lock, "write_unlock": spin_unlock}
