# SPDX-License-Identifier: MIT
"""Only a page that is not free goes onto the LRU."""

from vmrace.harness.kernel import list_add, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def lru_add():
    spin_lock(lock)
    if page.list.on is not free_list:
        list_add(page.lru, lru_list)
    spin_unlock(lock)
