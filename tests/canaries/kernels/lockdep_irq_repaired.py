# SPDX-License-Identifier: MIT
"""The lock is acquired with interrupts off."""

from vmrace.harness.kernel import spin_lock_irqsave, spin_unlock_irqrestore

__FILE__ = "mm/canary.c"


def update():
    flags = spin_lock_irqsave(lock)
    spin_unlock_irqrestore(lock, flags)
