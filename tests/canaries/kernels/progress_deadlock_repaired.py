# SPDX-License-Identifier: MIT
"""Both tasks acquire the locks in one order."""

from vmrace.harness.kernel import spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def truncate():
    spin_lock(lru_lock)
    spin_lock(page_lock)
    spin_unlock(page_lock)
    spin_unlock(lru_lock)
