# SPDX-License-Identifier: MIT
"""refcount: a count is checked and then dropped, by subtraction and by atomic_dec_and_lock()."""

from vmrace.harness.kernel import atomic_dec_and_lock, atomic_read, atomic_sub, atomic_t, spin_unlock, spinlock_t

__FILE__ = "mm/canary.c"

count = atomic_t("count", 1, refcount=True)
lock = spinlock_t("lock")


def subtract():
    if atomic_read(count):
        atomic_sub(1, count)


def drop_and_lock():
    if atomic_read(count) and atomic_dec_and_lock(count, lock):
        spin_unlock(lock)
