# SPDX-License-Identifier: MIT
"""include/linux/spinlock.h. Taking a lock is enabled only while it is free; taking and giving back are both points.

`held` of a task is a node of the tree of locksets (see sanitizers/lockdep): taking a lock walks down, giving it back up.
"""

from vmrace.harness.kernel.registry import register
from vmrace.harness.machine import waiting
from vmrace.harness.machine.machine import m
from vmrace.harness.points import ACQUIRE, MASK, READ, RELEASE, RMW, TRYLOCK
from vmrace.harness.sanitizers import lockdep
from vmrace.harness.sanitizers import refcount as refcounts


class spinlock_t:
    """A spinlock; `owner` is the task that holds it."""

    __slots__ = ("cls", "name", "owner", "struct")
    spins = True
    volatile_slots = ("owner",)

    def __init__(self, name: str, struct: object = None, cls: str = ""):
        self.name = name
        self.cls = cls or name
        self.owner = None
        self.struct = struct
        register(self)

    def available(self, task: object) -> bool:
        return self.owner is None

    def __repr__(self) -> str:
        return self.name


def spin_lock(lock):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, lock)
    cur = m.current
    if lock.owner is not None:
        waiting.spin(m, lock)
    lock.owner = cur
    cur.held = cur.held[lock]


def spin_unlock(lock):
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


def spin_trylock(lock):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(TRYLOCK, lock)
    if lock.owner is not None:
        return 0
    lock.owner = cur = m.current
    cur.held = cur.held.tried(lock)
    return 1


def spin_is_locked(lock):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, lock)
    return lock.owner is not None


def local_irq_disable():
    """Interrupts off on this cpu. A point, if they were on: one may still come just before."""
    cur = m.current
    if not cur.held.irqs_off:
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(MASK, cur.cpu)
        cur.held = cur.held.with_irqs_off()


def local_irq_enable():
    cur = m.current
    cur.held = cur.held.with_irqs_on()


def local_irq_save():
    """Interrupts off on this cpu; returns what `local_irq_restore` needs."""
    flags = m.current.held.irqs_off
    local_irq_disable()
    return flags


def local_irq_restore(flags):
    if flags:
        local_irq_disable()
    else:
        local_irq_enable()


def spin_lock_irq(lock):
    local_irq_disable()
    spin_lock(lock)


def spin_unlock_irq(lock):
    spin_unlock(lock)
    local_irq_enable()


def spin_lock_irqsave(lock):
    flags = local_irq_save()
    spin_lock(lock)
    return flags


def spin_unlock_irqrestore(lock, flags):
    spin_unlock(lock)
    local_irq_restore(flags)


def atomic_dec_and_lock(v, lock):
    """arch/i386/lib/dec_and_lock.c: drop a count; if that made it 0, return 1 with `lock` held. The drop to 0 happens under the lock."""
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
