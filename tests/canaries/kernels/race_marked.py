# SPDX-License-Identifier: MIT
"""race: a load and a store that are meant to be without a lock, and are not marked with data_race()."""

from vmrace.harness.kernel import embed, racy, spin_lock, spin_unlock, spinlock_t, struct

__FILE__ = "mm/canary.c"


class page_t(struct):
    index = racy(0)
    lock = embed(spinlock_t)


page = page_t("page")


def rename():
    spin_lock(page.lock)
    page.index = page.index + 1
    spin_unlock(page.lock)


def lookup():
    spin_lock(page.lock)
    index = page.index
    spin_unlock(page.lock)
    return index


def index_of(page):
    return page.index


def guess():
    return index_of(page) > 3


def restart():
    page.index = 0
