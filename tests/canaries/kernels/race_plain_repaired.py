# SPDX-License-Identifier: MIT
"""Fields are under the lock; bits are changed one by one, atomically."""

from vmrace.harness.kernel import clear_bit, set_bit, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def rename():
    spin_lock(page.lock)
    page.index = 1
    spin_unlock(page.lock)


def lookup():
    spin_lock(page.lock)
    index = page.index
    spin_unlock(page.lock)
    return index


def map_slot():
    spin_lock(page.lock)
    page.slots[1] = 1
    spin_unlock(page.lock)


def lookup_slot():
    spin_lock(page.lock)
    slot = page.slots[1]
    spin_unlock(page.lock)
    return slot


def __set():
    set_bit(PG_dirty, page.flags)


def clear_both():
    clear_bit(PG_dirty, page.flags)
    clear_bit(PG_referenced, page.flags)
