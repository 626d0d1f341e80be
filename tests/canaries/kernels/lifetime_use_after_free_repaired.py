# SPDX-License-Identifier: MIT
"""Lookup and the new reference are one step under the lock of the cache."""

from vmrace.harness.kernel import atomic_inc, spin_lock, spin_unlock, spinlock_t

__FILE__ = "mm/canary.c"

cache_lock = spinlock_t("cache_lock")


def remove():
    spin_lock(cache_lock)
    page.cached = 0
    spin_unlock(cache_lock)
    put_page()


def lookup():
    spin_lock(cache_lock)
    found = page.cached
    if found:
        atomic_inc(page.count)
    spin_unlock(cache_lock)
    if found:
        put_page()
