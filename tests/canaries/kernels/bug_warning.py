# SPDX-License-Identifier: MIT
"""bug: a warning, not fatal: the finding of a run in which nothing worse follows."""

from vmrace.harness.kernel import WARN_ON, atomic_dec, atomic_inc, atomic_read, atomic_t

__FILE__ = "mm/canary.c"

users = atomic_t("users")


def use():
    atomic_inc(users)
    WARN_ON(atomic_read(users) > 1, 7)
    atomic_dec(users)
