# SPDX-License-Identifier: MIT
"""The kernel of returning.py with a check: a second taker is a bug."""

from vmrace.harness.kernel import BUG, atomic_dec_and_test

__FILE__ = "mm/returning.c"


def take_slot():
    if not atomic_dec_and_test(slots):
        BUG(12)
    return 0
