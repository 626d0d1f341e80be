# SPDX-License-Identifier: GPL-2.0-only
"""mm/page_alloc.c: pages come and go. Per-cpu lists are left out (see types): a page goes to the zone's list at once."""
from vmrace.harness.kernel import (
    current,
    data_race,
    in_interrupt,
    list_add,
    list_del,
    list_empty,
    list_entry,
    local_irq_restore,
    need_resched,
    printk,
    read_word,
    schedule,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
    write_word,
    yield_cpu,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.fault import clear_zonelist_oom, out_of_memory, try_set_zone_oom
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageAnon,
    PageDirty,
    PageReserved,
    __ClearPageDirty,
    page_count,
    page_mapcount,
    pagevec_count,
    reset_page_mapcount,
    set_page_count,
    set_page_private,
    set_page_refcounted,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.vmscan import try_to_free_pages
from vmrace.variants.cow_swap_2_6.types import (
    GFP_THISNODE,
    MIGRATE_MOVABLE,
    PF_MEMALLOC,
    PF_MEMDIE,
    PG_active,
    PG_arch_1,
    PG_buddy,
    PG_dirty,
    PG_error,
    PG_locked,
    PG_lru,
    PG_mappedtodisk,
    PG_owner_priv_1,
    PG_private,
    PG_reclaim,
    PG_referenced,
    PG_reserved,
    PG_slab,
    PG_swapcache,
    PG_uptodate,
    PG_writeback,
    __GFP_FS,
    __GFP_HIGH,
    __GFP_NOMEMALLOC,
    __GFP_NORETRY,
    __GFP_WAIT,
    zone_normal,
)


__FILE__ = "mm/page_alloc.c"

ALLOC_NO_WATERMARKS = 0x01
ALLOC_WMARK_MIN = 0x02
ALLOC_WMARK_LOW = 0x04
ALLOC_WMARK_HIGH = 0x08
ALLOC_HARDER = 0x10
ALLOC_HIGH = 0x20
ALLOC_CPUSET = 0x40

PAGE_FLAGS = (1 << PG_lru | 1 << PG_private | 1 << PG_locked | 1 << PG_buddy | 1 << PG_writeback | 1 << PG_slab | 1 << PG_swapcache
              | 1 << PG_active)
PAGE_FLAGS_CLEAR_WHEN_BAD = PAGE_FLAGS | 1 << PG_reclaim | 1 << PG_dirty
PAGE_FLAGS_CHECK_AT_FREE = PAGE_FLAGS | 1 << PG_reserved
PAGE_FLAGS_CHECK_AT_PREP = PAGE_FLAGS | 1 << PG_reserved | 1 << PG_dirty
PREP_CLEAR = (1 << PG_uptodate | 1 << PG_error | 1 << PG_reclaim | 1 << PG_referenced | 1 << PG_arch_1 | 1 << PG_owner_priv_1
              | 1 << PG_mappedtodisk)


# Flags are one word, read and written as a whole.
def bad_page(page):
    """Complain, then make it look like a good one."""
    # only here: read_word(page.flags): page->flags as a value
    # only here: write_word(page.flags, (read_word() & ~PAGE_FLAGS_CLEAR_WHEN_BAD)): page->flags as a value
    # not here: page.flags &= ~PAGE_FLAGS_CLEAR_WHEN_BAD: page->flags as a value
    printk("Bad page state")
    write_word(page.flags, read_word(page.flags) & ~PAGE_FLAGS_CLEAR_WHEN_BAD)
    set_page_count(page, 0)
    reset_page_mapcount(page)
    data_race(page).mapping = None


def free_pages_check(page):
    # only here: read_word(page.flags): page->flags as a value
    # not here: flags: page->flags as a value
    # the C operator is |: all are read
    if (page_mapcount(page) | (data_race(page.mapping) is not None) | (page_count(page) != 0)
            | read_word(page.flags) & PAGE_FLAGS_CHECK_AT_FREE):
        bad_page(page)
    if PageDirty(page):
        __ClearPageDirty(page)
    return PageReserved(page)


def __free_one_page(page, zone):
    """zone->lock is held."""
    list_add(page.lru, zone.free_list)
    zone.free_pages += 1


def free_hot_cold_page(page, cold):
    zone = zone_normal

    if PageAnon(page):
        data_race(page).mapping = None
    if free_pages_check(page):
        return

    set_page_private(page, MIGRATE_MOVABLE)
    flags = spin_lock_irqsave(zone.lock)
    __free_one_page(page, zone)
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
    # only here: read_word(page.flags): page->flags as a value
    # only here: write_word(page.flags, (read_word() & ~PREP_CLEAR)): page->flags as a value
    # not here: flags: page->flags as a value
    if (page_mapcount(page) | (data_race(page.mapping) is not None) | (page_count(page) != 0)
            | data_race(read_word(page.flags)) & PAGE_FLAGS_CHECK_AT_PREP):
        bad_page(page)

    if PageReserved(page):
        return 1

    write_word(page.flags, data_race(read_word(page.flags)) & ~PREP_CLEAR)
    set_page_private(page, 0)
    set_page_refcounted(page)
    return 0


def __rmqueue(zone):
    """zone->lock is held."""
    if list_empty(zone.free_list):
        return None
    page = list_entry(zone.free_list.next)
    list_del(page.lru)
    zone.free_pages -= 1
    return page


# not here: bad_range(zone, page): each page is of the one zone
# not here: if bad_range(): as above
def buffered_rmqueue(zone):
    """Take a page from the zone's list. Returns None if there is none."""
    while True:
        # again:
        flags = spin_lock_irqsave(zone.lock)
        page = __rmqueue(zone)
        spin_unlock(zone.lock)
        if page is None:
            local_irq_restore(flags)                # goto failed
            return None

        local_irq_restore(flags)

        if not prep_new_page(page):
            break
        # goto again
    return page


def zone_watermark_ok(z, mark, alloc_flags):
    """True if an allocation of order 0 may take a page. The lock is not held, so the answer may be old.

    Left out: the reserves of other zones.
    """
    min = mark
    free_pages = data_race(z.free_pages)

    if alloc_flags & ALLOC_HIGH:
        min -= min // 2
    if alloc_flags & ALLOC_HARDER:
        min -= min // 4

    if free_pages <= min:
        return 0
    return 1


# not here: if page: there is no other zone to go on with
def get_page_from_freelist(alloc_flags):
    """There is one zone."""
    page = None

    # zonelist_scan:
    zone = zone_normal
    if not alloc_flags & ALLOC_NO_WATERMARKS:
        if alloc_flags & ALLOC_WMARK_MIN:
            mark = zone.pages_min
        elif alloc_flags & ALLOC_WMARK_LOW:
            mark = zone.pages_low
        else:
            mark = zone.pages_high
        if not zone_watermark_ok(zone, mark, alloc_flags):
            return page                             # goto this_zone_full

    page = buffered_rmqueue(zone)
    return page


def cond_resched():
    if need_resched():
        schedule()
        return 1
    return 0


def congestion_wait():
    """A nap, until some write is over or a fiftieth of a second is."""
    yield_cpu()


def schedule_timeout_uninterruptible():
    """One tick."""
    yield_cpu()


def __alloc_pages_internal(gfp_mask):
    """One page, or None. kswapd is no task here, so it is not woken. No task is a real-time one."""
    wait = gfp_mask & __GFP_WAIT
    p = current()

    while True:
        # restart:
        page = get_page_from_freelist(ALLOC_WMARK_LOW | ALLOC_CPUSET)
        if page is not None:
            return page                             # goto got_pg

        # a page that must be of one node: its caller may look at other nodes before it reclaims
        if gfp_mask & GFP_THISNODE == GFP_THISNODE:
            return page                             # goto nopage

        alloc_flags = ALLOC_WMARK_MIN
        if not wait:
            alloc_flags |= ALLOC_HARDER
        if gfp_mask & __GFP_HIGH:
            alloc_flags |= ALLOC_HIGH
        if wait:
            alloc_flags |= ALLOC_CPUSET

        page = get_page_from_freelist(alloc_flags)
        if page is not None:
            return page                             # goto got_pg

        restart = False
        while not restart:
            # rebalance: a task that is about to free memory, or to die, may have the last page
            if (p.flags & PF_MEMALLOC or p.flags & PF_MEMDIE) and not in_interrupt():
                if not gfp_mask & __GFP_NOMEMALLOC:
                    page = get_page_from_freelist(ALLOC_NO_WATERMARKS)
                    if page is not None:
                        return page                 # goto got_pg
                return page                         # goto nopage

            if not wait:
                return page                         # goto nopage

            cond_resched()

            p.flags |= PF_MEMALLOC
            did_some_progress = try_to_free_pages(0, gfp_mask)
            p.flags &= ~PF_MEMALLOC

            cond_resched()

            if did_some_progress:
                page = get_page_from_freelist(alloc_flags)
                if page is not None:
                    return page                     # goto got_pg
            elif gfp_mask & __GFP_FS and not gfp_mask & __GFP_NORETRY:
                if not try_set_zone_oom(gfp_mask):
                    schedule_timeout_uninterruptible()
                    restart = True                  # goto restart
                    continue

                # the high mark, to catch a parallel out_of_memory()
                page = get_page_from_freelist(ALLOC_WMARK_HIGH | ALLOC_CPUSET)
                if page is not None:
                    clear_zonelist_oom(gfp_mask)
                    return page                     # goto got_pg

                out_of_memory(gfp_mask)
                clear_zonelist_oom(gfp_mask)
                restart = True                      # goto restart
                continue

            do_retry = 0
            if not gfp_mask & __GFP_NORETRY:
                # an order of 0 is at most PAGE_ALLOC_COSTLY_ORDER
                do_retry = 1
            if not do_retry:
                return page                         # nopage:
            congestion_wait()                       # goto rebalance
