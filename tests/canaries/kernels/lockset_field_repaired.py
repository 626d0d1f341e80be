# SPDX-License-Identifier: MIT
"""Every access is under the lock."""

from vmrace.harness.kernel import list_add, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def use():
    spin_lock(device.lock)
    if device.ready:
        device.used = 1
    spin_unlock(device.lock)


def map_slot():
    spin_lock(device.lock)
    if device.ready:
        device.swap_map[1] = 1
    spin_unlock(device.lock)


def register_device():
    spin_lock(device.lock)
    if device.ready:
        list_add(device.link, device_list)
    spin_unlock(device.lock)
