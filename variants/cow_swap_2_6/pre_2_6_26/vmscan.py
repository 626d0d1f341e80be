# SPDX-License-Identifier: GPL-2.0-only
"""mm/vmscan.c: reclaim. Its lists of pages on the stack are the task's here: no task is in there twice.

vm_swappiness is 100, a legal setting with which calc_reclaim_mapped() always returns 1. The counts that it reads decide nothing else, and
are left out: prev_priority, nr_mapped. pages_scanned is left out, too: kswapd gives a zone up by it, and no operation here asks for that.
Slabs hold no pages here.
"""
from vmrace.harness.kernel import BUG, BUG_ON, current, data_race, list_add, list_del, list_empty, list_entry
from vmrace.harness.kernel import local_irq_disable, local_irq_enable, smp_rmb, spin_lock, spin_lock_irq, spin_unlock, spin_unlock_irq
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    ClearPageActive,
    ClearPageLRU,
    ClearPageReclaim,
    PageActive,
    PageAnon,
    PageDirty,
    PageLRU,
    PageLocked,
    PagePrivate,
    PageSwapCache,
    PageWriteback,
    SetPageActive,
    SetPageLRU,
    SetPageReclaim,
    TestSetPageLocked,
    __put_page,
    add_page_to_active_list,
    add_page_to_inactive_list,
    get_page_unless_zero,
    page_count,
    page_mapped,
    page_mapping,
    page_private,
    pagevec_add,
    pagevec_count,
    pagevec_init,
    pagevec_release,
    wait_on_page_writeback,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_alloc import cond_resched, congestion_wait
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_io import swap_writepage
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_writeback import clear_page_dirty_for_io
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import page_referenced, try_to_unmap
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import __pagevec_release, __pagevec_release_nonlru, lru_add_drain
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_state import __delete_from_swap_cache, add_to_swap
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import swap_free
from vmrace.variants.cow_swap_2_6.types import (
    DEF_PRIORITY,
    EBUSY,
    EINVAL,
    GFP_ATOMIC,
    ISOLATE_ACTIVE,
    ISOLATE_BOTH,
    ISOLATE_INACTIVE,
    PAGEOUT_IO_ASYNC,
    PAGEOUT_IO_SYNC,
    PAGE_ACTIVATE,
    PAGE_ALLOC_COSTLY_ORDER,
    PAGE_CLEAN,
    PAGE_KEEP,
    PAGE_SUCCESS,
    SWAP_AGAIN,
    SWAP_CLUSTER_MAX,
    SWAP_FAIL,
    WB_SYNC_NONE,
    __GFP_FS,
    __GFP_IO,
    vm,
    zone_normal,
)
from vmrace.variants.list_h import list_splice
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq


__FILE__ = "mm/vmscan.c"


def lru_to_page(head):
    return list_entry(head.prev)


def is_page_cache_freeable(page):
    return page_count(page) - bool(PagePrivate(page)) == 2


def page_mapping_inuse(page):
    """Asked without a lock: the answer may be old."""
    # it is in page tables
    if page_mapped(page):
        return 1

    # be more reluctant to reclaim swap cache than page cache
    if PageSwapCache(page):
        return 1

    # left out: the files that map the page: there is none
    return 0


def pageout(page, mapping, sync_writeback):
    """Start to write a dirty page. It is locked; writepage unlocks it."""
    if not is_page_cache_freeable(page):
        return PAGE_KEEP
    if not mapping:
        # left out: an orphaned page with buffers
        return PAGE_KEEP

    if clear_page_dirty_for_io(page):
        wbc = current().pageout_wbc
        wbc.sync_mode = WB_SYNC_NONE
        wbc.nr_to_write = SWAP_CLUSTER_MAX
        wbc.nonblocking = 1
        wbc.for_reclaim = 1

        SetPageReclaim(page)
        swap_writepage(page, wbc)                   # mapping->a_ops->writepage

        # direct reclaim of a large area waits
        if PageWriteback(page) and sync_writeback == PAGEOUT_IO_SYNC:
            wait_on_page_writeback(page)

        if not PageWriteback(page):
            # a synchronous write, or none
            ClearPageReclaim(page)
        return PAGE_SUCCESS

    return PAGE_CLEAN


def remove_mapping(mapping, page):
    """Detach a locked page from its mapping, unless it is dirty or has another user. The caller has one reference."""
    BUG_ON(not PageLocked(page), 400)
    BUG_ON(mapping is not page_mapping(page), 401)

    write_lock_irq(mapping.tree_lock)
    # The check for a busy page that cannot be wrong. Whoever has a reference may dirty the page, and then drop the reference:
    # with PageDirty first, both tests could miss it.
    if page_count(page) != 2:
        write_unlock_irq(mapping.tree_lock)         # goto cannot_free
        return 0
    smp_rmb()
    if PageDirty(page):
        write_unlock_irq(mapping.tree_lock)         # goto cannot_free
        return 0

    if PageSwapCache(page):
        swap = page_private(page)
        __delete_from_swap_cache(page)
        write_unlock_irq(mapping.tree_lock)
        swap_free(swap)
        __put_page(page)                            # the page cache's reference
        return 1

    # left out: a page of a file: a page that has a mapping is in the swap cache, and PG_locked keeps it there


def shrink_page(page, sc, sync_writeback):
    """One turn of shrink_page_list(): "free_it", or the label at its end to which the page goes."""
    if TestSetPageLocked(page):
        return "keep"

    BUG_ON(PageActive(page), 483)

    sc.nr_scanned += 1

    if not sc.may_swap and page_mapped(page):
        return "keep_locked"

    # twice the slab pressure for mapped and swap cache pages
    if page_mapped(page) or PageSwapCache(page):
        sc.nr_scanned += 1

    may_enter_fs = sc.gfp_mask & __GFP_FS or (PageSwapCache(page) and sc.gfp_mask & __GFP_IO)

    if PageWriteback(page):
        if sync_writeback == PAGEOUT_IO_SYNC and may_enter_fs:
            wait_on_page_writeback(page)
        else:
            return "keep_locked"

    referenced = page_referenced(page, 1)
    # in use: activate it
    if sc.order <= PAGE_ALLOC_COSTLY_ORDER and referenced and page_mapping_inuse(page):
        return "activate_locked"

    # anonymous memory: allocate a place in swap
    if PageAnon(page) and not PageSwapCache(page):
        if not add_to_swap(page, GFP_ATOMIC):
            return "activate_locked"

    mapping = page_mapping(page)

    # mapped by some process: try to unmap it
    if page_mapped(page) and mapping:
        outcome = try_to_unmap(page, 0)
        if outcome == SWAP_FAIL:
            return "activate_locked"
        if outcome == SWAP_AGAIN:
            return "keep_locked"
        # SWAP_SUCCESS: try to free it

    if PageDirty(page):
        if sc.order <= PAGE_ALLOC_COSTLY_ORDER and referenced:
            return "keep_locked"
        if not may_enter_fs:
            return "keep_locked"
        if not sc.may_writepage:
            return "keep_locked"

        # write it
        outcome = pageout(page, mapping, sync_writeback)
        if outcome == PAGE_KEEP:
            return "keep_locked"
        if outcome == PAGE_ACTIVATE:
            return "activate_locked"
        if outcome == PAGE_SUCCESS:
            if PageWriteback(page) or PageDirty(page):
                return "keep"
            # it was written at once: try to free it
            if TestSetPageLocked(page):
                return "keep"
            if PageDirty(page) or PageWriteback(page):
                return "keep_locked"
            mapping = page_mapping(page)
            # fallthrough
        # PAGE_CLEAN: try to free it

    # left out: buffers: no page has them

    if not mapping or not remove_mapping(mapping, page):
        return "keep_locked"
    return "free_it"


def shrink_page_list(page_list, sc, sync_writeback):
    """Returns how many pages were freed. The others are put back on `page_list`."""
    ret_pages = current().ret_pages
    nr_reclaimed = 0

    cond_resched()

    freed_pvec = pagevec_init()
    while not list_empty(page_list):
        cond_resched()

        page = lru_to_page(page_list)
        list_del(page.lru)

        where = shrink_page(page, sc, sync_writeback)
        if where == "free_it":
            unlock_page(page)
            nr_reclaimed += 1
            if not pagevec_add(freed_pvec, page):
                __pagevec_release_nonlru(freed_pvec)
            continue
        if where == "activate_locked":
            SetPageActive(page)
        if where != "keep":
            # keep_locked:
            unlock_page(page)
        # keep:
        list_add(page.lru, ret_pages)
        BUG_ON(PageLRU(page), 621)
    list_splice(ret_pages, page_list)
    if pagevec_count(freed_pvec):
        __pagevec_release_nonlru(freed_pvec)
    return nr_reclaimed


def __isolate_lru_page(page, mode):
    """zone->lru_lock is held. Returns 0 if the page is the caller's, with a reference, or an error."""
    ret = -EINVAL

    # only pages on the LRU
    if not PageLRU(page):
        return ret

    if mode != ISOLATE_BOTH and (not PageActive(page)) != (not mode):
        return ret

    ret = -EBUSY
    if get_page_unless_zero(page):
        # PG_lru is not cleared before it is certain that the page is not being freed: the code that frees pages relies on it
        ClearPageLRU(page)
        ret = 0

    return ret


def isolate_lru_pages(nr_to_scan, src, dst, mode):
    """zone->lru_lock is held. Returns how many pages were moved to `dst`, each with a reference, and how many were looked at. Only single
    pages are asked for (order 0)."""
    nr_taken = 0
    scan = 0

    while scan < nr_to_scan and not list_empty(src):
        page = lru_to_page(src)

        BUG_ON(not PageLRU(page), 711)

        error = __isolate_lru_page(page, mode)
        if error == 0:
            list_del(page.lru)                      # list_move()
            list_add(page.lru, dst)
            nr_taken += 1
        elif error == -EBUSY:
            # it is being freed elsewhere
            list_del(page.lru)
            list_add(page.lru, src)
        else:
            BUG(725)
        scan += 1
    return nr_taken, scan


def clear_active_flags(page_list):
    """Returns how many pages of the list were active. The list is the task's."""
    nr_active = 0

    entry = page_list.next
    while entry is not page_list:
        page = list_entry(entry)
        entry = entry.next
        if PageActive(page):
            ClearPageActive(page)
            nr_active += 1

    return nr_active


def shrink_inactive_list(max_scan, zone, sc):
    """Reclaim from the inactive list. Returns how many pages were freed."""
    page_list = current().page_list
    nr_scanned = 0
    nr_reclaimed = 0

    pvec = pagevec_init()

    lru_add_drain()
    spin_lock_irq(zone.lru_lock)
    while True:
        nr_taken, nr_scan = isolate_lru_pages(sc.swap_cluster_max, zone.inactive_list, page_list, ISOLATE_INACTIVE)
        nr_active = clear_active_flags(page_list)

        zone.nr_active -= nr_active
        zone.nr_inactive -= nr_taken - nr_active
        spin_unlock_irq(zone.lru_lock)

        nr_scanned += nr_scan
        nr_freed = shrink_page_list(page_list, sc, PAGEOUT_IO_ASYNC)

        # left out: a second pass that waits, for more than single pages

        nr_reclaimed += nr_freed
        local_irq_disable()

        if nr_taken == 0:
            break                                   # goto done

        spin_lock(zone.lru_lock)
        # put back what could not be freed
        while not list_empty(page_list):
            page = lru_to_page(page_list)
            BUG_ON(PageLRU(page), 893)
            SetPageLRU(page)
            list_del(page.lru)
            if PageActive(page):
                add_page_to_active_list(zone, page)
            else:
                add_page_to_inactive_list(zone, page)
            if not pagevec_add(pvec, page):
                spin_unlock_irq(zone.lru_lock)
                __pagevec_release(pvec)
                spin_lock_irq(zone.lru_lock)
        if not nr_scanned < max_scan:
            spin_unlock(zone.lru_lock)
            break
    # done:
    local_irq_enable()
    pagevec_release(pvec)
    return nr_reclaimed


def shrink_active_list(nr_pages, zone, sc, priority):
    """Move pages from the active to the inactive list."""
    l_hold = current().l_hold                        # the pages that were snipped off
    l_inactive = current().l_inactive
    l_active = current().l_active
    reclaim_mapped = 0

    if sc.may_swap:
        reclaim_mapped = 1                          # calc_reclaim_mapped(), with a swappiness of 100

    lru_add_drain()
    spin_lock_irq(zone.lru_lock)
    pgmoved, pgscanned = isolate_lru_pages(nr_pages, zone.active_list, l_hold, ISOLATE_ACTIVE)
    zone.nr_active -= pgmoved
    spin_unlock_irq(zone.lru_lock)

    while not list_empty(l_hold):
        cond_resched()
        page = lru_to_page(l_hold)
        list_del(page.lru)
        if page_mapped(page):
            if not reclaim_mapped or (data_race(vm.total_swap_pages) == 0 and PageAnon(page)) or page_referenced(page, 0):
                list_add(page.lru, l_active)
                continue
        list_add(page.lru, l_inactive)

    pvec = pagevec_init()
    pgmoved = 0
    spin_lock_irq(zone.lru_lock)
    while not list_empty(l_inactive):
        page = lru_to_page(l_inactive)
        BUG_ON(PageLRU(page), 1112)
        SetPageLRU(page)
        BUG_ON(not PageActive(page), 1114)
        ClearPageActive(page)

        list_del(page.lru)                          # list_move()
        list_add(page.lru, zone.inactive_list)
        pgmoved += 1
        if not pagevec_add(pvec, page):
            zone.nr_inactive += pgmoved
            spin_unlock_irq(zone.lru_lock)
            pgmoved = 0
            __pagevec_release(pvec)
            spin_lock_irq(zone.lru_lock)
    zone.nr_inactive += pgmoved

    pgmoved = 0
    while not list_empty(l_active):
        page = lru_to_page(l_active)
        BUG_ON(PageLRU(page), 1143)
        SetPageLRU(page)
        BUG_ON(not PageActive(page), 1145)

        list_del(page.lru)                          # list_move()
        list_add(page.lru, zone.active_list)
        pgmoved += 1
        if not pagevec_add(pvec, page):
            zone.nr_active += pgmoved
            pgmoved = 0
            spin_unlock_irq(zone.lru_lock)
            __pagevec_release(pvec)
            spin_lock_irq(zone.lru_lock)
    zone.nr_active += pgmoved
    spin_unlock_irq(zone.lru_lock)

    pagevec_release(pvec)


def shrink_zone(priority, zone, sc):
    """Sift through both lists. The counts of pages to scan are kept without a lock. Returns how many pages were freed."""
    nr_reclaimed = 0

    data_race(zone).nr_scan_active = data_race(zone.nr_scan_active) + ((data_race(zone.nr_active) >> priority) + 1)
    nr_active = data_race(zone.nr_scan_active)
    data_race(zone).nr_scan_inactive = data_race(zone.nr_scan_inactive) + ((data_race(zone.nr_inactive) >> priority) + 1)
    nr_inactive = data_race(zone.nr_scan_inactive)
    if nr_inactive >= sc.swap_cluster_max:
        data_race(zone).nr_scan_inactive = 0
    else:
        nr_inactive = 0

    if nr_active >= sc.swap_cluster_max:
        data_race(zone).nr_scan_active = 0
    else:
        nr_active = 0

    while nr_active or nr_inactive:
        if nr_active:
            nr_to_scan = min(nr_active, sc.swap_cluster_max)
            nr_active -= nr_to_scan
            shrink_active_list(nr_to_scan, zone, sc, priority)

        if nr_inactive:
            nr_to_scan = min(nr_inactive, sc.swap_cluster_max)
            nr_inactive -= nr_to_scan
            nr_reclaimed += shrink_inactive_list(nr_to_scan, zone, sc)

    # throttle_vm_writeout(): below its limit
    return nr_reclaimed


# not here: note_zone_scanning_priority(zone, priority): prev_priority decides nothing
def shrink_zones(priority, sc):
    """Returns how many pages were freed. There is one zone, and only kswapd gives a zone up."""
    nr_reclaimed = 0

    sc.all_unreclaimable = 1
    zone = zone_normal
    sc.all_unreclaimable = 0

    nr_reclaimed += shrink_zone(priority, zone, sc)

    return nr_reclaimed


# not here: if current.reclaim_state: slabs hold no pages
def do_try_to_free_pages(sc):
    """Returns how many pages were freed, if it is enough or there may be more."""
    ret = 0
    total_scanned = 0
    nr_reclaimed = 0

    priority = DEF_PRIORITY
    while priority >= 0:
        sc.nr_scanned = 0
        nr_reclaimed += shrink_zones(priority, sc)
        total_scanned += sc.nr_scanned
        if nr_reclaimed >= sc.swap_cluster_max:
            ret = nr_reclaimed
            return ret                              # goto out

        # pages of files are written by pdflush
        if total_scanned > sc.swap_cluster_max + sc.swap_cluster_max // 2:
            sc.may_writepage = 1

        # a nap, for some writeback to complete
        if sc.nr_scanned and priority < DEF_PRIORITY - 2:
            congestion_wait()
        priority -= 1
    # the highest priority still had more to do
    if not sc.all_unreclaimable:
        ret = nr_reclaimed
    # out:
    return ret


def try_to_free_pages(order, gfp_mask):
    """Direct reclaim. Returns how many pages were freed."""
    sc = current().sc
    sc.gfp_mask = gfp_mask
    sc.may_writepage = 1                            # !laptop_mode
    sc.swap_cluster_max = SWAP_CLUSTER_MAX
    sc.may_swap = 1
    sc.order = order

    return do_try_to_free_pages(sc)
