# SPDX-License-Identifier: MIT
"""lockset: in some schedules a task stores to a field while it holds the rwlock only for reading."""

from vmrace.harness.kernel import embed, guarded, racy, read_lock, read_unlock, rwlock_t, struct

__FILE__ = "mm/canary.c"


class device_t(struct):
    used = guarded(0, ".lock")
    ready = racy(0)
    lock = embed(rwlock_t)


device = device_t("device")


def prepare():
    device.ready = 1
    device.ready = 0


def use():
    read_lock(device.lock)
    if device.ready and not device.used:
        device.used = 1
    read_unlock(device.lock)
