# SPDX-License-Identifier: GPL-2.0-only
"""Andrea Arcangeli, 10 Jan 2006 (seed 002), as Andrew Morton merged it on 8 Sep 2006 for 2.6.18: an invalidate leaves a page alone
that anybody else has a reference to.

Seed 002 proposes to put the page_count check back into both invalidates, under tree_lock, as reclaim has it. This module is the
check; page_count_clear_uptodate is what the seed says of PG_uptodate. The hunk is 016eb4a0ed06, "invalidate_complete_page() race
fix", of mm/truncate.c and one function. A fault that has looked the page up holds a reference, and whoever looks it up later
waits for tree_lock.

The line of BUG() is that of 2.6.15 with this hunk: it moves nothing.
"""
from vmrace.harness.kernel import BUG
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import try_to_release_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import __remove_from_page_cache
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import ClearPageUptodate, PageDirty, PagePrivate, page_cache_release, page_count
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq

# ---- mm/truncate.c, @@ -68,10 +68,10 @@ and @@ -79,6 +79,9 @@ -------------------------------------------------------------------
__FILE__ = "mm/truncate.c"


def invalidate_complete_page(mapping, page):
    """The page is locked. Takes it out of the cache unless it is dirty or somebody else uses it. Returns 1 if it did."""
    if page.mapping is not mapping:
        return 0

    if PagePrivate(page) and not try_to_release_page(page, 0):
        return 0

    write_lock_irq(mapping.tree_lock)
    # whoever dirties it tags it under this lock
    if PageDirty(page):
        write_unlock_irq(mapping.tree_lock)         # goto failed
        return 0
    if page_count(page) != 2:                       # the caller and the page cache
        write_unlock_irq(mapping.tree_lock)         # goto failed
        return 0

    if PagePrivate(page):
        BUG(76)
    __remove_from_page_cache(page)
    write_unlock_irq(mapping.tree_lock)
    ClearPageUptodate(page)
    page_cache_release(page)                        # the page cache's reference
    return 1
