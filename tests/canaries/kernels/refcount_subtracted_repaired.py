# SPDX-License-Identifier: MIT
"""Checking and dropping are one step."""

from vmrace.harness.kernel import atomic_dec_and_lock, atomic_read, atomic_sub, spin_lock, spin_unlock, spinlock_t

__FILE__ = "mm/canary.c"

count_lock = spinlock_t("count_lock")


def subtract():
    spin_lock(count_lock)
    if atomic_read(count):
        atomic_sub(1, count)
    spin_unlock(count_lock)


def drop_and_lock():
    spin_lock(count_lock)
    if atomic_read(count) and atomic_dec_and_lock(count, lock):
        spin_unlock(lock)
    spin_unlock(count_lock)
