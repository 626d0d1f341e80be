# SPDX-License-Identifier: MIT
"""lockset: in some schedules the links of a list are followed, changed or read without its lock."""

from vmrace.harness.kernel import LIST_HEAD, embed, list_add, list_empty, list_head, racy, spin_lock, spin_unlock, spinlock_t, struct

__FILE__ = "mm/canary.c"


class device_t(struct):
    ready = racy(0)
    link = embed(list_head)


lock = spinlock_t("lock")
device = device_t("device")
devices = LIST_HEAD("devices", "lock")


def boot():
    spin_lock(lock)
    list_add(device.link, devices)
    spin_unlock(lock)


def prepare():
    device.ready = 1
    device.ready = 0


def first():
    if device.ready:
        devices.next


def follow():
    if device.ready:
        device.link.prev


def cut():
    if device.ready:
        device.link.next = devices


def look():
    if device.ready:
        list_empty(devices)
