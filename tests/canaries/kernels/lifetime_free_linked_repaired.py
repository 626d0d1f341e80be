# SPDX-License-Identifier: MIT
"""The cpu that dropped the last count checks the LRU."""

from vmrace.harness.kernel import atomic_dec_and_test, list_del, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def release():
    if atomic_dec_and_test(page.count):
        spin_lock(lock)
        if page.on_lru:
            list_del(page.lru)
            page.on_lru = 0
        spin_unlock(lock)
        free_page()
