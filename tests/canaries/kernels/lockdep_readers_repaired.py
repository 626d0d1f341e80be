# SPDX-License-Identifier: MIT
"""The two orders are the same, but both tasks only read: the cycle stays, and no task can wait in it."""

from vmrace.harness.kernel import read_lock, read_unlock, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def leave():
    spin_lock(mm_lock)
    read_lock(tasklist_lock)
    read_unlock(tasklist_lock)
    spin_unlock(mm_lock)
