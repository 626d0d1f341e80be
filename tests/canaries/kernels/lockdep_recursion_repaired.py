# SPDX-License-Identifier: MIT
"""Interrupts are off, and the holder does not acquire the lock again."""

from vmrace.harness.kernel import spin_lock_irqsave, spin_unlock_irqrestore

__FILE__ = "mm/canary.c"


def update():
    flags = spin_lock_irqsave(lock)
    spin_unlock_irqrestore(lock, flags)
    if state.again:
        update_again()


def update_again():
    flags = spin_lock_irqsave(lock)
    spin_unlock_irqrestore(lock, flags)
