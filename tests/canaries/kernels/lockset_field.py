# SPDX-License-Identifier: MIT
"""lockset: in some schedules a field, an array and a list are touched outside of their lock."""

from vmrace.harness.kernel import LIST_HEAD, embed, guarded, guarded_array, list_add, list_head, racy, spinlock_t, struct

__FILE__ = "mm/canary.c"


class device_t(struct):
    used = guarded(0, ".lock")
    ready = racy(0)
    lock = embed(spinlock_t)
    swap_map = embed(guarded_array, 4, 0, ".lock")
    link = embed(list_head)


device = device_t("device")
device_list = LIST_HEAD("device_list", "device.lock")


def prepare():
    device.ready = 1
    device.ready = 0


def use():
    if device.ready:
        device.used = 1


def map_slot():
    if device.ready:
        device.swap_map[1] = 1


def register_device():
    if device.ready:
        list_add(device.link, device_list)
