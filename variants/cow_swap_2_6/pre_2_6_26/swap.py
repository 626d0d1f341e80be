# SPDX-License-Identifier: GPL-2.0-only
"""mm/swap.c: the LRU lists, the pagevecs in front of them, and the release of pages.

Pagevecs of the stack are plain lists. A per-cpu pagevec is emptied before its pages are worked on. The kernel empties it afterwards;
no other task of that cpu can tell the difference with preemption off, nor an interrupt, which uses lru_rotate_pvecs alone.
"""
from vmrace.harness.kernel import (
    BUG_ON,
    list_add_tail,
    list_del,
    local_irq_restore,
    local_irq_save,
    smp_processor_id,
    spin_lock,
    spin_lock_irq,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irq,
    spin_unlock_irqrestore,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    ClearPageReferenced,
    PageActive,
    PageDirty,
    PageLRU,
    PageLocked,
    PageReferenced,
    SetPageActive,
    SetPageLRU,
    SetPageReferenced,
    __ClearPageLRU,
    add_page_to_active_list,
    add_page_to_inactive_list,
    del_page_from_inactive_list,
    del_page_from_lru,
    page_cache_get,
    pagevec_add,
    pagevec_count,
    pagevec_free,
    pagevec_init,
    pagevec_reinit,
    put_page_testzero,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_alloc import __pagevec_free, free_hot_page
from vmrace.variants.cow_swap_2_6.types import lru_add_active_pvecs, lru_add_pvecs, lru_rotate_pvecs, zone_normal
from vmrace.variants.pagevec_h import per_cpu_pagevec_add, per_cpu_pagevec_count, taken


__FILE__ = "mm/swap.c"


def __page_cache_release(page):
    """The count has gone to zero."""
    if PageLRU(page):
        zone = zone_normal

        flags = spin_lock_irqsave(zone.lru_lock)
        BUG_ON(not PageLRU(page), 52)
        __ClearPageLRU(page)
        del_page_from_lru(zone, page)
        spin_unlock_irqrestore(zone.lru_lock, flags)
    free_hot_page(page)


def put_page(page):
    if put_page_testzero(page):
        __page_cache_release(page)


def pagevec_move_tail(pvec):
    """Interrupts are off."""
    zone = None

    for i in range(pagevec_count(pvec)):
        page = pvec[i]
        pagezone = zone_normal

        if pagezone is not zone:
            if zone:
                spin_unlock(zone.lru_lock)
            zone = pagezone
            spin_lock(zone.lru_lock)
        if PageLRU(page) and not PageActive(page):
            list_del(page.lru)                      # list_move_tail()
            list_add_tail(page.lru, zone.inactive_list)
    if zone:
        spin_unlock(zone.lru_lock)
    release_pages(pvec, len(pvec), 0)
    pagevec_reinit(pvec)


def rotate_reclaimable_page(page):
    """The end of a write that reclaim has started: to the tail of the inactive list, later, when the pagevec is full."""
    if not PageLocked(page) and not PageDirty(page) and not PageActive(page) and PageLRU(page):
        page_cache_get(page)
        flags = local_irq_save()
        pvec = lru_rotate_pvecs[smp_processor_id()]
        if not per_cpu_pagevec_add(pvec, page):
            pagevec_move_tail(taken(pvec))
        local_irq_restore(flags)


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


def drain_cpu_pagevecs(cpu):
    pvec = lru_add_pvecs[cpu]
    if per_cpu_pagevec_count(pvec):
        __pagevec_lru_add(taken(pvec))

    pvec = lru_add_active_pvecs[cpu]
    if per_cpu_pagevec_count(pvec):
        __pagevec_lru_add_active(taken(pvec))

    pvec = lru_rotate_pvecs[cpu]
    if per_cpu_pagevec_count(pvec):
        # an interrupt may have emptied it just now: no harm done
        flags = local_irq_save()
        pagevec_move_tail(taken(pvec))
        local_irq_restore(flags)


def lru_add_drain():
    drain_cpu_pagevecs(smp_processor_id())


# not here: schedule_on_each_cpu(lru_add_drain_per_cpu): a limit: no task does the work of another cpu
# not here: return schedule_on_each_cpu(): as above
# only here: lru_add_drain(): as above
def lru_add_drain_all():
    """Drain the pagevecs of this cpu, as without CONFIG_NUMA. With it, a worker on each cpu drains those of its own (a limit)."""
    lru_add_drain()
    return 0


def release_pages(pages, nr, cold):
    """put_page() of many: lru_lock is kept once it is taken."""
    zone = None
    flags = 0

    pages_to_free = pagevec_init()
    for i in range(nr):
        page = pages[i]

        if not put_page_testzero(page):
            continue

        if PageLRU(page):
            pagezone = zone_normal
            if pagezone is not zone:
                if zone:
                    spin_unlock_irqrestore(zone.lru_lock, flags)
                zone = pagezone
                flags = spin_lock_irqsave(zone.lru_lock)
            BUG_ON(not PageLRU(page), 317)
            __ClearPageLRU(page)
            del_page_from_lru(zone, page)

        if not pagevec_add(pages_to_free, page):
            if zone:
                spin_unlock_irqrestore(zone.lru_lock, flags)
                zone = None
            __pagevec_free(pages_to_free)
            pagevec_reinit(pages_to_free)
    if zone:
        spin_unlock_irqrestore(zone.lru_lock, flags)

    pagevec_free(pages_to_free)


def __pagevec_release(pvec):
    """The pages may be on their way to the LRU: let them get there first."""
    lru_add_drain()
    release_pages(pvec, pagevec_count(pvec), 0)
    pagevec_reinit(pvec)


def __pagevec_release_nonlru(pvec):
    """Pages known not to be on the LRU."""
    pages_to_free = pagevec_init()
    for i in range(pagevec_count(pvec)):
        page = pvec[i]

        BUG_ON(PageLRU(page), 370)
        if put_page_testzero(page):
            pagevec_add(pages_to_free, page)
    pagevec_free(pages_to_free)
    pagevec_reinit(pvec)


def __pagevec_lru_add(pvec):
    """Put the pages on the inactive list, and drop the pagevec's references."""
    zone = None

    for i in range(pagevec_count(pvec)):
        page = pvec[i]
        pagezone = zone_normal

        if pagezone is not zone:
            if zone:
                spin_unlock_irq(zone.lru_lock)
            zone = pagezone
            spin_lock_irq(zone.lru_lock)
        BUG_ON(PageLRU(page), 397)
        SetPageLRU(page)
        add_page_to_inactive_list(zone, page)
    if zone:
        spin_unlock_irq(zone.lru_lock)
    release_pages(pvec, len(pvec), 0)
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
        BUG_ON(PageLRU(page), 424)
        SetPageLRU(page)
        BUG_ON(PageActive(page), 426)
        SetPageActive(page)
        add_page_to_active_list(zone, page)
    if zone:
        spin_unlock_irq(zone.lru_lock)
    release_pages(pvec, len(pvec), 0)
    pagevec_reinit(pvec)
