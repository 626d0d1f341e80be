# SPDX-License-Identifier: MIT
"""lockdep: a task acquires a lock that it holds; so does an interrupt that hits the holder."""

from vmrace.harness.kernel import racy, raise_irq, spin_lock, spin_unlock, spinlock_t, struct

__FILE__ = "mm/canary.c"


class word(struct):
    again = racy(0)


lock = spinlock_t("lock")
state = word("state")


def complete():
    spin_lock(lock)
    spin_unlock(lock)


def submit():
    raise_irq(complete)


def ask():
    state.again = 1


def update():
    spin_lock(lock)
    if state.again:
        update_again()
    spin_unlock(lock)


def update_again():
    spin_lock(lock)
    spin_unlock(lock)
