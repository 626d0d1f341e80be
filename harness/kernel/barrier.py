# SPDX-License-Identifier: MIT
"""include/asm/system.h and linux/compiler.h. On this (sequentially consistent) machine a barrier is an event, no more."""

from vmrace.harness.machine.machine import m
from vmrace.harness.points import BARRIER


def mb():
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(BARRIER, m.current.cpu, "mb")


def rmb():
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(BARRIER, m.current.cpu, "rmb")


def wmb():
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(BARRIER, m.current.cpu, "wmb")


def cpu_relax():
    """In a loop that waits by reading: a hint, and no barrier to anybody."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(BARRIER, m.current.cpu, "cpu_relax")


def smp_cond_load_relaxed(load, condition):
    """Load, by `load()`, until `condition(value)` holds; returns that value. A task that waits so is found to wait (explore/spinning)."""
    while True:
        value = load()
        if condition(value):
            return value
        cpu_relax()


smp_mb = smp_mb__before_clear_bit = smp_mb__after_clear_bit = mb
smp_rmb = rmb
smp_wmb = wmb


def likely(condition):
    return condition


def unlikely(condition):
    return condition


def data_race(value):
    """Marks a read that is meant to have no lock. The linker tells the sanitizers; here it is the value."""
    return value
