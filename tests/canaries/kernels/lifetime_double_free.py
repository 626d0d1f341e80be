# SPDX-License-Identifier: MIT
"""lifetime: two cpus drop a count with a read and a store, and both see it at zero."""

from vmrace.harness.kernel import (
    LIST_HEAD,
    atomic_read,
    atomic_set,
    atomic_t,
    embed,
    list_add,
    list_head,
    spin_lock,
    spin_unlock,
    spinlock_t,
    struct,
)

__FILE__ = "mm/canary.c"


class page_t(struct):
    list = embed(list_head)
    lru = embed(list_head)
    count = embed(atomic_t, refcount=True)


free_list = LIST_HEAD("free_list", "lock", freelist=True, type_stable=True)
lru_list = LIST_HEAD("lru_list", "lock")
lock = spinlock_t("lock")
page = page_t("page")


def boot():
    atomic_set(page.count, 2)


def put_page():
    count = atomic_read(page.count) - 1
    atomic_set(page.count, count)
    if count == 0 or atomic_read(page.count) == 0:
        spin_lock(lock)
        list_add(page.list, free_list)
        spin_unlock(lock)
