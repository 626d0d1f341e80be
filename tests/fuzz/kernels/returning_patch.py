# SPDX-License-Identifier: MIT
"""The kernel of returning.py with a patch: no taker fails."""

from vmrace.harness.kernel import atomic_dec

__FILE__ = "mm/returning.c"


def take_slot():
    atomic_dec(slots)
    return 0
