# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/spinlock.h: the locks of readers and writers with interrupts off, the same in each family that has them."""
from vmrace.harness.kernel import (
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
    read_lock,
    read_unlock,
    write_lock,
    write_unlock,
)

__FILE__ = "include/linux/spinlock.h"


def read_lock_irq(lock):
    local_irq_disable()
    read_lock(lock)


def read_unlock_irq(lock):
    read_unlock(lock)
    local_irq_enable()


def read_lock_irqsave(lock):
    flags = local_irq_save()
    read_lock(lock)
    return flags


def read_unlock_irqrestore(lock, flags):
    read_unlock(lock)
    local_irq_restore(flags)


def write_lock_irq(lock):
    local_irq_disable()
    write_lock(lock)


def write_unlock_irq(lock):
    write_unlock(lock)
    local_irq_enable()


def write_lock_irqsave(lock):
    flags = local_irq_save()
    write_lock(lock)
    return flags


def write_unlock_irqrestore(lock, flags):
    write_unlock(lock)
    local_irq_restore(flags)
