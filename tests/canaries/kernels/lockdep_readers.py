# SPDX-License-Identifier: MIT
"""lockdep: a writer waits for a reader that waits for the other lock. One task alone shows it."""

from vmrace.harness.kernel import read_lock, read_unlock, rwlock_t, spin_lock, spin_unlock, spinlock_t, write_lock, write_unlock

__FILE__ = "mm/canary.c"

tasklist_lock = rwlock_t("tasklist_lock")
mm_lock = spinlock_t("mm_lock")


def walk():
    read_lock(tasklist_lock)
    spin_lock(mm_lock)
    spin_unlock(mm_lock)
    read_unlock(tasklist_lock)


def leave():
    spin_lock(mm_lock)
    write_lock(tasklist_lock)
    write_unlock(tasklist_lock)
    spin_unlock(mm_lock)
