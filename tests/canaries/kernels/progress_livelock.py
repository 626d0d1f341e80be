# SPDX-License-Identifier: MIT
"""progress: each task waits for the other to go first."""

from vmrace.harness.kernel import atomic_inc, atomic_read, atomic_t, yield_cpu

__FILE__ = "mm/canary.c"

first = atomic_t("first")
second = atomic_t("second")


def one():
    while not atomic_read(second):
        yield_cpu()
    atomic_inc(first)


def other():
    while not atomic_read(first):
        yield_cpu()
    atomic_inc(second)
