# SPDX-License-Identifier: MIT
"""The toolkit of models of hardware: interrupts, and one point for several raw accesses."""

from __future__ import annotations

from collections.abc import Callable

from vmrace.harness.machine import interrupts
from vmrace.harness.machine.machine import m
from vmrace.harness.points import READ, RMW, WRITE

__all__ = ["READ", "RMW", "WRITE", "point", "raise_irq"]


def raise_irq(handler: Callable[..., object], *args: object) -> None:
    """Raise an interrupt: `handler(*args)` runs later, nested on the stack of some cpu that has interrupts on."""
    interrupts.raise_irq(m, handler, args)


def point(obj: object, kind: int) -> None:
    """Pass one point of kind READ, WRITE or RMW on `obj`. Raw accesses (`obj._field`) may follow; no task can run between them."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(kind, obj)
