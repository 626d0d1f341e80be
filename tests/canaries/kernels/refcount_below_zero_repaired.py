# SPDX-License-Identifier: MIT
"""Checking and dropping are one step."""

from vmrace.harness.kernel import atomic_dec, atomic_read, spin_lock, spin_unlock, spinlock_t

__FILE__ = "mm/canary.c"

count_lock = spinlock_t("count_lock")


def drop():
    spin_lock(count_lock)
    if atomic_read(count):
        atomic_dec(count)
    spin_unlock(count_lock)
