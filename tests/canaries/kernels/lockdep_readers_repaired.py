# SPDX-License-Identifier: MIT
"""The same two orders, but both only read: the cycle stays, and nobody can wait in it."""

from vmrace.harness.kernel import read_lock, read_unlock, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def leave():
    spin_lock(mm_lock)
    read_lock(tasklist_lock)
    read_unlock(tasklist_lock)
    spin_unlock(mm_lock)
