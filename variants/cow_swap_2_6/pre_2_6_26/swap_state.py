# SPDX-License-Identifier: GPL-2.0-only
"""mm/swap_state.c: the swap cache: into it, out of it, looking up, reading.

A page in the swap cache has PG_swapcache, its entry in page->private, and a place in the tree of swapper_space, whose tree_lock guards
the three together with the page's lock. Its page->mapping and page->index are those of its anon_vma.
"""
from vmrace.harness.kernel import BUG_ON
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import (
    find_get_page,
    radix_tree_delete,
    radix_tree_insert,
    radix_tree_preload,
    radix_tree_preload_end,
    unlock_page,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    ClearPageLocked,
    ClearPageSwapCache,
    PageLocked,
    PagePrivate,
    PageSwapCache,
    PageUptodate,
    PageWriteback,
    SetPageDirty,
    SetPageLocked,
    SetPageSwapCache,
    TestSetPageLocked,
    alloc_page_vma,
    page_cache_get,
    page_cache_release,
    page_private,
    set_page_private,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_io import swap_readpage
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import lru_add_drain, lru_cache_add_active, release_pages
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import (
    get_swap_page,
    remove_exclusive_swap_page,
    swap_duplicate,
    swap_free,
    valid_swaphandles,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import swp_entry, swp_type
from vmrace.variants.cow_swap_2_6.types import EEXIST, ENOMEM, GFP_KERNEL, PAGEVEC_SIZE, swapper_space
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq


__FILE__ = "mm/swap_state.c"


def add_to_swap_cache(page, entry, gfp_mask):
    """The page is locked. Returns 0, -EEXIST or -ENOMEM."""
    BUG_ON(not PageLocked(page), 74)
    BUG_ON(PageSwapCache(page), 75)
    BUG_ON(PagePrivate(page), 76)
    error = radix_tree_preload(gfp_mask)
    if not error:
        write_lock_irq(swapper_space.tree_lock)
        error = radix_tree_insert(swapper_space.page_tree, entry, page)
        if not error:
            page_cache_get(page)
            SetPageSwapCache(page)
            set_page_private(page, entry)
            swapper_space.nrpages += 1              # total_swapcache_pages
        write_unlock_irq(swapper_space.tree_lock)
        radix_tree_preload_end()
    return error


def __delete_from_swap_cache(page):
    """The page is locked and in the swap cache, tree_lock is held for writing."""
    BUG_ON(not PageLocked(page), 102)
    BUG_ON(not PageSwapCache(page), 103)
    BUG_ON(PageWriteback(page), 104)
    BUG_ON(PagePrivate(page), 105)

    radix_tree_delete(swapper_space.page_tree, page_private(page))
    set_page_private(page, 0)
    ClearPageSwapCache(page)
    swapper_space.nrpages -= 1                      # total_swapcache_pages


def add_to_swap(page, gfp_mask):
    """The page is locked. Allocates a slot for it and puts it into the swap cache, dirty. Returns 1 if it did."""
    BUG_ON(not PageLocked(page), 128)
    BUG_ON(not PageUptodate(page), 129)

    while True:
        entry = get_swap_page()
        if not entry:
            return 0

        # left out: __GFP_NOMEMALLOC and __GFP_NOWARN
        err = add_to_swap_cache(page, entry, gfp_mask)

        if err == 0:                                # success
            SetPageDirty(page)
            return 1
        elif err == -EEXIST:
            # raced with a "speculative" read_swap_cache_async()
            swap_free(entry)
            continue
        else:
            # -ENOMEM, of a node of the tree
            swap_free(entry)
            return 0


def delete_from_swap_cache(page):
    """The page is locked and in the swap cache, and the caller has a reference to it."""
    entry = page_private(page)

    write_lock_irq(swapper_space.tree_lock)
    __delete_from_swap_cache(page)
    write_unlock_irq(swapper_space.tree_lock)

    swap_free(entry)
    page_cache_release(page)


def free_swap_cache(page):
    """Free the slot if the caller is the only user. PageSwapCache is looked at again with the page locked."""
    if PageSwapCache(page) and not TestSetPageLocked(page):
        remove_exclusive_swap_page(page)
        unlock_page(page)


def free_page_and_swap_cache(page):
    free_swap_cache(page)
    page_cache_release(page)


def free_pages_and_swap_cache(pages, nr):
    """Free the pages of a zap, and their swap slots, after the flush of the TLB."""
    pagep = pages

    lru_add_drain()
    while nr:
        todo = min(nr, PAGEVEC_SIZE)
        i = 0
        while i < todo:
            free_swap_cache(pagep[i])
            i += 1
        release_pages(pagep, todo, 0)
        pagep = pagep[todo:]
        nr -= todo


def lookup_swap_cache(entry):
    """Return the cached page with one more reference, not locked, or None."""
    page = find_get_page(swapper_space, entry)

    # left out: statistics
    return page


def read_swap_cache_async(entry, gfp_mask, vma, addr):
    """Return the page of the entry, cached or being read, with one more reference; None if there is no memory or the slot is free."""
    new_page = None

    while True:
        # first check the swap cache
        found_page = find_get_page(swapper_space, entry)
        if found_page:
            break

        # a page to read into
        if not new_page:
            new_page = alloc_page_vma(gfp_mask, vma, addr)
            if not new_page:
                break

        # the slot may have become free since the caller looked
        if not swap_duplicate(entry):
            break

        # -EEXIST: another one has added a page with this entry, or reused the slot for a page of its own
        SetPageLocked(new_page)
        err = add_to_swap_cache(new_page, entry, gfp_mask & GFP_KERNEL)
        if not err:
            # start to read into the locked page
            lru_cache_add_active(new_page)
            swap_readpage(None, new_page)
            return new_page
        ClearPageLocked(new_page)
        swap_free(entry)
        if err == -ENOMEM:
            break

    if new_page:
        page_cache_release(new_page)
    return found_page


def swapin_readahead(entry, gfp_mask, vma, addr):
    """Read an aligned block of slots around the entry, in the hope that they are wanted soon, then the entry itself."""
    nr_pages, offset = valid_swaphandles(entry)
    end_offset = offset + nr_pages
    while offset < end_offset:
        page = read_swap_cache_async(swp_entry(swp_type(entry), offset), gfp_mask, vma, addr)
        if not page:
            break
        page_cache_release(page)
        offset += 1
    lru_add_drain()
    return read_swap_cache_async(entry, gfp_mask, vma, addr)
