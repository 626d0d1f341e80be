# SPDX-License-Identifier: MIT
"""Functions that fail: kernel faults, and faults that no kernel could have."""

from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    WARN_ON,
    atomic_inc,
    atomic_t,
    plain,
    printk,
    raise_irq,
    spin_lock,
    spin_unlock,
    spinlock_t,
    struct,
)

__FILE__ = "include/linux/faults.h"


class thing(struct):
    next = plain(None)
    table = plain(None)


head = thing("head")
count = atomic_t("count")
lock = spinlock_t("lock")


def PAGE_BUG(page, __LINE__):
    BUG(__LINE__)


def accessor(t):
    return t.next.next


__FILE__ = "mm/faults.c"


def read_null():
    return head.next.next


def write_null():
    head.next.next = head


def index_null():
    return head.table[0]


def call_null():
    head.table()


def null_in_accessor():
    return accessor(head)


def null_lock():
    spin_lock(head.next)


def null_with_lock_held():
    spin_lock(lock)
    read_null()
    spin_unlock(lock)


def null_in_irq():
    raise_irq(read_null)


def divide():
    return 1 // 0


def misspelt():
    return head.nxet


def wrong_arguments():
    atomic_inc(count, 2)


def bug():
    BUG(12)


def bug_on():
    BUG_ON(head.next is None, 13)


def bug_in_macro():
    PAGE_BUG(head, 14)


def warn():
    WARN_ON(head.next is None, 15)


def warn_then_bug():
    WARN_ON(head.next is None, 16)
    BUG(17)


def complain():
    printk("out of swap\n")


def fine():
    atomic_inc(count)
