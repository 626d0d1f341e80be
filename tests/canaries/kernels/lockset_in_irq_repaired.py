# SPDX-License-Identifier: MIT
"""The handler takes the lock."""

from vmrace.harness.kernel import spin_lock_irqsave, spin_unlock_irqrestore

__FILE__ = "mm/canary.c"


def complete():
    flags = spin_lock_irqsave(device.lock)
    device.done = 1
    spin_unlock_irqrestore(device.lock, flags)
