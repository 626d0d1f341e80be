# SPDX-License-Identifier: MIT
"""lists: the check whether a page is on the LRU is outside of the lock."""

from vmrace.harness.kernel import LIST_HEAD, embed, list_add, list_del, list_head, racy, spin_lock, spin_unlock, spinlock_t, struct

__FILE__ = "mm/canary.c"


class page_t(struct):
    lru = embed(list_head)
    on_lru = racy(0)


lock = spinlock_t("lock")
lru_list = LIST_HEAD("lru_list", "lock")
page = page_t("page")


def boot():
    spin_lock(lock)
    list_add(page.lru, lru_list)
    page.on_lru = 1
    spin_unlock(lock)


def lru_del():
    if page.on_lru:
        spin_lock(lock)
        page.on_lru = 0
        list_del(page.lru)
        spin_unlock(lock)
