# SPDX-License-Identifier: MIT
"""bug: the kernel complains in words."""

from vmrace.harness.kernel import atomic_dec, atomic_inc, atomic_read, atomic_t, printk

__FILE__ = "mm/canary.c"

users = atomic_t("users")


def use():
    atomic_inc(users)
    if atomic_read(users) > 1:
        printk("swap_dup: swap entry overflow\n")
    atomic_dec(users)
