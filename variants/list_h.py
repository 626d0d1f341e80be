# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/list.h: what more than one family has of it, beside the lists of the machine."""
from vmrace.harness.kernel import list_add, list_del, list_empty

__FILE__ = "include/linux/list.h"


def __list_splice(list, head):
    """Entry by entry, as each knows the list that it is on. Both lists belong to this task."""
    while not list_empty(list):
        entry = list.prev
        list_del(entry)
        list_add(entry, head)


def list_splice(list, head):
    if not list_empty(list):
        __list_splice(list, head)
