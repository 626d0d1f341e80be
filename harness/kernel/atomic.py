# SPDX-License-Identifier: MIT
"""include/asm/atomic.h: counters; every access to one is one point.

Each primitive begins with the same four lines: it counts the step, and calls the machine if the scheduler asked for this step.
The lines are written out in each primitive, because a call would cost more than the whole point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.kernel.registry import register
from vmrace.harness.machine.machine import m
from vmrace.harness.points import READ, RMW, WRITE
from vmrace.harness.sanitizers import refcount as refcounts

if TYPE_CHECKING:
    from vmrace.harness.kernel.struct import struct as Struct


class atomic_t:
    """A counter. `refcount=True` declares a count of references: the sanitizer refcount reports it below zero, and raised from zero.

    `struct` is the struct that embeds the counter; None for a counter that stands alone.
    """

    __slots__ = ("counter", "name", "refcount", "struct")
    state_slots = ("counter",)

    def __init__(self, name: str, value: int = 0, refcount: bool = False, struct: Struct | None = None):
        self.name = name
        self.counter = value
        self.refcount = refcount
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name


def atomic_read(v: atomic_t) -> int:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, v)
    return v.counter


def atomic_set(v: atomic_t, n: int) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, v)
    v.counter = n


def atomic_inc(v: atomic_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter = n = v.counter + 1
    if n <= 1 and v.refcount:
        refcounts.revived(m, v)


def atomic_dec(v: atomic_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter = n = v.counter - 1
    if n < 0 and v.refcount:
        refcounts.below_zero(m, v)


def atomic_dec_and_test(v: atomic_t) -> bool:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter = n = v.counter - 1
    if n < 0 and v.refcount:
        refcounts.below_zero(m, v)
    return not n


def atomic_inc_and_test(v: atomic_t) -> bool:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter = n = v.counter + 1
    return not n


def atomic_add(n: int, v: atomic_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter += n


def atomic_sub(n: int, v: atomic_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    v.counter -= n
    if v.counter < 0 and v.refcount:
        refcounts.below_zero(m, v)


def xchg(v: atomic_t, n: int) -> int:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    old, v.counter = v.counter, n
    return old


def cmpxchg(v: atomic_t, old: int, new: int) -> int:
    """Store `new` if the counter is `old`. Return the value before, whether or not it was replaced."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, v)
    was = v.counter
    if was == old:
        v.counter = new
        if not was and new > 0 and v.refcount:
            refcounts.revived(m, v)
    return was
