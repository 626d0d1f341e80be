# SPDX-License-Identifier: GPL-2.0-only
"""mm/page_alloc.c: the free list of order 0, and allocation with direct reclaim."""
from vmrace.harness.kernel import (
    BUG,
    current,
    data_race,
    in_interrupt,
    likely,
    list_add,
    list_del,
    list_entry,
    mb,
    read_word,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    unlikely,
    waitqueue_active,
    wake_up,
    write_word,
    yield_cpu,
)
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import (
    PageActive,
    PageDirty,
    PageLRU,
    PageLocked,
    PageReserved,
    VALID_PAGE,
    memclass,
    page_zone,
    put_page_testzero,
    set_page_count,
)
from vmrace.variants.lru_free_2_4.pre_patch.swap import lru_cache_del
from vmrace.variants.lru_free_2_4.pre_patch.vmscan import try_to_free_pages_zone
from vmrace.variants.lru_free_2_4.types import PF_FREE_PAGES, PF_MEMALLOC, PF_MEMDIE, PG_dirty
from vmrace.variants.lru_free_2_4.types import PG_referenced, __GFP_WAIT, kswapd_wait, zone_normal


__FILE__ = "mm/page_alloc.c"


def __free_pages_ok(page, order):
    """The last reference is gone. Any context; the page goes to the free list, or to the list of pages current keeps."""
    # Somebody may have held a pin for I/O after the last owner had left: then nobody has taken it off the LRU yet.
    if PageLRU(page):
        if unlikely(in_interrupt()):
            BUG(95)
        lru_cache_del(page)

    if page.buffers:
        BUG(100)
    if page.mapping:
        BUG(102)
    if not VALID_PAGE(page):
        BUG(104)
    if PageLocked(page):
        BUG(106)
    if PageActive(page):
        BUG(108)
    # not atomic: a load and a store of the whole word
    write_word(page.flags, read_word(page.flags) & ~(1 << PG_referenced | 1 << PG_dirty))

    if current().flags & PF_FREE_PAGES:
        # local_freelist:
        if not current().nr_local_pages and not in_interrupt():
            list_add(page.list, current().local_pages)
            page.index = order
            current().nr_local_pages += 1
            return
    # back_local_freelist:

    zone = page_zone(page)
    flags = spin_lock_irqsave(zone.lock)
    zone.free_pages += 1 << order
    list_add(page.list, zone.free_list)
    spin_unlock_irqrestore(zone.lock, flags)


def rmqueue(zone, order):
    flags = spin_lock_irqsave(zone.lock)
    head = zone.free_list
    curr = head.next
    if curr is not head:
        page = list_entry(curr)
        list_del(curr)
        zone.free_pages -= 1 << order
        spin_unlock_irqrestore(zone.lock, flags)

        # a blind store, after the lock is gone
        set_page_count(page, 1)
        if PageLRU(page):
            BUG(231)
        if PageActive(page):
            BUG(233)
        return page
    spin_unlock_irqrestore(zone.lock, flags)

    return None


def _alloc_pages(gfp_mask, order):
    return __alloc_pages(gfp_mask, order, zone_normal)


def balance_classzone(classzone, gfp_mask, order):
    """Direct reclaim. Returns the page it kept for the caller, if any, and whether enough was freed (`*freed`)."""
    page = None
    __freed = 0

    if not gfp_mask & __GFP_WAIT:
        return page, __freed                        # goto out
    if in_interrupt():
        BUG(261)

    current().allocation_order = order
    current().flags |= PF_MEMALLOC | PF_FREE_PAGES

    __freed = try_to_free_pages_zone(classzone, gfp_mask)

    current().flags &= ~(PF_MEMALLOC | PF_FREE_PAGES)

    if current().nr_local_pages:
        local_pages = current().local_pages

        if likely(__freed):
            # the last one put there is the first one taken
            entry = local_pages.next
            while True:
                tmp = list_entry(entry)
                if tmp.index == order and memclass(page_zone(tmp), classzone):
                    list_del(entry)
                    current().nr_local_pages -= 1
                    set_page_count(tmp, 1)
                    page = tmp

                    if page.buffers:
                        BUG(289)
                    if page.mapping:
                        BUG(291)
                    if not VALID_PAGE(page):
                        BUG(293)
                    if PageLocked(page):
                        BUG(295)
                    if PageLRU(page):
                        BUG(297)
                    if PageActive(page):
                        BUG(299)
                    if PageDirty(page):
                        BUG(301)

                    break
                entry = entry.next
                if entry is local_pages:
                    break

        nr_pages = current().nr_local_pages
        # from the tail, so that the global list too is last in, first out
        while (entry := local_pages.prev) is not local_pages:
            list_del(entry)
            tmp = list_entry(entry)
            __free_pages_ok(tmp, tmp.index)
            if (nr_pages := nr_pages - 1) < 0:
                BUG(315)
        current().nr_local_pages = 0
    # out:
    return page, __freed


def __alloc_pages(gfp_mask, order, classzone):
    """The zonelist has one zone, so each of the kernel's loops over it is one test."""
    if classzone is None:
        return None
    min = 1 << order
    min += classzone.pages_low
    if data_race(classzone.free_pages) > min:
        page = rmqueue(classzone, order)
        if page:
            return page

    data_race(classzone).need_balance = 1           # under no lock; everybody who sets it sets it to the same
    mb()
    if waitqueue_active(kswapd_wait):
        wake_up(kswapd_wait)

    min = 1 << order
    local_min = classzone.pages_min
    if not gfp_mask & __GFP_WAIT:
        local_min >>= 2
    min += local_min
    if data_race(classzone.free_pages) > min:
        page = rmqueue(classzone, order)
        if page:
            return page

    # here we are low on memory
    while True:
        # rebalance:
        if current().flags & (PF_MEMALLOC | PF_MEMDIE):
            page = rmqueue(classzone, order)
            if page:
                return page
            return None

        # atomic allocations cannot balance anything
        if not gfp_mask & __GFP_WAIT:
            return None

        page, freed = balance_classzone(classzone, gfp_mask, order)
        if page:
            return page

        min = 1 << order
        min += classzone.pages_min
        if data_race(classzone.free_pages) > min:
            page = rmqueue(classzone, order)
            if page:
                return page

        # do not let big allocations loop
        if order > 3:
            return None

        # let kswapd work, and try again
        yield_cpu()                                 # goto rebalance


def __free_pages(page, order):
    if not PageReserved(page) and put_page_testzero(page):
        __free_pages_ok(page, order)


def free_pages(page, order):
    """The kernel's takes an address; here a page is its own."""
    if page is not None:
        __free_pages(page, order)


def nr_free_pages():
    sum = 0

    # for_each_zone()
    sum += data_race(zone_normal.free_pages)

    return sum


def nr_free_buffer_pages():
    """How many pages buffers and the page cache could have at most. The one zone stands for the zonelist."""
    sum = 0

    size = zone_normal.size
    high = zone_normal.pages_high
    if size > high:
        sum += size - high

    return sum
