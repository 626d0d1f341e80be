# SPDX-License-Identifier: GPL-2.0-only
"""For comparison: the two invalidates of Linux 2.4.20, and its write, transplanted into 2.6.15. Not history: no kernel was ever like this.

mm/filemap.c of 2.4.20: invalidate_inode_pages(), invalidate_inode_pages2() and what they call of their own, invalidate_this_page2()
and invalidate_list_pages2(); the other family has them where they belong (lru_free_2_4/pre_patch/filemap.py). A page in use stays
in the page cache and mapped: the first leaves it alone, the second clears its PG_dirty and PG_uptodate, so that whoever needs the contents
next reads them anew. Neither unmaps anything. And generic_file_write(), as far as it writes one page through the page cache: it copies
from user memory once, with the page locked, and may fault there. All the rest is 2.6.15: faults, lookups, reclaim,
truncate_complete_page(), and a direct write, which still unmaps before it writes.

What stands for what:
 * mapping->tree_lock, taken for writing, for pagecache_lock: nobody looks a page up, so the count does not grow. One per file, not one.
 * Nothing for pagemap_lru_lock. A page leaves the LRU here when its last reference is dropped, and whoever isolates it has one of his
   own, so the count shows him; a page in a pagevec on its way to the LRU counts as in use.
 * The offsets of the radix tree for the lists of clean, dirty and locked pages; a page under writeback for a locked one.
 * try_to_release_page() for try_to_free_buffers() under both locks: it takes tree_lock itself, so that is dropped for the time (the page is
   locked, so it stays where it is), and PG_dirty is looked at once more.
 * block_invalidatepage() for block_invalidate_page(). The one of 2.6 leaves BH_uptodate set, but frees the buffer, if it can.
 * A range of the file, which callers here have, for the whole file.
 * The loop of generic_file_write() for generic_file_buffered_write(), with a pagevec before the LRU and with what it does for O_DIRECT.
The pages of the first are released after the lock is dropped: nobody else has them.

A page that is mapped need not be uptodate here: invariants.py asks for the name below. Reclaim and writeback of 2.6 were not
made for that: __mpage_writepage() has a BUG() for a dirty page that is not uptodate.
"""
from vmrace.harness.kernel import BUG
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import block_invalidatepage, block_prepare_write
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import generic_commit_write, try_to_release_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import (
    __grab_cache_page,
    __remove_from_page_cache,
    filemap_write_and_wait,
    radix_tree_lookup,
    unlock_page,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageDirty,
    ClearPageUptodate,
    PageDirty,
    PageLocked,
    PagePrivate,
    PageWriteback,
    SetPageReferenced,
    TestSetPageLocked,
    page_cache_get,
    page_cache_release,
    page_count,
    pagevec_lru_add,
    wait_on_page_locked,
    wait_on_page_writeback,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import truncate_complete_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.usercopy import __copy_from_user, __get_user
from vmrace.variants.invalidate_2_6.types import EFAULT, ENOMEM, FILE_PAGES, PAGE_CACHE_SIZE
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq

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


def generic_file_buffered_write(file, index, buf, direct):
    """generic_file_write(), its loop, for one whole page. i_sem is held. Returns the bytes written, or an error."""
    mapping = file.f_mapping
    lru_pvec = []
    written = 0

    # The user's page first: it may be the page that is locked below, and a fault on it then waits for itself if it is not uptodate.
    __get_user(buf, 0)
    __get_user(buf, 1)

    status = -ENOMEM
    page, cached_page = __grab_cache_page(mapping, index, None, lru_pvec)
    if page:
        if not PageLocked(page):
            BUG(3086)

        block_prepare_write(file, page, 0, PAGE_CACHE_SIZE)     # mapping->a_ops->prepare_write: cannot fail here
        page_fault = __copy_from_user(page.data, buf)           # kmap(page)
        status = generic_commit_write(file, page, 0, PAGE_CACHE_SIZE)   # mapping->a_ops->commit_write
        if page_fault:
            status = -EFAULT                        # fail_write:
        else:
            if not status:
                status = PAGE_CACHE_SIZE
            if status >= 0:
                written += status
        # unlock:
        SetPageReferenced(page)
        unlock_page(page)
        page_cache_release(page)
    # done:
    if cached_page:
        page_cache_release(cached_page)

    if direct and written:
        status = filemap_write_and_wait(mapping)

    pagevec_lru_add(lru_pvec)
    # out_status:
    return written if written else status
