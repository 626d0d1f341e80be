# SPDX-License-Identifier: MIT
"""Against the order, the lock is only tried."""

from vmrace.harness.kernel import spin_lock, spin_trylock, spin_unlock

__FILE__ = "mm/canary.c"


def truncate():
    spin_lock(page_lock)
    if spin_trylock(lru_lock):
        spin_unlock(lru_lock)
    spin_unlock(page_lock)
