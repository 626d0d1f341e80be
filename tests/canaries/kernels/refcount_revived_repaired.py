# SPDX-License-Identifier: MIT
"""A task raises the count only if it is not zero."""

from vmrace.harness.kernel import atomic_read, cmpxchg

__FILE__ = "mm/canary.c"


def take():
    old = atomic_read(count)
    while old:
        seen = cmpxchg(count, old, old + 1)
        if seen == old:
            break
        old = seen
