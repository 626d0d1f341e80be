# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/swap.h: adding to and removing from the LRU lists, and the swap locks.

The list operations are macros, so that a BUG() in one has the file and line of its use: they are handed their __LINE__.
"""
from vmrace.harness.kernel import BUG, data_race, list_add, list_del, spin_lock, spin_unlock
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import ClearPageActive, PageActive, PageLRU, SetPageActive
from vmrace.variants.lru_free_2_4.types import active_list, inactive_list, swaplock, vm


__FILE__ = "include/linux/swap.h"


def vm_swap_full():
    return data_race(vm.nr_swap_pages) * 2 < data_race(vm.total_swap_pages)


# The callers of the next five hold pagemap_lru_lock.
def DEBUG_LRU_PAGE(page, __LINE__):
    if not PageLRU(page):
        BUG(__LINE__)
    if PageActive(page):
        BUG(__LINE__)


def add_page_to_active_list(page, __LINE__):
    DEBUG_LRU_PAGE(page, __LINE__)
    SetPageActive(page)
    list_add(page.lru, active_list)
    vm.nr_active_pages += 1


def add_page_to_inactive_list(page, __LINE__):
    DEBUG_LRU_PAGE(page, __LINE__)
    list_add(page.lru, inactive_list)
    vm.nr_inactive_pages += 1


def del_page_from_active_list(page, __LINE__):
    list_del(page.lru)
    ClearPageActive(page)
    vm.nr_active_pages -= 1


def del_page_from_inactive_list(page, __LINE__):
    list_del(page.lru)
    vm.nr_inactive_pages -= 1


def swap_list_lock():
    spin_lock(swaplock)


def swap_list_unlock():
    spin_unlock(swaplock)


def swap_device_lock(p):
    spin_lock(p.sdev_lock)


def swap_device_unlock(p):
    spin_unlock(p.sdev_lock)
