# SPDX-License-Identifier: MIT
"""refcount: two cpus check a count and then both drop the last reference."""

from vmrace.harness.kernel import atomic_dec, atomic_read, atomic_t

__FILE__ = "mm/canary.c"

count = atomic_t("count", 1, refcount=True)


def drop():
    if atomic_read(count):
        atomic_dec(count)
