# SPDX-License-Identifier: GPL-2.0-only
"""Linus Torvalds, 2 Sep 2020, 09854ba94c6a as it was first committed: the page is unlocked after its pte was made writable.

A slip: the lock of the pte is dropped by then, so the page can be unmapped and freed while it is locked. Linus Torvalds mended that on
24 Sep 2020, be068f29034f, in 5.9-rc7 (page_count_5_9). A positive control. Linked over page_count_5_9, of which it keeps the rest.
"""
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import wp_page_copy
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageAnon,
    TestSetPageLocked,
    page_cache_get,
    page_count,
    page_mapcount,
    pte_page,
)
from vmrace.variants.cow_swap_2_6.page_count_5_9 import wp_page_reuse

# ---- mm/memory.c, @@ -2832,49 +2832,25 @@ -----------------------------------------------------------------------------------
__FILE__ = "mm/memory.c"


def do_wp_page(mm, vma, address, page_table, ptl, orig_pte):
    """A write to a present, write-protected page. ptl is held on entry and not on exit."""
    old_page = pte_page(orig_pte)                   # vm_normal_page()

    if PageAnon(old_page):
        copy = 0
        if page_count(old_page) != 1:
            copy = 1                                # goto copy
        elif TestSetPageLocked(old_page):
            copy = 1                                # goto copy
        elif page_mapcount(old_page) != 1 or page_count(old_page) != 1:
            unlock_page(old_page)
            copy = 1                                # goto copy
        if not copy:
            ret = wp_page_reuse(vma, address, page_table, ptl, orig_pte)
            unlock_page(old_page)
            return ret

    # copy:
    page_cache_get(old_page)
    return wp_page_copy(mm, vma, address, page_table, ptl, orig_pte, old_page)
