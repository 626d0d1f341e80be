# SPDX-License-Identifier: MIT
"""There is one exit, which releases the lock."""

from vmrace.harness.kernel import spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def take():
    spin_lock(lock)
    state.busy
    spin_unlock(lock)
