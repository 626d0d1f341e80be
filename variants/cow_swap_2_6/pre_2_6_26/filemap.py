# SPDX-License-Identifier: GPL-2.0-only
"""mm/filemap.c: looking up a page of the swap cache, waiting for a page, and the end of its writeback; lib/radix-tree.c.

The order of locks that mm/rmap.c states: mmap_sem, the page lock, anon_vma->lock, page_table_lock, then zone.lru_lock or swap_lock, and
under swap_lock mmlist_lock or tree_lock.
"""
from vmrace.harness.kernel import (
    BUG,
    smp_mb,
    smp_mb__after_clear_bit,
    smp_mb__before_clear_bit,
    test_bit,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import TestClearPageLocked, TestClearPageReclaim, page_cache_get, page_mapping
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_writeback import test_clear_page_writeback
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import rotate_reclaimable_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import swap_unplug_io_fn
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import swp_offset, swp_type
from vmrace.variants.cow_swap_2_6.types import EEXIST, PAGECACHE_TAG_DIRTY, PG_locked, PG_writeback, SWAP_SLOTS
from vmrace.variants.spinlock_h import read_lock_irq, read_unlock_irq
from vmrace.variants.wait import __wait_on_bit, __wait_on_bit_lock, __wake_up_bit, io_schedule


# ---- lib/radix-tree.c: one array of slots and one of each tag ---------------------------------------------------------------

__FILE__ = "lib/radix-tree.c"


def radix_index(index):
    """The place of a swap entry in the arrays."""
    return swp_type(index) * SWAP_SLOTS + swp_offset(index)


def radix_tree_preload(gfp_mask):
    """Nothing to allocate, so it cannot fail. The kernel also keeps the task on its cpu until radix_tree_preload_end()."""
    return 0


def radix_tree_lookup(root, index):
    """tree_lock is held."""
    return root.slots[radix_index(index)]


def radix_tree_lookup_slot(root, index):
    """The slot of a page in the tree, or None. tree_lock is held."""
    if root.slots[radix_index(index)] is None:
        return None
    return root, radix_index(index)


def radix_tree_insert(root, index, page):
    """tree_lock is held for writing."""
    if root.slots[radix_index(index)] is not None:
        return -EEXIST
    root.slots[radix_index(index)] = page
    return 0


def radix_tree_delete(root, index):
    """tree_lock is held for writing. The tags go with the slot."""
    root.slots[radix_index(index)] = None
    root.tag_dirty[radix_index(index)] = 0
    root.tag_writeback[radix_index(index)] = 0


def radix_tree_tag_set(root, index, tag):
    """tree_lock is held for writing."""
    if tag == PAGECACHE_TAG_DIRTY:
        root.tag_dirty[radix_index(index)] = 1
    else:
        root.tag_writeback[radix_index(index)] = 1


def radix_tree_tag_clear(root, index, tag):
    """tree_lock is held for writing."""
    if tag == PAGECACHE_TAG_DIRTY:
        root.tag_dirty[radix_index(index)] = 0
    else:
        root.tag_writeback[radix_index(index)] = 0


__FILE__ = "include/linux/radix-tree.h"


def radix_tree_preload_end():
    pass


# not here: return pslot: a slot is a place in the array of its tree
def radix_tree_deref_slot(pslot):
    """tree_lock is held."""
    root, place = pslot
    return root.slots[place]


# not here: rcu_assign_pointer(pslot, item): a slot is a place in the array of its tree
# only here: root.slots[place] = item: as above
def radix_tree_replace_slot(pslot, item):
    """tree_lock is held for writing."""
    root, place = pslot
    root.slots[place] = item


# ---- mm/filemap.c -----------------------------------------------------------------------------------------------------

__FILE__ = "fs/buffer.c"


def block_sync_page(page):
    """sync_page of the swap cache."""
    smp_mb()
    mapping = page_mapping(page)
    if mapping:
        swap_unplug_io_fn(None, page)               # blk_run_backing_dev()


__FILE__ = "mm/filemap.c"


def sync_page(page):
    """Start the I/O of the page, then sleep. The page may leave the swap cache meanwhile: only its private is asked for then."""
    smp_mb()
    mapping = page_mapping(page)
    if mapping:
        block_sync_page(page)                       # mapping->a_ops->sync_page
    io_schedule()
    return 0


def __sleep_on_page_lock(page):
    io_schedule()
    return 0


def page_waitqueue(page, bit):
    return page.wait_locked if bit == PG_locked else page.wait_writeback


def wake_up_page(page, bit):
    __wake_up_bit(page_waitqueue(page, bit))


def wait_on_page_bit(page, bit_nr):
    if test_bit(bit_nr, page.flags):
        __wait_on_bit(page_waitqueue(page, bit_nr), bit_nr, page, sync_page)


def unlock_page(page):
    smp_mb__before_clear_bit()
    if not TestClearPageLocked(page):
        BUG(567)
    smp_mb__after_clear_bit()
    wake_up_page(page, PG_locked)


def end_page_writeback(page):
    if TestClearPageReclaim(page):
        rotate_reclaimable_page(page)

    if not test_clear_page_writeback(page):
        BUG(583)

    smp_mb__after_clear_bit()
    wake_up_page(page, PG_writeback)


def __lock_page(page):
    __wait_on_bit_lock(page_waitqueue(page, PG_locked), PG_locked, page, sync_page)


def __lock_page_nosync(page):
    """lock_page() for a caller that does not know whether the page is in the swap cache."""
    __wait_on_bit_lock(page_waitqueue(page, PG_locked), PG_locked, page, __sleep_on_page_lock)


def find_get_page(mapping, offset):
    read_lock_irq(mapping.tree_lock)
    page = radix_tree_lookup(mapping.page_tree, offset)
    if page:
        page_cache_get(page)
    read_unlock_irq(mapping.tree_lock)
    return page
