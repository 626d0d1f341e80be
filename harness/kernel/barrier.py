# SPDX-License-Identifier: MIT
"""include/asm/system.h and linux/compiler.h. The machine is sequentially consistent, so a barrier orders nothing; it is only a point.

The sanitizer race does model weaker orders, and uses these points for that (watchers/race.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vmrace.harness.machine.machine import m
from vmrace.harness.points import BARRIER

T = TypeVar("T")


def mb() -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(BARRIER, m.current.cpu, "mb")


def rmb() -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(BARRIER, m.current.cpu, "rmb")


def wmb() -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(BARRIER, m.current.cpu, "wmb")


def cpu_relax() -> None:
    """Hint that the task waits in a loop by reading. It orders nothing."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(BARRIER, m.current.cpu, "cpu_relax")


def smp_cond_load_relaxed(load: Callable[[], T], condition: Callable[[T], object]) -> T:
    """Call `load()` until `condition(value)` is true of its value, and return that value.

    The explorer recognises such a loop as waiting (explore/spinning.py).
    """
    while True:
        value = load()
        if condition(value):
            return value
        cpu_relax()


smp_mb = smp_mb__before_clear_bit = smp_mb__after_clear_bit = mb
smp_rmb = rmb
smp_wmb = wmb


def likely(condition: T) -> T:
    return condition


def unlikely(condition: T) -> T:
    return condition


def data_race(value: T) -> T:
    """Mark an access that is meant to have no lock.

    The linker removes the call and records its place for the sanitizers. In plain functions the call runs and returns `value`.
    """
    return value
