# SPDX-License-Identifier: MIT
"""lockset: an interrupt handler touches a field without its lock; the interrupt may hit an idle cpu."""

from vmrace.harness.kernel import embed, guarded, raise_irq, spin_lock_irqsave, spin_unlock_irqrestore, spinlock_t, struct

__FILE__ = "mm/canary.c"


class device_t(struct):
    done = guarded(0, ".lock")
    lock = embed(spinlock_t)


device = device_t("device")


def complete():
    device.done = 1


def submit():
    flags = spin_lock_irqsave(device.lock)
    device.done = 0
    spin_unlock_irqrestore(device.lock, flags)
    raise_irq(complete)
