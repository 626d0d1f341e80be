# SPDX-License-Identifier: MIT
"""What hardware models use: interrupts, and accesses that are one step however much they do."""

from vmrace.harness.machine import interrupts
from vmrace.harness.machine.machine import m
from vmrace.harness.points import READ, RMW, WRITE

__all__ = ["READ", "RMW", "WRITE", "point", "raise_irq"]


def raise_irq(handler, *args):
    """A device raises an interrupt: `handler(*args)` runs later, nested, on some cpu that has interrupts on."""
    interrupts.raise_irq(m, handler, args)


def point(obj, kind):
    """One point, to be followed by raw accesses (`obj._field`) that nothing can come between."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(kind, obj)
