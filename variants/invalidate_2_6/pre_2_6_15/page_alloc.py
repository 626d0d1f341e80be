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
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    PageAnon,
    PageDirty,
    PageReserved,
    __ClearPageDirty,
    page_count,
    page_mapcount,
    pagevec_count,
    set_page_count,
)
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
    PG_reserved,
    PG_uptodate,
    PG_writeback,
    __GFP_FS,
    __GFP_WAIT,
    zone_normal,
)


__FILE__ = "mm/page_alloc.c"

ALLOC_NO_WATERMARKS = 0x01
ALLOC_WMARK_MIN = 0x02
ALLOC_WMARK_LOW = 0x04
ALLOC_WMARK_HIGH = 0x08
ALLOC_HARDER = 0x10
ALLOC_CPUSET = 0x40

BAD_STATE = 1 << PG_lru | 1 << PG_private | 1 << PG_locked | 1 << PG_active | 1 << PG_dirty | 1 << PG_reclaim | 1 << PG_writeback
FREE_CHECK = BAD_STATE & ~(1 << PG_dirty) | 1 << PG_reserved
PREP_CHECK = BAD_STATE | 1 << PG_reserved
PREP_CLEAR = 1 << PG_uptodate | 1 << PG_error | 1 << PG_referenced | 1 << PG_arch_1 | 1 << PG_checked | 1 << PG_mappedtodisk


# Flags are one word, read and written as a whole. Not here: PG_slab and PG_swapcache, which no page has.
def bad_page(page):
    """Complain, then make it look like a good one."""
    # only here: read_word(page.flags): page->flags as a value
    # only here: write_word(page.flags, (read_word() & ~BAD_STATE)): as above
    # only here: write_word(page.flags, (read_word() & ~BAD_STATE)): page->flags as a value
    # not here: flags: page->flags as a value
    printk("Bad page state")
    write_word(page.flags, read_word(page.flags) & ~BAD_STATE)
    set_page_count(page, 0)
    atomic_set(page._mapcount, -1)
    data_race(page).mapping = None


def free_pages_check(page):
    # only here: if read_word() & FREE_CHECK: page->flags as a value
    # only here: read_word(page.flags): as above
    # not here: flags: page->flags as a value
    if page_mapcount(page) or data_race(page.mapping) is not None or page_count(page) != 0 or read_word(page.flags) & FREE_CHECK:
        bad_page(page)
    if PageDirty(page):
        __ClearPageDirty(page)
    return PageReserved(page)


def __free_pages_bulk(page, zone):
    """zone->lock is held."""
    list_add(page.lru, zone.free_list)
    zone.free_pages += 1


def free_hot_cold_page(page, cold):
    zone = zone_normal
    if PageAnon(page):
        data_race(page).mapping = None
    if free_pages_check(page):
        return
    flags = spin_lock_irqsave(zone.lock)
    __free_pages_bulk(page, zone)
    spin_unlock_irqrestore(zone.lock, flags)


def free_hot_page(page):
    free_hot_cold_page(page, 0)


def __pagevec_free(pvec):
    """From the last to the first."""
    i = pagevec_count(pvec)
    while (i := i - 1) >= 0:
        free_hot_cold_page(pvec[i], 0)


def prep_new_page(page):
    """Check a page that no other task has yet. Returns whether it must be left alone."""
    # only here: if read_word() & PREP_CHECK: page->flags as a value
    # only here: read_word(page.flags): as above
    # only here: write_word(page.flags, (read_word() & ~PREP_CLEAR)): as above
    # only here: write_word(page.flags, (read_word() & ~PREP_CLEAR)): page->flags as a value
    # not here: flags: page->flags as a value
    if (page_mapcount(page)
            or data_race(page.mapping) is not None
            or page_count(page) != 0
            or data_race(read_word(page.flags)) & PREP_CHECK):
        bad_page(page)

    if PageReserved(page):
        return 1

    write_word(page.flags, data_race(read_word(page.flags)) & ~PREP_CLEAR)
    set_page_count(page, 1)                         # set_page_refs()
    return 0


def __rmqueue(zone):
    """zone->lock is held."""
    if list_empty(zone.free_list):
        return None
    page = list_entry(zone.free_list.next)
    list_del(page.lru)
    zone.free_pages -= 1
    return page


def buffered_rmqueue(zone):
    while True:
        # again:
        flags = spin_lock_irqsave(zone.lock)
        page = __rmqueue(zone)
        spin_unlock_irqrestore(zone.lock, flags)

        if page is not None:
            if prep_new_page(page):
                continue                            # goto again
        return page


def zone_watermark_ok(z, mark, alloc_flags):
    """True if an allocation of order 0 may take a page. The lock is not held, so the answer may be old.

    Left out: ALLOC_HIGH, and the reserves of other zones.
    """
    free_pages = data_race(z.free_pages)
    if alloc_flags & ALLOC_HARDER:
        mark -= mark // 4
    return free_pages > mark


def get_page_from_freelist(alloc_flags):
    """Of the one zone there is."""
    z = zone_normal
    if not alloc_flags & ALLOC_NO_WATERMARKS:
        if alloc_flags & ALLOC_WMARK_MIN:
            mark = z.pages_min
        elif alloc_flags & ALLOC_WMARK_LOW:
            mark = z.pages_low
        else:
            mark = z.pages_high
        if not zone_watermark_ok(z, mark, alloc_flags):
            return None

    return buffered_rmqueue(z)


def cond_resched():
    if need_resched():
        schedule()
        return 1
    return 0


def blk_congestion_wait():
    """A nap, until some write is over or a tenth of a second is."""
    yield_cpu()


def __alloc_pages(gfp_mask):
    """One page, or None. Kswapd is no task here, so it is not woken."""
    wait = gfp_mask & __GFP_WAIT
    p = current()

    while True:
        # restart:
        page = get_page_from_freelist(ALLOC_WMARK_LOW | ALLOC_CPUSET)
        if page is not None:
            return page

        alloc_flags = ALLOC_WMARK_MIN
        if not wait:
            alloc_flags |= ALLOC_HARDER
        if wait:
            alloc_flags |= ALLOC_CPUSET

        page = get_page_from_freelist(alloc_flags)
        if page is not None:
            return page

        # whoever is about to free memory, or to die, may have the last page
        if (p.flags & PF_MEMALLOC or current().flags & PF_MEMDIE) and not in_interrupt():
            page = get_page_from_freelist(ALLOC_NO_WATERMARKS | ALLOC_CPUSET)
            if page is not None:
                return page
            return page                             # goto nopage

        if not wait:
            return page                             # goto nopage

        while True:
            # rebalance:
            cond_resched()

            p.flags |= PF_MEMALLOC
            did_some_progress = try_to_free_pages(gfp_mask)
            p.flags &= ~PF_MEMALLOC

            cond_resched()

            if did_some_progress:
                page = get_page_from_freelist(alloc_flags)
                if page is not None:
                    return page
            elif gfp_mask & __GFP_FS:
                # the high mark, to catch a parallel out_of_memory()
                page = get_page_from_freelist(ALLOC_WMARK_HIGH | ALLOC_CPUSET)
                if page is not None:
                    return page

                out_of_memory(gfp_mask)
                break                               # goto restart

            blk_congestion_wait()


def alloc_pages(gfp_mask):
    return __alloc_pages(gfp_mask)


def __get_zone_counts():
    """Count the active, the inactive and the free pages. Asked without a lock: the answer may be old."""
    zone = zone_normal
    return data_race(zone.nr_active), data_race(zone.nr_inactive), data_race(zone.free_pages)
