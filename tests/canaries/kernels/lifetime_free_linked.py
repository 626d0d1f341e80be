# SPDX-License-Identifier: MIT
"""lifetime: a page is freed while it is on the LRU. Whether it is there is checked before the last count is dropped."""

from vmrace.harness.kernel import (
    LIST_HEAD,
    atomic_dec,
    atomic_dec_and_test,
    atomic_t,
    embed,
    list_add,
    list_del,
    list_head,
    racy,
    spin_lock,
    spin_unlock,
    spinlock_t,
    struct,
)

__FILE__ = "mm/canary.c"


class page_t(struct):
    list = embed(list_head)
    lru = embed(list_head)
    on_lru = racy(0)
    count = embed(atomic_t, 2, refcount=True)


lock = spinlock_t("lock")
free_list = LIST_HEAD("free_list", "lock", freelist=True, type_stable=True)
lru_list = LIST_HEAD("lru_list", "lock")
page = page_t("page")


def lru_add():
    spin_lock(lock)
    list_add(page.lru, lru_list)
    page.on_lru = 1
    spin_unlock(lock)
    atomic_dec(page.count)


def free_page():
    spin_lock(lock)
    list_add(page.list, free_list)
    spin_unlock(lock)


def release():
    if page.on_lru:
        spin_lock(lock)
        if page.on_lru:
            list_del(page.lru)
            page.on_lru = 0
        spin_unlock(lock)
    if atomic_dec_and_test(page.count):
        free_page()
