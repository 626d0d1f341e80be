# SPDX-License-Identifier: MIT
"""race: a field, an array and a flags word are loaded and stored, and nothing orders these accesses."""

from vmrace.harness.kernel import __set_bit, embed, flags_t, racy, racy_array, read_word, set_bit, spinlock_t, struct, write_word

__FILE__ = "mm/canary.c"

PG_dirty = 0
PG_referenced = 1


class page_t(struct):
    index = racy(0)
    lock = embed(spinlock_t)
    flags = embed(flags_t)
    slots = embed(racy_array, 4, 0)


page = page_t("page")


def rename():
    page.index = 1


def lookup():
    return page.index


def map_slot():
    page.slots[1] = 1


def lookup_slot():
    return page.slots[1]


def reference():
    set_bit(PG_referenced, page.flags)


def __set():
    __set_bit(PG_dirty, page.flags)


def clear_both():
    write_word(page.flags, read_word(page.flags) & ~(1 << PG_dirty | 1 << PG_referenced))
