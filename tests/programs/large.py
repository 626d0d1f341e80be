# SPDX-License-Identifier: MIT
"""large(n, count): n tasks add to a variable under a lock, count times each; the last one forgets it once. Too many schedules to run."""

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel import spin_lock, spin_unlock, spinlock_t
from vmrace.harness.kernel.cell import cell


def make(n=6, count=10):
    lock, x = spinlock_t("lock"), cell("x", value=0)

    def add():
        for _ in range(count):
            spin_lock(lock)
            x.value += 1
            spin_unlock(lock)

    def forgets():
        for number in range(count):
            if number == count - 3:
                x.value += 1
            else:
                spin_lock(lock)
                x.value += 1
                spin_unlock(lock)

    return Program([add] * (n - 1) + [forgets], check=lambda: x.value == n * count)
