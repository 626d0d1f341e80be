# SPDX-License-Identifier: MIT
"""Every access is under the lock."""

from vmrace.harness.kernel import list_empty, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def first():
    spin_lock(lock)
    devices.next
    spin_unlock(lock)


def follow():
    spin_lock(lock)
    device.link.prev
    spin_unlock(lock)


def cut():
    spin_lock(lock)
    device.link.next = devices
    spin_unlock(lock)


def look():
    spin_lock(lock)
    list_empty(devices)
    spin_unlock(lock)
