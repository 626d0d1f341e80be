# SPDX-License-Identifier: MIT
"""lockdep: an error path returns to user space with the lock held."""

from vmrace.harness.kernel import racy, spin_lock, spin_unlock, spinlock_t, struct

__FILE__ = "mm/canary.c"


class word(struct):
    busy = racy(0)


lock = spinlock_t("lock")
state = word("state")


def fail():
    state.busy = 1
    state.busy = 0


def take():
    spin_lock(lock)
    if state.busy:
        return
    spin_unlock(lock)
