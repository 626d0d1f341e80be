# SPDX-License-Identifier: GPL-2.0-only
"""mm/page-writeback.c: the dirty and the writeback bit, and their tags in the radix tree; fs/fs-writeback.c: the inode's bit."""
from vmrace.harness.kernel import BUG, current, data_race, smp_mb, spin_lock, spin_unlock
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import __set_page_dirty_buffers
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import radix_tree_tag_clear, radix_tree_tag_set, radix_tree_tagged, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    PageDirty,
    SetPageDirty,
    TestClearPageDirty,
    TestClearPageWriteback,
    TestSetPageDirty,
    TestSetPageWriteback,
    lock_page,
    page_mapping,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.mpage import mpage_writepages
from vmrace.variants.invalidate_2_6.types import (
    I_DIRTY_PAGES,
    I_LOCK,
    PAGECACHE_TAG_DIRTY,
    PAGECACHE_TAG_WRITEBACK,
    WB_SYNC_NONE,
    inode_lock,
)
from vmrace.variants.spinlock_h import (
    read_lock_irqsave,
    read_unlock_irqrestore,
    write_lock_irq,
    write_lock_irqsave,
    write_unlock_irq,
    write_unlock_irqrestore,
)


__FILE__ = "mm/page-writeback.c"


def do_writepages(mapping, wbc):
    if wbc.nr_to_write <= 0:
        return 0
    return mpage_writepages(mapping, wbc)           # ext2's writepages


def __set_page_dirty_nobuffers(page):
    """The page, but not all of its buffers. If it is truncated meanwhile there is no tag to set."""
    if not TestSetPageDirty(page):
        mapping = page_mapping(page)

        if mapping:
            write_lock_irq(mapping.tree_lock)
            mapping2 = page_mapping(page)
            if mapping2:
                if mapping2 is not mapping:
                    BUG(627)
                radix_tree_tag_set(mapping, page.index, PAGECACHE_TAG_DIRTY)
            write_unlock_irq(mapping.tree_lock)
            if mapping.host:
                __mark_inode_dirty(mapping.host, I_DIRTY_PAGES)
    return 0


def redirty_page_for_writepage(wbc, page):
    """writepage does not want to write this page now."""
    return __set_page_dirty_nobuffers(page)


def set_page_dirty(page):
    mapping = page_mapping(page)

    if mapping:
        return __set_page_dirty_buffers(page)       # ext2 has no set_page_dirty of its own
    if not PageDirty(page):
        SetPageDirty(page)
    return 0


def set_page_dirty_lock(page):
    """For a caller that does not know whether the page has been truncated. May sleep."""
    lock_page(page)
    ret = set_page_dirty(page)
    unlock_page(page)
    return ret


def test_clear_page_dirty(page):
    """Returns whether it was dirty."""
    mapping = page_mapping(page)

    if mapping:
        flags = write_lock_irqsave(mapping.tree_lock)
        if TestClearPageDirty(page):
            radix_tree_tag_clear(mapping, page.index, PAGECACHE_TAG_DIRTY)
            write_unlock_irqrestore(mapping.tree_lock, flags)
            return 1
        write_unlock_irqrestore(mapping.tree_lock, flags)
        return 0
    return TestClearPageDirty(page)


def clear_page_dirty_for_io(page):
    """The page is locked and about to be written: the tag stays until set_page_writeback()."""
    mapping = page_mapping(page)

    if mapping:
        if TestClearPageDirty(page):
            return 1
        return 0
    return TestClearPageDirty(page)


def test_clear_page_writeback(page):
    mapping = page_mapping(page)

    if mapping:
        flags = write_lock_irqsave(mapping.tree_lock)
        ret = TestClearPageWriteback(page)
        if ret:
            radix_tree_tag_clear(mapping, page.index, PAGECACHE_TAG_WRITEBACK)
        write_unlock_irqrestore(mapping.tree_lock, flags)
    else:
        ret = TestClearPageWriteback(page)
    return ret


def test_set_page_writeback(page):
    mapping = page_mapping(page)

    if mapping:
        flags = write_lock_irqsave(mapping.tree_lock)
        ret = TestSetPageWriteback(page)
        if not ret:
            radix_tree_tag_set(mapping, page.index, PAGECACHE_TAG_WRITEBACK)
        if not PageDirty(page):
            radix_tree_tag_clear(mapping, page.index, PAGECACHE_TAG_DIRTY)
        write_unlock_irqrestore(mapping.tree_lock, flags)
    else:
        ret = TestSetPageWriteback(page)
    return ret


def mapping_tagged(mapping, tag):
    """Has any page of the file that tag?"""
    flags = read_lock_irqsave(mapping.tree_lock)
    ret = radix_tree_tagged(mapping, tag)
    read_unlock_irqrestore(mapping.tree_lock, flags)
    return ret


__FILE__ = "fs/fs-writeback.c"


def __mark_inode_dirty(inode, flags):
    """The lists of dirty inodes are left out: an operation names the file."""
    # I_DIRTY is tested after what the caller has dirtied
    smp_mb()

    # without the lock: it may be set already
    if data_race(inode.i_state) & flags == flags:
        return

    spin_lock(inode_lock)
    if inode.i_state & flags != flags:
        inode.i_state |= flags
    spin_unlock(inode_lock)


def writeback_single_inode(inode):
    """What pdflush does with an inode on the list of dirty ones, as far as the pages go. One at a time: I_LOCK."""
    spin_lock(inode_lock)
    if not inode.i_state & I_DIRTY_PAGES or inode.i_state & I_LOCK:
        spin_unlock(inode_lock)
        return
    # __sync_single_inode:
    inode.i_state |= I_LOCK
    inode.i_state &= ~I_DIRTY_PAGES
    spin_unlock(inode_lock)
    wbc = current().wbc
    wbc.sync_mode = WB_SYNC_NONE
    wbc.nr_to_write = 1024                          # MAX_WRITEBACK_PAGES
    wbc.nonblocking = 1
    wbc.for_reclaim = 0
    wbc.start = wbc.end = 0
    do_writepages(inode.i_mapping, wbc)

    spin_lock(inode_lock)
    inode.i_state &= ~I_LOCK
    if not inode.i_state & I_DIRTY_PAGES and mapping_tagged(inode.i_mapping, PAGECACHE_TAG_DIRTY):
        # not all pages were written
        inode.i_state |= I_DIRTY_PAGES
    spin_unlock(inode_lock)
    # left out: wake_up_inode(), for which nobody here waits
