# SPDX-License-Identifier: GPL-2.0-only
"""mm/swap.c: the LRU lists, the pagevecs in front of them, and the release of pages.

Pagevecs of the stack are plain lists; the per-cpu ones are taken whole before they are worked on, which on their own cpu, with
preemption off, nobody can tell from emptying them at the end.
"""
from vmrace.harness.kernel import (
    BUG,
    list_add_tail,
    list_del,
    smp_processor_id,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_unlock_irq,
    spin_unlock_irqrestore,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import find_get_pages, find_get_pages_tag
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageReferenced,
    PageActive,
    PageDirty,
    PageLRU,
    PageLocked,
    PageReferenced,
    SetPageActive,
    SetPageReferenced,
    TestClearPageLRU,
    TestSetPageActive,
    TestSetPageLRU,
    add_page_to_active_list,
    add_page_to_inactive_list,
    del_page_from_inactive_list,
    del_page_from_lru,
    page_cache_get,
    page_count,
    pagevec_add,
    pagevec_count,
    pagevec_free,
    pagevec_init,
    pagevec_reinit,
    put_page_testzero,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import __pagevec_free, free_hot_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import test_clear_page_writeback
from vmrace.variants.invalidate_2_6.types import lru_add_active_pvecs, lru_add_pvecs, zone_normal
from vmrace.variants.pagevec_h import per_cpu_pagevec_add, per_cpu_pagevec_count, taken


__FILE__ = "mm/swap.c"


def put_page(page):
    if put_page_testzero(page, 49):
        __page_cache_release(page)


def rotate_reclaimable_page(page):
    """The end of a write that reclaim has started: to the tail of the inactive list. 0 if it has cleared PG_writeback."""
    if PageLocked(page):
        return 1
    if PageDirty(page):
        return 1
    if PageActive(page):
        return 1
    if not PageLRU(page):
        return 1

    zone = zone_normal
    flags = spin_lock_irqsave(zone.lru_lock)
    if PageLRU(page) and not PageActive(page):
        list_del(page.lru)
        list_add_tail(page.lru, zone.inactive_list)
    if not test_clear_page_writeback(page):
        BUG(91)
    spin_unlock_irqrestore(zone.lru_lock, flags)
    return 0


def activate_page(page):
    zone = zone_normal

    spin_lock_irq(zone.lru_lock)
    if PageLRU(page) and not PageActive(page):
        del_page_from_inactive_list(zone, page)
        SetPageActive(page)
        add_page_to_active_list(zone, page)
    spin_unlock_irq(zone.lru_lock)


def mark_page_accessed(page):
    if not PageActive(page) and PageReferenced(page) and PageLRU(page):
        activate_page(page)
        ClearPageReferenced(page)
    elif not PageReferenced(page):
        SetPageReferenced(page)


def lru_cache_add(page):
    pvec = lru_add_pvecs[smp_processor_id()]

    page_cache_get(page)
    if not per_cpu_pagevec_add(pvec, page):
        __pagevec_lru_add(taken(pvec))


def lru_cache_add_active(page):
    pvec = lru_add_active_pvecs[smp_processor_id()]

    page_cache_get(page)
    if not per_cpu_pagevec_add(pvec, page):
        __pagevec_lru_add_active(taken(pvec))


def lru_add_drain():
    """Put the pages of this cpu's pagevecs on the LRU lists."""
    pvec = lru_add_pvecs[smp_processor_id()]

    if per_cpu_pagevec_count(pvec):
        __pagevec_lru_add(taken(pvec))
    pvec = lru_add_active_pvecs[smp_processor_id()]
    if per_cpu_pagevec_count(pvec):
        __pagevec_lru_add_active(taken(pvec))


def __page_cache_release(page):
    """The count has gone to zero. If the LRU scan has taken a reference since, it frees the page."""
    zone = zone_normal

    flags = spin_lock_irqsave(zone.lru_lock)
    if TestClearPageLRU(page):
        del_page_from_lru(zone, page)
    if page_count(page) != 0:
        page = None
    spin_unlock_irqrestore(zone.lru_lock, flags)
    if page:
        free_hot_page(page)


def release_pages(pages, nr):
    """put_page() of many: lru_lock is kept once it is taken."""
    pages_to_free = pagevec_init()
    zone = None
    for i in range(nr):
        page = pages[i]
        if not put_page_testzero(page, 215):
            continue

        pagezone = zone_normal
        if pagezone is not zone:
            if zone:
                spin_unlock_irq(zone.lru_lock)
            zone = pagezone
            spin_lock_irq(zone.lru_lock)
        if TestClearPageLRU(page):
            del_page_from_lru(zone, page)
        if page_count(page) == 0:
            if not pagevec_add(pages_to_free, page):
                spin_unlock_irq(zone.lru_lock)
                __pagevec_free(pages_to_free)
                pagevec_reinit(pages_to_free)
                zone = None                         # no lock is held
    if zone:
        spin_unlock_irq(zone.lru_lock)

    pagevec_free(pages_to_free)


def __pagevec_release(pvec):
    """What is to be released may be on its way to the LRU: let it get there first."""
    lru_add_drain()
    release_pages(pvec, pagevec_count(pvec))
    pagevec_reinit(pvec)


def __pagevec_release_nonlru(pvec):
    """Pages known not to be on the LRU."""
    pages_to_free = pagevec_init()
    for i in range(pagevec_count(pvec)):
        page = pvec[i]
        if PageLRU(page):
            BUG(275)
        if put_page_testzero(page, 276):
            pagevec_add(pages_to_free, page)
    pagevec_free(pages_to_free)
    pagevec_reinit(pvec)


def __pagevec_lru_add(pvec):
    """Onto the inactive list, and drop the pagevec's references."""
    zone = None
    for i in range(pagevec_count(pvec)):
        page = pvec[i]
        pagezone = zone_normal

        if pagezone is not zone:
            if zone:
                spin_unlock_irq(zone.lru_lock)
            zone = pagezone
            spin_lock_irq(zone.lru_lock)
        if TestSetPageLRU(page):
            BUG(303)
        add_page_to_inactive_list(zone, page)
    if zone:
        spin_unlock_irq(zone.lru_lock)
    release_pages(pvec, len(pvec))
    pagevec_reinit(pvec)


def __pagevec_lru_add_active(pvec):
    zone = None
    for i in range(pagevec_count(pvec)):
        page = pvec[i]
        pagezone = zone_normal

        if pagezone is not zone:
            if zone:
                spin_unlock_irq(zone.lru_lock)
            zone = pagezone
            spin_lock_irq(zone.lru_lock)
        if TestSetPageLRU(page):
            BUG(330)
        if TestSetPageActive(page):
            BUG(332)
        add_page_to_active_list(zone, page)
    if zone:
        spin_unlock_irq(zone.lru_lock)
    release_pages(pvec, len(pvec))
    pagevec_reinit(pvec)


def pagevec_lookup(pvec, mapping, start, nr_pages):
    """References to up to so many cached pages from an offset on. Returns how many there are."""
    # not here: len() = find_get_pages(): a pagevec of the stack is a list
    # not here: len(pvec): as above
    find_get_pages(mapping, start, nr_pages, pvec)
    return pagevec_count(pvec)


def pagevec_lookup_tag(pvec, mapping, index, tag, nr_pages):
    """Of those with a tag; returns how many there are, and the index to go on with."""
    # not here: len() = find_get_pages_tag(): a pagevec of the stack is a list
    # not here: len(pvec): as above
    _, index = find_get_pages_tag(mapping, index, tag, nr_pages, pvec)
    return pagevec_count(pvec), index
