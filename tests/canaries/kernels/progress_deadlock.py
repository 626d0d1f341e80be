# SPDX-License-Identifier: MIT
"""progress: two locks in two orders."""

from vmrace.harness.kernel import spin_lock, spin_unlock, spinlock_t

__FILE__ = "mm/canary.c"

page_lock = spinlock_t("page_lock")
lru_lock = spinlock_t("lru_lock")


def shrink():
    spin_lock(lru_lock)
    spin_lock(page_lock)
    spin_unlock(page_lock)
    spin_unlock(lru_lock)


def truncate():
    spin_lock(page_lock)
    spin_lock(lru_lock)
    spin_unlock(lru_lock)
    spin_unlock(page_lock)
