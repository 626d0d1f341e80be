# SPDX-License-Identifier: MIT
"""lifetime: a page that is free goes onto the LRU and is then allocated."""

from vmrace.harness.kernel import LIST_HEAD, atomic_t, embed, list_add, list_del, list_head, spin_lock, spin_unlock, spinlock_t, struct

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
    list_add(page.list, free_list)


def lru_add():
    spin_lock(lock)
    list_add(page.lru, lru_list)
    spin_unlock(lock)


def alloc_page():
    spin_lock(lock)
    list_del(page.list)
    spin_unlock(lock)
