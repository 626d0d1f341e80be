# SPDX-License-Identifier: GPL-2.0-only
"""mm/vmscan.c: reclaim. Its lists of pages on the stack are the task's here: no task is in there twice."""
from vmrace.harness.kernel import BUG, atomic_read, current, data_race, list_add
from vmrace.harness.kernel import list_del, list_empty, list_entry, smp_rmb, spin_lock_irq, spin_unlock_irq
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import try_to_free_buffers, try_to_release_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import __remove_from_page_cache, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageDirty,
    ClearPageReclaim,
    PageActive,
    PageAnon,
    PageDirty,
    PageLRU,
    PagePrivate,
    PageWriteback,
    SetPageActive,
    SetPageLRU,
    SetPageReclaim,
    TestClearPageActive,
    TestClearPageLRU,
    TestSetPageLRU,
    TestSetPageLocked,
    __put_page,
    add_page_to_active_list,
    add_page_to_inactive_list,
    get_page_testone,
    mapping_mapped,
    page_count,
    page_mapped,
    page_mapping,
    pagevec_add,
    pagevec_count,
    pagevec_init,
    pagevec_release,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import block_write_full_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import blk_congestion_wait, cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import clear_page_dirty_for_io
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import page_referenced, try_to_unmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import __pagevec_release, __pagevec_release_nonlru, lru_add_drain
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap_state import add_to_swap
from vmrace.variants.invalidate_2_6.types import (
    DEF_PRIORITY,
    PAGE_ACTIVATE,
    PAGE_CLEAN,
    PAGE_KEEP,
    PAGE_SUCCESS,
    SWAP_AGAIN,
    SWAP_CLUSTER_MAX,
    SWAP_FAIL,
    WB_SYNC_NONE,
    __GFP_FS,
    nr_mapped,
    total_memory,
    total_swap_pages,
    vm_swappiness,
    zone_normal,
)
from vmrace.variants.list_h import list_splice
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq


__FILE__ = "mm/vmscan.c"


def lru_to_page(head):
    return list_entry(head.prev)


def page_mapping_inuse(page):
    """Asked without a lock: the answer may be old."""
    if page_mapped(page):
        return 1
    mapping = page_mapping(page)
    if not mapping:
        return 0
    # does anybody map the file?
    return mapping_mapped(mapping)


def is_page_cache_freeable(page):
    return page_count(page) - bool(PagePrivate(page)) == 2


def pageout(page, mapping):
    """Start to write a dirty page. It is locked; writepage unlocks it."""
    if not is_page_cache_freeable(page):
        return PAGE_KEEP
    if not mapping:
        # what truncate could not take the buffers from
        if PagePrivate(page) and try_to_free_buffers(page):
            ClearPageDirty(page)
            return PAGE_CLEAN
        return PAGE_KEEP

    # only here: wbc.start = 0: C clears what an initialiser does not name
    # only here: wbc.end = 0: C clears what an initialiser does not name
    if clear_page_dirty_for_io(page):
        wbc = current().pageout_wbc
        wbc.sync_mode = WB_SYNC_NONE
        wbc.nr_to_write = SWAP_CLUSTER_MAX
        wbc.nonblocking = 1
        wbc.for_reclaim = 1
        wbc.start = wbc.end = 0

        SetPageReclaim(page)
        block_write_full_page(page, wbc)            # mapping->a_ops->writepage
        if not PageWriteback(page):
            # a synchronous write, or none
            ClearPageReclaim(page)

        return PAGE_SUCCESS

    return PAGE_CLEAN


def shrink_page(page, sc, freed_pvec):
    """One turn of shrink_list(): "freed", or where the labels at its end send the page."""
    if TestSetPageLocked(page):
        return "keep"

    if PageActive(page):
        BUG(412)

    sc.nr_scanned += 1
    # twice the slab pressure for mapped pages
    if page_mapped(page):
        sc.nr_scanned += 1

    if PageWriteback(page):
        return "keep_locked"

    referenced = page_referenced(page, 1)
    # in use: activate it
    if referenced and page_mapping_inuse(page):
        return "activate_locked"

    if PageAnon(page) and not add_to_swap(page):
        return "activate_locked"

    mapping = page_mapping(page)
    may_enter_fs = 1 if sc.gfp_mask & __GFP_FS else 0

    # mapped by somebody: try to unmap it
    if page_mapped(page) and mapping:
        outcome = try_to_unmap(page)
        if outcome == SWAP_FAIL:
            return "activate_locked"
        if outcome == SWAP_AGAIN:
            return "keep_locked"
        # SWAP_SUCCESS: try to free it

    if PageDirty(page):
        if referenced:
            return "keep_locked"
        if not may_enter_fs:
            return "keep_locked"

        outcome = pageout(page, mapping)
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

    # Buffers go first. A page that has some and no mapping is one that truncate_complete_page() could not take them from.
    if PagePrivate(page):
        if not try_to_release_page(page, sc.gfp_mask):
            return "activate_locked"
        if not mapping and page_count(page) == 1:
            return "free_it"

    if not mapping:
        return "keep_locked"                        # truncate got there first

    write_lock_irq(mapping.tree_lock)

    # The check that cannot be wrong: the page cache and us, and PageDirty after that.
    if page_count(page) != 2:
        write_unlock_irq(mapping.tree_lock)         # goto cannot_free
        return "keep_locked"
    smp_rmb()
    if PageDirty(page):
        write_unlock_irq(mapping.tree_lock)         # goto cannot_free
        return "keep_locked"

    __remove_from_page_cache(page)
    write_unlock_irq(mapping.tree_lock)
    __put_page(page)
    return "free_it"


def shrink_list(page_list, sc):
    """What could not be freed is put back on `page_list`."""
    ret_pages = current().ret_pages
    reclaimed = 0

    cond_resched()

    freed_pvec = pagevec_init()
    while not list_empty(page_list):
        cond_resched()

        page = lru_to_page(page_list)
        list_del(page.lru)

        where = shrink_page(page, sc, freed_pvec)
        if where == "free_it":
            unlock_page(page)
            reclaimed += 1
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
        if PageLRU(page):
            BUG(567)
    list_splice(ret_pages, page_list)
    if pagevec_count(freed_pvec):
        __pagevec_release_nonlru(freed_pvec)
    sc.nr_reclaimed += reclaimed
    return reclaimed


def isolate_lru_pages(nr_to_scan, src, dst):
    """zone->lru_lock is held. Returns how many pages were moved to `dst`, each with a reference, and how many were looked at: one more
    than there were, if there were enough."""
    nr_taken = 0
    scan = 0

    while (scan := scan + 1) <= nr_to_scan and not list_empty(src):
        page = lru_to_page(src)

        if not TestClearPageLRU(page):
            BUG(606)
        list_del(page.lru)
        if get_page_testone(page):
            # it is being freed elsewhere
            __put_page(page)
            SetPageLRU(page)
            list_add(page.lru, src)
            continue
        list_add(page.lru, dst)
        nr_taken += 1
    return nr_taken, scan


def shrink_cache(zone, sc):
    """Reclaim from the inactive list."""
    page_list = current().page_list
    max_scan = sc.nr_to_scan

    pvec = pagevec_init()

    lru_add_drain()
    spin_lock_irq(zone.lru_lock)
    while max_scan > 0:
        nr_taken, nr_scan = isolate_lru_pages(sc.swap_cluster_max, zone.inactive_list, page_list)
        zone.nr_inactive -= nr_taken
        spin_unlock_irq(zone.lru_lock)

        if nr_taken == 0:
            pagevec_release(pvec)                   # goto done
            return

        max_scan -= nr_scan
        nr_freed = shrink_list(page_list, sc)
        sc.nr_to_reclaim -= nr_freed

        spin_lock_irq(zone.lru_lock)
        # put back what could not be freed
        while not list_empty(page_list):
            page = lru_to_page(page_list)
            if TestSetPageLRU(page):
                BUG(673)
            list_del(page.lru)
            if PageActive(page):
                add_page_to_active_list(zone, page)
            else:
                add_page_to_inactive_list(zone, page)
            if not pagevec_add(pvec, page):
                spin_unlock_irq(zone.lru_lock)
                __pagevec_release(pvec)
                spin_lock_irq(zone.lru_lock)
    spin_unlock_irq(zone.lru_lock)
    # done:
    pagevec_release(pvec)


def refill_inactive_zone(zone, sc):
    """Move pages from the active to the inactive list."""
    nr_pages = sc.nr_to_scan
    l_hold = current().l_hold                        # the pages that were snipped off
    l_inactive = current().l_inactive
    l_active = current().l_active
    reclaim_mapped = 0

    lru_add_drain()
    spin_lock_irq(zone.lru_lock)
    pgmoved, pgscanned = isolate_lru_pages(nr_pages, zone.active_list, l_hold)
    zone.nr_active -= pgmoved
    spin_unlock_irq(zone.lru_lock)

    # how much trouble there is, from 0 to 100
    distress = 100 >> data_race(zone.prev_priority)

    # how much memory is mapped
    mapped_ratio = sc.nr_mapped * 100 // total_memory

    swap_tendency = mapped_ratio // 2 + distress + vm_swappiness

    # is it time to move mapped pages too?
    if swap_tendency >= 100:
        reclaim_mapped = 1

    while not list_empty(l_hold):
        cond_resched()
        page = lru_to_page(l_hold)
        list_del(page.lru)
        if page_mapped(page):
            if not reclaim_mapped or (total_swap_pages == 0 and PageAnon(page)) or page_referenced(page, 0):
                list_add(page.lru, l_active)
                continue
        list_add(page.lru, l_inactive)

    pvec = pagevec_init()
    pgmoved = 0
    spin_lock_irq(zone.lru_lock)
    while not list_empty(l_inactive):
        page = lru_to_page(l_inactive)
        if TestSetPageLRU(page):
            BUG(786)
        if not TestClearPageActive(page):
            BUG(788)
        list_del(page.lru)
        list_add(page.lru, zone.inactive_list)
        pgmoved += 1
        if not pagevec_add(pvec, page):
            zone.nr_inactive += pgmoved
            spin_unlock_irq(zone.lru_lock)
            pgmoved = 0
            # left out: buffer_heads_over_limit
            __pagevec_release(pvec)
            spin_lock_irq(zone.lru_lock)
    zone.nr_inactive += pgmoved

    pgmoved = 0
    while not list_empty(l_active):
        page = lru_to_page(l_active)
        if TestSetPageLRU(page):
            BUG(815)
        if not PageActive(page):
            BUG(816)
        list_del(page.lru)
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


def shrink_zone(zone, sc):
    """Sift through both lists. The counts of pages to scan are kept without a lock."""
    data_race(zone).nr_scan_active = data_race(zone.nr_scan_active) + ((data_race(zone.nr_active) >> sc.priority) + 1)
    nr_active = data_race(zone.nr_scan_active)
    if nr_active >= sc.swap_cluster_max:
        data_race(zone).nr_scan_active = 0
    else:
        nr_active = 0

    data_race(zone).nr_scan_inactive = data_race(zone.nr_scan_inactive) + ((data_race(zone.nr_inactive) >> sc.priority) + 1)
    nr_inactive = data_race(zone.nr_scan_inactive)
    if nr_inactive >= sc.swap_cluster_max:
        data_race(zone).nr_scan_inactive = 0
    else:
        nr_inactive = 0

    sc.nr_to_reclaim = sc.swap_cluster_max

    while nr_active or nr_inactive:
        if nr_active:
            sc.nr_to_scan = min(nr_active, sc.swap_cluster_max)
            nr_active -= sc.nr_to_scan
            refill_inactive_zone(zone, sc)

        if nr_inactive:
            sc.nr_to_scan = min(nr_inactive, sc.swap_cluster_max)
            nr_inactive -= sc.nr_to_scan
            shrink_cache(zone, sc)
            if sc.nr_to_reclaim <= 0:
                break
    # throttle_vm_writeout(): below its limit


def shrink_caches(sc):
    zone = zone_normal
    data_race(zone).temp_priority = sc.priority
    if data_race(zone.prev_priority) > sc.priority:
        data_race(zone).prev_priority = sc.priority
    shrink_zone(zone, sc)


def try_to_free_pages(gfp_mask):
    """Direct reclaim: 1 if it has freed what it was to free. Slabs, which hold no pages here, are left out."""
    ret = 0
    total_scanned = 0
    total_reclaimed = 0
    sc = current().sc

    sc.gfp_mask = gfp_mask

    zone = zone_normal                              # zones: there is one
    data_race(zone).temp_priority = DEF_PRIORITY

    priority = DEF_PRIORITY
    while priority >= 0:
        sc.nr_mapped = atomic_read(nr_mapped)
        sc.nr_scanned = 0
        sc.nr_reclaimed = 0
        sc.priority = priority
        sc.swap_cluster_max = SWAP_CLUSTER_MAX
        shrink_caches(sc)
        total_scanned += sc.nr_scanned
        total_reclaimed += sc.nr_reclaimed
        if total_reclaimed >= sc.swap_cluster_max:
            ret = 1
            break                                   # goto out

        # left out: wakeup_pdflush(), an operation of its own

        # a nap, for some writeback to complete
        if sc.nr_scanned and priority < DEF_PRIORITY - 2:
            blk_congestion_wait()
        priority -= 1
    # out:
    zone = zone_normal
    data_race(zone).prev_priority = data_race(zone.temp_priority)
    return ret
