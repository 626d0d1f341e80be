# SPDX-License-Identifier: MIT
"""The check is made again under the lock."""

from vmrace.harness.kernel import list_del, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def lru_del():
    if page.on_lru:
        spin_lock(lock)
        if page.on_lru:
            page.on_lru = 0
            list_del(page.lru)
        spin_unlock(lock)
