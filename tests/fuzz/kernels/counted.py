# SPDX-License-Identifier: MIT
"""A kernel whose every access can be counted by hand: a zone with a list, and pages."""

from vmrace.harness.kernel import (
    LIST_HEAD,
    atomic_dec,
    atomic_inc,
    atomic_t,
    clear_bit,
    embed,
    flags_t,
    guarded,
    list_add,
    list_del,
    list_head,
    racy,
    spin_lock,
    spin_unlock,
    spinlock_t,
    struct,
    test_and_set_bit,
    test_bit,
    wmb,
    yield_cpu,
)

__FILE__ = "mm/counted.c"

PG_locked = 0


class page(struct):
    flags = embed(flags_t)
    count = embed(atomic_t)
    index = racy(0)
    lru = embed(list_head)


class zone(struct):
    lock = embed(spinlock_t)
    nr = guarded(0, ".lock")


pages = [page("A"), page("B")]
normal = zone("normal")
active = LIST_HEAD("active", "normal.lock")


def count_page(one):
    atomic_inc(one.count)
    if test_bit(1, one.flags):
        return
    spin_lock(normal.lock)
    normal.nr = normal.nr + 1
    list_add(one.lru, active)
    list_del(one.lru)
    spin_unlock(normal.lock)
    one.index = 3
    wmb()


def lock_page(one):
    while test_and_set_bit(PG_locked, one.flags):
        yield_cpu()


def unlock_page(one):
    clear_bit(PG_locked, one.flags)


def put_page(one):
    atomic_dec(one.count)
