# SPDX-License-Identifier: MIT
"""lockdep: a task releases a lock that it does not hold."""

from vmrace.harness.kernel import racy, spin_lock, spin_unlock, spinlock_t, struct

__FILE__ = "mm/canary.c"


class word(struct):
    locked = racy(0)


lock = spinlock_t("lock")
state = word("state")


def take():
    spin_lock(lock)
    state.locked = 1
    state.locked = 0
    spin_unlock(lock)


def break_in():
    if state.locked:
        spin_unlock(lock)
