# SPDX-License-Identifier: MIT
"""A task loads the field as a reader, and stores to it as the writer."""

from vmrace.harness.kernel import read_lock, read_unlock, write_lock, write_unlock

__FILE__ = "mm/canary.c"


def use():
    read_lock(device.lock)
    wanted = device.ready and not device.used
    read_unlock(device.lock)
    if wanted:
        write_lock(device.lock)
        device.used = 1
        write_unlock(device.lock)
