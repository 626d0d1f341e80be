# SPDX-License-Identifier: GPL-2.0-only
"""mm/swap.c: on to the LRU lists, off them, and from inactive to active."""
from vmrace.harness.kernel import spin_lock, spin_unlock
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import PageActive, PageLRU, TestClearPageLRU, TestSetPageLRU
from vmrace.variants.lru_free_2_4.pre_patch.swap_h import (
    add_page_to_active_list,
    add_page_to_inactive_list,
    del_page_from_active_list,
    del_page_from_inactive_list,
)
from vmrace.variants.lru_free_2_4.types import pagemap_lru_lock


__FILE__ = "mm/swap.c"


def activate_page_nolock(page):
    """pagemap_lru_lock is held."""
    if PageLRU(page) and not PageActive(page):
        del_page_from_inactive_list(page, 42)
        add_page_to_active_list(page, 43)


def activate_page(page):
    spin_lock(pagemap_lru_lock)
    activate_page_nolock(page)
    spin_unlock(pagemap_lru_lock)


def lru_cache_add(page):
    if not PageLRU(page):
        spin_lock(pagemap_lru_lock)
        if not TestSetPageLRU(page):
            add_page_to_inactive_list(page, 63)
        spin_unlock(pagemap_lru_lock)


def __lru_cache_del(page):
    """pagemap_lru_lock is held."""
    if TestClearPageLRU(page):
        if PageActive(page):
            del_page_from_active_list(page, 79)
        else:
            del_page_from_inactive_list(page, 81)


def lru_cache_del(page):
    spin_lock(pagemap_lru_lock)
    __lru_cache_del(page)
    spin_unlock(pagemap_lru_lock)
