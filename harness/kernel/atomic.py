# SPDX-License-Identifier: MIT
"""include/asm/atomic.h: counters whose every access is one point.

Each primitive starts with the machine's preamble: count the step, and call the machine if it asked for this one.
"""

from vmrace.harness.kernel.registry import register
from vmrace.harness.machine.machine import m
from vmrace.harness.points import READ, RMW, WRITE
from vmrace.harness.sanitizers import refcount as refcounts


class atomic_t:
    """A counter. `refcount=True` declares that it counts references: it must not go below zero nor come back from it."""

    __slots__ = ("counter", "name", "refcount", "struct")
    state_slots = ("counter",)

    def __init__(self, name: str, value: int = 0, refcount: bool = False, struct: object = None):
        self.name = name
        self.counter = value
        self.refcount = refcount
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name


def atomic_read(v):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, v)
    return v.counter


def atomic_set(v, n):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, v)
    v.counter = n


def atomic_inc(v):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter = n = v.counter + 1
    if n <= 1 and v.refcount:
        refcounts.revived(m, v)


def atomic_dec(v):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter = n = v.counter - 1
    if n < 0 and v.refcount:
        refcounts.below_zero(m, v)


def atomic_dec_and_test(v):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter = n = v.counter - 1
    if n < 0 and v.refcount:
        refcounts.below_zero(m, v)
    return not n


def atomic_inc_and_test(v):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter = n = v.counter + 1
    return not n


def atomic_add(n, v):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter += n


def atomic_sub(n, v):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter -= n
    if v.counter < 0 and v.refcount:
        refcounts.below_zero(m, v)


def xchg(v, n):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    old, v.counter = v.counter, n
    return old


def cmpxchg(v, old, new):
    """Store `new` if the counter is `old`; returns what it was."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    was = v.counter
    if was == old:
        v.counter = new
        if not was and new > 0 and v.refcount:
            refcounts.revived(m, v)
    return was
