# SPDX-License-Identifier: MIT
"""lifetime: a reference is taken on a page that may be free by now."""

from vmrace.harness.kernel import (
    LIST_HEAD,
    atomic_dec_and_test,
    atomic_inc,
    atomic_set,
    atomic_t,
    embed,
    list_add,
    list_head,
    racy,
    spin_lock,
    spin_unlock,
    spinlock_t,
    struct,
)

__FILE__ = "mm/canary.c"


class page_t(struct):
    cached = racy(0)
    list = embed(list_head)
    lru = embed(list_head)
    count = embed(atomic_t, refcount=True)


free_list = LIST_HEAD("free_list", "lock", freelist=True, type_stable=True)
lru_list = LIST_HEAD("lru_list", "lock")
lock = spinlock_t("lock")
page = page_t("page")


def boot():
    atomic_set(page.count, 1)
    page.cached = 1


def put_page():
    if atomic_dec_and_test(page.count):
        spin_lock(lock)
        list_add(page.list, free_list)
        spin_unlock(lock)


def remove():
    page.cached = 0
    put_page()


def lookup():
    if page.cached:
        atomic_inc(page.count)
        put_page()
