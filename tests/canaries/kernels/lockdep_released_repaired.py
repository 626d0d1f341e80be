# SPDX-License-Identifier: MIT
"""A task acquires the lock before it releases it."""

from vmrace.harness.kernel import spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def break_in():
    if state.locked:
        spin_lock(lock)
        spin_unlock(lock)
