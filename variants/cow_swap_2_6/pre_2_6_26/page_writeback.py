# SPDX-License-Identifier: GPL-2.0-only
"""mm/page-writeback.c: the dirty and the writeback bit, and their tags in the radix tree.

swap_backing_dev_info has BDI_CAP_NO_ACCT_AND_WRITEBACK, so the accounting of dirty pages never concerns a page of the swap cache.
"""
from vmrace.harness.kernel import BUG_ON, WARN_ON
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import radix_tree_tag_clear, radix_tree_tag_set, unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    ClearPageReclaim,
    PageDirty,
    PageLocked,
    PagePrivate,
    PageUptodate,
    TestClearPageDirty,
    TestClearPageWriteback,
    TestSetPageDirty,
    TestSetPageWriteback,
    lock_page_nosync,
    page_index,
    page_mapping,
)
from vmrace.variants.cow_swap_2_6.types import PAGECACHE_TAG_DIRTY, PAGECACHE_TAG_WRITEBACK
from vmrace.variants.spinlock_h import write_lock_irq, write_lock_irqsave, write_unlock_irq, write_unlock_irqrestore


__FILE__ = "mm/page-writeback.c"


def __set_page_dirty_nobuffers(page):
    """set_page_dirty of the swap cache. Returns 1 if the page was clean."""
    if not TestSetPageDirty(page):
        mapping = page_mapping(page)

        if not mapping:
            return 1

        write_lock_irq(mapping.tree_lock)
        mapping2 = page_mapping(page)
        if mapping2:                                # else it has left the swap cache meanwhile
            BUG_ON(mapping2 is not mapping, 1087)
            WARN_ON(not PagePrivate(page) and not PageUptodate(page), 1088)
            radix_tree_tag_set(mapping.page_tree, page_index(page), PAGECACHE_TAG_DIRTY)
        write_unlock_irq(mapping.tree_lock)
        return 1
    return 0


def __set_page_dirty(page):
    mapping = page_mapping(page)

    if mapping:
        return __set_page_dirty_nobuffers(page)     # mapping->a_ops->set_page_dirty
    if not PageDirty(page):
        if not TestSetPageDirty(page):
            return 1
    return 0


def set_page_dirty(page):
    ret = __set_page_dirty(page)
    return ret


def set_page_dirty_lock(page):
    """For a caller that does not hold the page lock, as after a DMA. May sleep."""
    lock_page_nosync(page)
    ret = set_page_dirty(page)
    unlock_page(page)
    return ret


def clear_page_dirty_for_io(page):
    """The page is about to be written. Returns whether it was dirty."""
    page_mapping(page)                              # which accounts for no dirty pages

    BUG_ON(not PageLocked(page), 1192)

    ClearPageReclaim(page)
    return TestClearPageDirty(page)


def test_clear_page_writeback(page):
    mapping = page_mapping(page)

    if mapping:
        flags = write_lock_irqsave(mapping.tree_lock)
        ret = TestClearPageWriteback(page)
        if ret:
            radix_tree_tag_clear(mapping.page_tree, page_index(page), PAGECACHE_TAG_WRITEBACK)
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
            radix_tree_tag_set(mapping.page_tree, page_index(page), PAGECACHE_TAG_WRITEBACK)
        if not PageDirty(page):
            radix_tree_tag_clear(mapping.page_tree, page_index(page), PAGECACHE_TAG_DIRTY)
        write_unlock_irqrestore(mapping.tree_lock, flags)
    else:
        ret = TestSetPageWriteback(page)
    return ret
