# SPDX-License-Identifier: MIT
"""One of the tasks goes first."""

from vmrace.harness.kernel import atomic_inc

__FILE__ = "mm/canary.c"


def other():
    atomic_inc(second)
