# SPDX-License-Identifier: MIT
"""One exit."""

from vmrace.harness.kernel import spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def take():
    spin_lock(lock)
    state.busy
    spin_unlock(lock)
