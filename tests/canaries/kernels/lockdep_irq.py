# SPDX-License-Identifier: MIT
"""lockdep: a lock is taken in an interrupt, and elsewhere with interrupts on."""

from vmrace.harness.kernel import raise_irq, spin_lock, spin_unlock, spinlock_t

__FILE__ = "mm/canary.c"

lock = spinlock_t("lock")


def complete():
    spin_lock(lock)
    spin_unlock(lock)


def submit():
    raise_irq(complete)


def update():
    spin_lock(lock)
    spin_unlock(lock)
