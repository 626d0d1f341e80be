# SPDX-License-Identifier: MIT
"""A kernel with one slot: a second taker gets -ENOMEM, until the first has put it back."""

from vmrace.harness.kernel import atomic_dec_and_test, atomic_inc, atomic_t

__FILE__ = "mm/returning.c"

ENOMEM = 12
slots = atomic_t("slots", 1)


def take_slot():
    if not atomic_dec_and_test(slots):
        atomic_inc(slots)
        return -ENOMEM
    return 0


def put_slot():
    atomic_inc(slots)
