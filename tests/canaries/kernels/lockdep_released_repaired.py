# SPDX-License-Identifier: MIT
"""Who wants the lock takes it."""

from vmrace.harness.kernel import spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def break_in():
    if state.locked:
        spin_lock(lock)
        spin_unlock(lock)
