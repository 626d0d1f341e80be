# SPDX-License-Identifier: GPL-2.0-only
"""mm/truncate.c: taking pages out of the page cache from outside of reclaim."""
from vmrace.harness.kernel import BUG, data_race
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import do_invalidatepage, try_to_release_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import __remove_from_page_cache, remove_from_page_cache, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import unmap_mapping_range
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageMappedToDisk,
    ClearPageUptodate,
    PageDirty,
    PagePrivate,
    PageWriteback,
    TestSetPageLocked,
    clear_page_dirty,
    lock_page,
    page_cache_release,
    page_mapped,
    pagevec_count,
    pagevec_init,
    pagevec_release,
    wait_on_page_writeback,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty, test_clear_page_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import pagevec_lookup
from vmrace.variants.invalidate_2_6.types import EIO, PAGEVEC_SIZE, PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, ULONG_MAX
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq


__FILE__ = "mm/truncate.c"


def truncate_complete_page(mapping, page):
    """The page is locked. If its buffers will not go it stays on the LRU, with neither mapping nor dirty bit."""
    # reclaimed, or invalidated, while we waited for the lock
    if page.mapping is not mapping:
        return

    if PagePrivate(page):
        do_invalidatepage(page, 0)

    clear_page_dirty(page)
    ClearPageUptodate(page)
    ClearPageMappedToDisk(page)
    remove_from_page_cache(page)
    page_cache_release(page)                        # the page cache's reference


def invalidate_complete_page(mapping, page):
    """The page is locked. Takes it out of the cache unless it is dirty, whoever else uses it. Returns 1 if it did."""
    if page.mapping is not mapping:
        return 0

    if PagePrivate(page) and not try_to_release_page(page, 0):
        return 0

    write_lock_irq(mapping.tree_lock)
    # whoever dirties it tags it under this lock
    if PageDirty(page):
        write_unlock_irq(mapping.tree_lock)
        return 0

    if PagePrivate(page):
        BUG(76)
    __remove_from_page_cache(page)
    write_unlock_irq(mapping.tree_lock)
    ClearPageUptodate(page)
    page_cache_release(page)                        # the page cache's reference
    return 1


def truncate_inode_pages(mapping, lstart):
    """i_sem is held. Two passes: one that waits for nothing, one that waits for locks and writeback."""
    # not here: if lstart & (PAGE_CACHE_SIZE - 1): its part inside a page: sizes are whole pages
    start = lstart + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT

    if data_race(mapping.nrpages) == 0:
        return

    pvec = pagevec_init()
    next = start
    while pagevec_lookup(pvec, mapping, next, PAGEVEC_SIZE):
        for i in range(pagevec_count(pvec)):
            page = pvec[i]
            page_index = data_race(page.index)      # it may change at any time

            if page_index > next:
                next = page_index
            next += 1
            if TestSetPageLocked(page):
                continue
            if PageWriteback(page):
                unlock_page(page)
                continue
            truncate_complete_page(mapping, page)
            unlock_page(page)
        pagevec_release(pvec)
        cond_resched()

    next = start
    while True:
        cond_resched()
        if not pagevec_lookup(pvec, mapping, next, PAGEVEC_SIZE):
            if next == start:
                break
            next = start
            continue
        for i in range(pagevec_count(pvec)):
            page = pvec[i]
            lock_page(page)
            wait_on_page_writeback(page)
            if page.index > next:
                next = page.index
            next += 1
            truncate_complete_page(mapping, page)
            unlock_page(page)
        pagevec_release(pvec)


def invalidate_mapping_pages(mapping, start, end):
    """Drop the clean, unlocked, unmapped pages of a range; waits for nothing. Returns how many."""
    next = start
    ret = 0

    pvec = pagevec_init()
    while next <= end and pagevec_lookup(pvec, mapping, next, PAGEVEC_SIZE):
        for i in range(pagevec_count(pvec)):
            page = pvec[i]
            if TestSetPageLocked(page):
                next += 1
                continue
            if page.index > next:
                next = page.index
            next += 1
            if not (PageDirty(page) or PageWriteback(page)) and not page_mapped(page):
                ret += invalidate_complete_page(mapping, page)
            # unlock:
            unlock_page(page)
            if next > end:
                break
        pagevec_release(pvec)
        cond_resched()
    return ret


def invalidate_inode_pages(mapping):
    return invalidate_mapping_pages(mapping, 0, ULONG_MAX)


def invalidate_inode_pages2_range(mapping, start, end):
    """Drop every page of a range, unmapping it first. What was dirty is lost, unless its buffers are. -EIO if a page stays."""
    pvec = pagevec_init()
    ret = 0
    did_range_unmap = 0
    wrapped = 0

    next = start
    while next <= end and not ret and not wrapped and pagevec_lookup(pvec, mapping, next, min(end - next, PAGEVEC_SIZE - 1) + 1):
        i = 0
        while not ret and i < pagevec_count(pvec):
            page = pvec[i]
            lock_page(page)
            if page.mapping is not mapping:
                unlock_page(page)
                i += 1
                continue
            page_index = page.index
            next = page_index + 1
            if next > ULONG_MAX:
                wrapped = 1
            if page_index > end:
                unlock_page(page)
                break
            wait_on_page_writeback(page)
            while page_mapped(page):
                if not did_range_unmap:
                    # the rest of the file at one go
                    unmap_mapping_range(
                        mapping, page_index << PAGE_CACHE_SHIFT, end - page_index + 1 << PAGE_CACHE_SHIFT, 0)
                    did_range_unmap = 1
                else:
                    # this page alone
                    unmap_mapping_range(mapping, page_index << PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, 0)
            was_dirty = test_clear_page_dirty(page)
            if not invalidate_complete_page(mapping, page):
                if was_dirty:
                    set_page_dirty(page)
                ret = -EIO
            unlock_page(page)
            i += 1
        pagevec_release(pvec)
        cond_resched()
    return ret


def invalidate_inode_pages2(mapping):
    return invalidate_inode_pages2_range(mapping, 0, ULONG_MAX)
