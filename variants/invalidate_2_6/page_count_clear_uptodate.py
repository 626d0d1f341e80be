# SPDX-License-Identifier: GPL-2.0-only
"""Seed 002's second proposal to its end, as 2.4 did it: a page that is in use stays in the page cache and is no longer uptodate.

Never posted as a patch; Andrea Arcangeli's words of 10 Jan 2006 are the source. Pages are no longer removed from the page cache
if somebody else uses them: PG_uptodate is cleared instead. A fault under way may then map a page that is not uptodate; so
nothing is lost if the ptes are not zapped any more either, as in 2.4, so long as BH_uptodate is clear as well. What we had to decide:
 * Only invalidate_inode_pages2() clears the bit. invalidate_mapping_pages() leaves a page in use alone, as 2.4 did.
 * A page whose buffers will not go, being dirty or locked, or that somebody dirties meanwhile, is an -EIO as before.
 * What dirty data it has is thrown away, as before.
 * invalidate_inode_pages2() no longer unmaps; a direct write still does before it writes, in generic_file_direct_IO().

Over andrea_page_count, which is the check. A page that is mapped need not be uptodate: invariants.py asks for the name below.
"""
from vmrace.variants.invalidate_2_6.andrea_page_count import invalidate_complete_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageUptodate,
    PageDirty,
    PagePrivate,
    lock_page,
    pagevec_count,
    pagevec_init,
    pagevec_release,
    wait_on_page_writeback,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty, test_clear_page_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import pagevec_lookup
from vmrace.variants.invalidate_2_6.types import EIO, PAGEVEC_SIZE, ULONG_MAX

# ---- mm/truncate.c --------------------------------------------------------------------------------------------------------------
__FILE__ = "mm/truncate.c"

MAPPED_NEED_NOT_BE_UPTODATE = 1


def invalidate_inode_pages2_range(mapping, start, end):
    """Drop every page of a range; of one that is in use only the contents, which whoever needs them next reads anew. What was dirty
    is lost, unless its buffers are: then -EIO."""
    pvec = pagevec_init()
    ret = 0
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
            was_dirty = test_clear_page_dirty(page)
            if not invalidate_complete_page(mapping, page):
                if PagePrivate(page) or PageDirty(page):
                    # its buffers would not go, or somebody has dirtied it since
                    if was_dirty:
                        set_page_dirty(page)
                    ret = -EIO
                else:
                    ClearPageUptodate(page)         # it has no buffers that could still say otherwise
            unlock_page(page)
            i += 1
        pagevec_release(pvec)
        cond_resched()
    return ret
