# SPDX-License-Identifier: MIT
"""The check is made again under the lock."""

from vmrace.harness.kernel import list_add, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def lru_add():
    if not page.on_lru:
        spin_lock(lock)
        if not page.on_lru:
            page.on_lru = 1
            list_add(page.lru, lru_list)
        spin_unlock(lock)
