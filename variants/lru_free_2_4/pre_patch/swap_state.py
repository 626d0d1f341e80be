# SPDX-License-Identifier: GPL-2.0-only
"""mm/swap_state.c: the swap cache, which is the page cache of swapper_space.

INC_CACHE_INFO is left out: it counts without a lock, and nobody reads it.
"""
from vmrace.harness.kernel import BUG, READ, WRITE, data_race, spin_lock, spin_unlock, unlikely
from vmrace.variants.lru_free_2_4.pre_patch.buffer import block_flushpage
from vmrace.variants.lru_free_2_4.pre_patch.filemap import __remove_inode_page, add_to_page_cache_unique
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import ClearPageDirty, PageLocked, PageSwapCache, TryLockPage, UnlockPage, alloc_page
from vmrace.variants.lru_free_2_4.pre_patch.page_io import rw_swap_page
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import find_get_page, page_cache_release, page_hash
from vmrace.variants.lru_free_2_4.pre_patch.swapfile import remove_exclusive_swap_page, swap_duplicate, swap_free
from vmrace.variants.lru_free_2_4.types import EEXIST, ENOENT, GFP_HIGHUSER, pagecache_lock, swapper_space


__FILE__ = "mm/swap_state.c"


def swap_writepage(page):
    """swap_aops.writepage. The page is locked. If the cache is its last user it is not worth a write: then, and only then,
    the page is unlocked before this returns."""
    if remove_exclusive_swap_page(page):
        UnlockPage(page)
        return 0
    rw_swap_page(WRITE, page)
    return 0


def add_to_swap_cache(page, entry):
    """Returns 0, or an error if the entry is free or has a page already."""
    if page.mapping:
        BUG(73)
    if not swap_duplicate(entry):
        return -ENOENT
    if add_to_page_cache_unique(page, swapper_space, entry, page_hash(swapper_space, entry)) != 0:
        swap_free(entry)
        return -EEXIST
    if not PageLocked(page):
        BUG(85)
    if not PageSwapCache(page):
        BUG(87)
    return 0


def __delete_from_swap_cache(page):
    """pagecache_lock is held."""
    if not PageLocked(page):
        BUG(99)
    if not PageSwapCache(page):
        BUG(101)
    ClearPageDirty(page)
    __remove_inode_page(page)


def delete_from_swap_cache(page):
    """The page is locked and in the swap cache, and the caller has a reference of its own."""
    if not PageLocked(page):
        BUG(118)

    if unlikely(not block_flushpage(page, 0)):
        BUG(121)

    entry = page.index

    spin_lock(pagecache_lock)
    __delete_from_swap_cache(page)
    spin_unlock(pagecache_lock)

    swap_free(entry)
    page_cache_release(page)


def free_page_and_swap_cache(page):
    """Drop a pte's reference. May hold page_table_lock, so the page lock is only tried."""
    # The look without the page lock is repeated under it in remove_exclusive_swap_page().
    if data_race(PageSwapCache(page)) and not TryLockPage(page):
        remove_exclusive_swap_page(page)
        UnlockPage(page)
    page_cache_release(page)


def lookup_swap_cache(entry):
    # not here: if found: statistics
    found = find_get_page(swapper_space, entry)
    return found


def read_swap_cache_async(entry):
    """The entry's page with a reference, being read if it was not there. None: no memory, or nobody uses the entry."""
    new_page = None

    while True:
        # look first: somebody may have read it since our caller looked
        found_page = find_get_page(swapper_space, entry)
        if found_page:
            break

        if not new_page:
            new_page = alloc_page(GFP_HIGHUSER)
            if not new_page:
                break                               # out of memory

        # -ENOENT: the entry was freed meanwhile. -EEXIST: it has a page meanwhile.
        err = add_to_swap_cache(new_page, entry)
        if not err:
            rw_swap_page(READ, new_page)
            return new_page
        if err == -ENOENT:
            break

    if new_page:
        page_cache_release(new_page)
    return found_page
