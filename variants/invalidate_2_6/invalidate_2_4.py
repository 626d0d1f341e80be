# SPDX-License-Identifier: GPL-2.0-only
"""For comparison: the two invalidates of Linux 2.4.20, transplanted into 2.6.15. Not history: no kernel was ever like this.

mm/filemap.c of 2.4.20: invalidate_inode_pages(), invalidate_inode_pages2() and what they call of their own, invalidate_this_page2()
and invalidate_list_pages2(); the other family has them where they belong (lru_free_2_4/pre_patch/filemap.py). A page in use stays
in the page cache and mapped: the first leaves it alone, the second clears its PG_dirty and PG_uptodate, so that whoever needs the contents
next reads them anew. Neither unmaps anything. All the rest is 2.6.15: faults, lookups, reclaim, truncate_complete_page(), and a direct
write, which still unmaps before it writes.

What stands for what:
 * mapping->tree_lock, taken for writing, for pagecache_lock: nobody looks a page up, so the count does not grow. One per file, not one.
 * Nothing for pagemap_lru_lock. A page leaves the LRU here when its last reference is dropped, and whoever isolates it has one of his
   own, so the count shows him; a page in a pagevec on its way to the LRU counts as in use.
 * The offsets of the radix tree for the lists of clean, dirty and locked pages; a page under writeback for a locked one.
 * try_to_release_page() for try_to_free_buffers() under both locks: it takes tree_lock itself, so that is dropped for the time (the page is
   locked, so it stays where it is), and PG_dirty is looked at once more.
 * block_invalidatepage() for block_invalidate_page(). The one of 2.6 leaves BH_uptodate set, but frees the buffer, if it can.
 * A range of the file, which callers here have, for the whole file.
The pages of the first are released after the lock is dropped: nobody else has them.

A page that is mapped need not be uptodate here: invariants.py asks for the name below. Reclaim and writeback of 2.6 were not
made for that: __mpage_writepage() has a BUG() for a dirty page that is not uptodate.
"""
from variants.invalidate_2_6.pre_2_6_15.buffer import block_invalidatepage, try_to_release_page
from variants.invalidate_2_6.pre_2_6_15.filemap import __remove_from_page_cache, radix_tree_lookup, unlock_page
from variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageDirty, ClearPageUptodate, PageDirty, PagePrivate, PageWriteback, TestSetPageLocked, page_cache_get, page_cache_release,
    page_count, wait_on_page_locked, wait_on_page_writeback, write_lock_irq, write_unlock_irq,
)
from variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from variants.invalidate_2_6.pre_2_6_15.truncate import truncate_complete_page
from variants.invalidate_2_6.types import FILE_PAGES

__FILE__ = "mm/filemap.c"

MAPPED_NEED_NOT_BE_UPTODATE = 1


def invalidate_mapping_pages(mapping, start, end):
    """invalidate_inode_pages(), of a range: drop the clean pages that nobody uses. Locked pages stay. Returns how many."""
    freed = []

    write_lock_irq(mapping.tree_lock)
    for index in range(start, min(end + 1, FILE_PAGES)):
        page = radix_tree_lookup(mapping, index)
        if page is None:
            continue

        # nothing that is dirty, nor under writeback
        if PageDirty(page) or PageWriteback(page):
            continue

        # nor locked
        if TestSetPageLocked(page):
            continue

        unlock = 0
        if PagePrivate(page):
            write_unlock_irq(mapping.tree_lock)
            unlock = not try_to_release_page(page, 0)
            write_lock_irq(mapping.tree_lock)
            unlock = unlock or PageDirty(page)
        if not unlock:
            unlock = page_count(page) != 1
        if unlock:
            # unlock:
            unlock_page(page)
            continue

        __remove_from_page_cache(page)
        unlock_page(page)
        freed.append(page)
    write_unlock_irq(mapping.tree_lock)

    for page in freed:
        page_cache_release(page)
    return len(freed)


def invalidate_this_page2(mapping, page):
    """The page is locked, and tree_lock held, so that neither its count grows nor its buffers change.

    Returns whether tree_lock was dropped; then the caller has a reference to drop too.
    """
    unlocked = 1

    if page_count(page) == 1 + bool(PagePrivate(page)):
        page_cache_get(page)
        write_unlock_irq(mapping.tree_lock)
        truncate_complete_page(mapping, page)
    else:
        if PagePrivate(page):
            page_cache_get(page)
            write_unlock_irq(mapping.tree_lock)
            block_invalidatepage(page, 0)
        else:
            unlocked = 0

        ClearPageDirty(page)
        ClearPageUptodate(page)

    return unlocked


def invalidate_list_pages2(mapping, start, end):
    """tree_lock is held for writing, and dropped now and then: returns whether it was."""
    unlocked = 0

    index = start
    while index <= end and index < FILE_PAGES:
        page = radix_tree_lookup(mapping, index)
        if page is None:
            index += 1
            continue

        if not PageWriteback(page) and not TestSetPageLocked(page):
            dropped = invalidate_this_page2(mapping, page)
            unlock_page(page)
            index += 1                              # restart after this page
            if not dropped:
                continue
        else:
            # restart on this page
            page_cache_get(page)
            write_unlock_irq(mapping.tree_lock)
            wait_on_page_locked(page)
            wait_on_page_writeback(page)

        unlocked = 1
        page_cache_release(page)
        cond_resched()
        write_lock_irq(mapping.tree_lock)
    return unlocked


def invalidate_inode_pages2_range(mapping, start, end):
    """invalidate_inode_pages2(), of a range: drop the pages that nobody uses, and the contents of the others. Fails for none."""
    write_lock_irq(mapping.tree_lock)
    while invalidate_list_pages2(mapping, start, end):
        pass
    write_unlock_irq(mapping.tree_lock)
    return 0
