# SPDX-License-Identifier: MIT
"""What orders two cpus outside of the kernel: a process runs after the fork that made it. Not a point and no part of the kernel.

The sanitizer race takes them as ThreadSanitizer takes ANNOTATE_HAPPENS_BEFORE and ANNOTATE_HAPPENS_AFTER; nobody else listens.
"""

from vmrace.harness.machine.machine import m


def happens_before(*what):
    """All that this cpu has done so far comes before whatever follows a later happens_after() of the same name."""
    orders = getattr(m.recorder, "orders", None)
    if orders is not None:
        orders(what, False)


def happens_after(*what):
    orders = getattr(m.recorder, "orders", None)
    if orders is not None:
        orders(what, True)
