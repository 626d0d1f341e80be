# SPDX-License-Identifier: GPL-2.0-only
"""mm/page_alloc.c: pages come and go. Per-cpu lists are left out (see types): a page goes to the zone's list at once."""
from vmrace.harness.kernel import (
    atomic_set,
    current,
    data_race,
    in_interrupt,
    list_add,
    list_del,
    list_empty,
    list_entry,
    need_resched,
    printk,
    read_word,
    schedule,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    write_word,
    yield_cpu,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.fault import out_of_memory
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import ClearPageDirty, PageAnon, PageDirty, page_count, page_mapcount, set_page_count
from vmrace.variants.invalidate_2_6.pre_2_6_15.vmscan import try_to_free_pages
from vmrace.variants.invalidate_2_6.types import (
    PF_MEMALLOC,
    PF_MEMDIE,
    PG_active,
    PG_arch_1,
    PG_checked,
    PG_dirty,
    PG_error,
    PG_locked,
    PG_lru,
    PG_mappedtodisk,
    PG_private,
    PG_reclaim,
    PG_referenced,
    PG_uptodate,
    PG_writeback,
    __GFP_FS,
    __GFP_WAIT,
    zone_normal,
)


__FILE__ = "mm/page_alloc.c"

FREE_CHECK = 1 << PG_lru | 1 << PG_private | 1 << PG_locked | 1 << PG_active | 1 << PG_reclaim | 1 << PG_writeback
PREP_CHECK = FREE_CHECK | 1 << PG_dirty
PREP_CLEAR = 1 << PG_uptodate | 1 << PG_error | 1 << PG_referenced | 1 << PG_arch_1 | 1 << PG_checked | 1 << PG_mappedtodisk


def bad_page(page):
    """Complain, then make it look like a good one."""
    printk("Bad page state")
    write_word(page.flags, read_word(page.flags) & ~PREP_CHECK)
    set_page_count(page, 0)
    atomic_set(page._mapcount, -1)
    data_race(page).mapping = None


def free_pages_check(page):
    if page_mapcount(page) or data_race(page.mapping) is not None or page_count(page) != 0 or read_word(page.flags) & FREE_CHECK:
        bad_page(page)
    if PageDirty(page):
        ClearPageDirty(page)


def __free_pages_bulk(page, zone):
    """zone->lock is held."""
    list_add(page.lru, zone.free_list)
    zone.free_pages += 1


def free_hot_cold_page(page, cold):
    zone = zone_normal
    if PageAnon(page):
        data_race(page).mapping = None
    free_pages_check(page)
    flags = spin_lock_irqsave(zone.lock)
    __free_pages_bulk(page, zone)
    spin_unlock_irqrestore(zone.lock, flags)


def free_hot_page(page):
    free_hot_cold_page(page, 0)


def __pagevec_free(pvec):
    """From the last to the first."""
    for page in reversed(pvec):
        free_hot_cold_page(page, 0)


def pagevec_free(pvec):
    if pvec:
        __pagevec_free(pvec)


def prep_new_page(page):
    """Nobody else has it yet. page->private is 0: __clear_page_buffers() has seen to it, or bad_page() has complained."""
    flags = data_race(read_word(page.flags))
    if data_race(page.mapping) is not None or page_mapcount(page) or flags & PREP_CHECK:
        bad_page(page)
    write_word(page.flags, flags & ~(PREP_CLEAR | PREP_CHECK))
    set_page_count(page, 1)


def __rmqueue(zone):
    """zone->lock is held."""
    if list_empty(zone.free_list):
        return None
    page = list_entry(zone.free_list.next)
    list_del(page.lru)
    zone.free_pages -= 1
    return page


def buffered_rmqueue(zone):
    flags = spin_lock_irqsave(zone.lock)
    page = __rmqueue(zone)
    spin_unlock_irqrestore(zone.lock, flags)
    if page is not None:
        prep_new_page(page)
    return page


def zone_watermark_ok(z, mark):
    """Asked without the lock: the answer may be old."""
    return data_race(z.free_pages) > mark


def cond_resched():
    if need_resched():
        schedule()


def blk_congestion_wait():
    """A nap, until some write is over or a tenth of a second is."""
    yield_cpu()


def __alloc_pages(gfp_mask):
    """One page, or None. Kswapd is no task here, so it is not woken."""
    wait = gfp_mask & __GFP_WAIT
    p = current()
    z = zone_normal

    while True:
        # restart:
        if zone_watermark_ok(z, z.pages_low):
            page = buffered_rmqueue(z)
            if page is not None:
                return page

        if zone_watermark_ok(z, z.pages_min):
            page = buffered_rmqueue(z)
            if page is not None:
                return page

        # whoever is about to free memory, or to die, may have the last page
        if p.flags & (PF_MEMALLOC | PF_MEMDIE) and not in_interrupt():
            return buffered_rmqueue(z)              # nopage:

        if not wait:
            return None

        while True:
            # rebalance:
            cond_resched()

            p.flags |= PF_MEMALLOC
            did_some_progress = try_to_free_pages(gfp_mask)
            p.flags &= ~PF_MEMALLOC

            cond_resched()

            if did_some_progress:
                if zone_watermark_ok(z, z.pages_min):
                    page = buffered_rmqueue(z)
                    if page is not None:
                        return page
            elif gfp_mask & __GFP_FS:
                # the high mark, to catch a parallel out_of_memory()
                if zone_watermark_ok(z, z.pages_high):
                    page = buffered_rmqueue(z)
                    if page is not None:
                        return page
                out_of_memory(gfp_mask)
                break                               # goto restart

            blk_congestion_wait()


def alloc_pages(gfp_mask):
    return __alloc_pages(gfp_mask)
