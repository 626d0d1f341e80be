# SPDX-License-Identifier: MIT
"""refcount: a task raises a count while another task has dropped it to zero and is about to free."""

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
