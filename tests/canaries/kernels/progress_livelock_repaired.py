# SPDX-License-Identifier: MIT
"""One of them does go first."""

from vmrace.harness.kernel import atomic_inc

__FILE__ = "mm/canary.c"


def other():
    atomic_inc(second)
