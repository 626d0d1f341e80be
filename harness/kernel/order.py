# SPDX-License-Identifier: MIT
"""Orders between two cpus that the kernel does not make itself: for example, a process runs after the fork that made it.

These calls are no points. Only the sanitizer race uses them, as ThreadSanitizer uses ANNOTATE_HAPPENS_BEFORE and
ANNOTATE_HAPPENS_AFTER.
"""

from __future__ import annotations

from vmrace.harness.machine.machine import m


def happens_before(*what: object) -> None:
    """Order everything that this cpu has done so far before every later `happens_after(*what)`, on any cpu."""
    assert what, "an order has a name"
    orders = getattr(m.recorder, "orders", None)
    if orders is not None:
        orders(what, False)


def happens_after(*what: object) -> None:
    """Order everything that this cpu does from now on after every earlier `happens_before(*what)`, on any cpu."""
    assert what, "an order has a name"
    orders = getattr(m.recorder, "orders", None)
    if orders is not None:
        orders(what, True)
