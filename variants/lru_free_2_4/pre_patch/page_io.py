# SPDX-License-Identifier: GPL-2.0-only
"""mm/page_io.c: reading and writing a page of swap."""
from vmrace.harness.kernel import BUG, READ
from vmrace.variants.lru_free_2_4.pre_patch.buffer import block_flushpage, brw_page
from vmrace.variants.lru_free_2_4.pre_patch.filemap import lock_page
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import ClearPageUptodate, PageLocked, PageSwapCache, UnlockPage
from vmrace.variants.lru_free_2_4.pre_patch.swapfile import get_swaphandle_info
from vmrace.variants.lru_free_2_4.types import PAGE_SIZE, swapper_space


__FILE__ = "mm/page_io.c"


def rw_swap_page_base(rw, entry, page):
    """Start the I/O; the page is locked, and its completion unlocks it. Returns 0 if nothing was started."""
    # not here: if swapf: swap files
    if rw == READ:
        ClearPageUptodate(page)

    offset, dev = get_swaphandle_info(entry)
    if dev is None:
        return 0
    zones = (offset,)
    brw_page(rw, page, dev, zones, PAGE_SIZE)
    return 1


def rw_swap_page(rw, page):
    entry = page.index

    if not PageLocked(page):
        BUG(92)
    if not PageSwapCache(page):
        BUG(94)
    if not rw_swap_page_base(rw, entry, page):
        UnlockPage(page)


def rw_swap_page_nolock(rw, entry, page):
    """For swapon's header, which is not in the swap cache. The page is locked, and is nobody else's; waits for the I/O."""
    if not PageLocked(page):
        BUG(109)
    if page.mapping:
        BUG(111)
    # sync_page() asks the mapping how to wait for the I/O
    page.mapping = swapper_space
    if rw_swap_page_base(rw, entry, page):
        lock_page(page)
    if not block_flushpage(page, 0):
        BUG(117)
    page.mapping = None
    UnlockPage(page)
