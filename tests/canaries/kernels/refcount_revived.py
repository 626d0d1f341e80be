# SPDX-License-Identifier: MIT
"""refcount: a reference is taken while somebody else already owns the freeing."""

from vmrace.harness.kernel import atomic_dec_and_test, atomic_inc, atomic_t, racy, struct

__FILE__ = "mm/canary.c"


class cache_t(struct):
    found = racy(1)


cache = cache_t("cache")
count = atomic_t("count", 1, refcount=True)


def drop():
    if atomic_dec_and_test(count):
        cache.found = 0


def take():
    if cache.found:
        atomic_inc(count)
