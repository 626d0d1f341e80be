# SPDX-License-Identifier: MIT
"""The plainest kernel: functions with a known number of points, and ways to wait. For counting schedules."""

from vmrace.harness.kernel import atomic_inc, atomic_t, raise_irq, schedule, spin_lock, spin_unlock, spinlock_t, yield_cpu

count = atomic_t("count")
lock = spinlock_t("lock")


def points(n):
    for _ in range(n):
        atomic_inc(count)


def locked(n):
    spin_lock(lock)
    points(n)
    spin_unlock(lock)


def handler(n):
    points(n)


def interrupt(n):
    raise_irq(handler, n)


def yielding(n):
    points(n)
    yield_cpu()
    points(n)


def rescheduling(n):
    points(n)
    schedule()
    points(n)
