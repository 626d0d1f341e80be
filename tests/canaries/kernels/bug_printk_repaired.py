# SPDX-License-Identifier: MIT
"""One user at a time."""

from vmrace.harness.kernel import atomic_dec, atomic_inc, atomic_read, printk, spin_lock, spin_unlock, spinlock_t

__FILE__ = "mm/canary.c"

users_lock = spinlock_t("users_lock")


def use():
    spin_lock(users_lock)
    atomic_inc(users)
    if atomic_read(users) > 1:
        printk("swap_dup: swap entry overflow\n")
    atomic_dec(users)
    spin_unlock(users_lock)
