# SPDX-License-Identifier: GPL-2.0-only
"""Linus Torvalds, 2 Sep 2020, 09854ba94c6a, with be068f29034f of 24 Sep, in 5.9: reuse a page only if the pte has the only reference to it.

The count of all references decides, as before 2.6.13, and a page that another task has locked is copied. Hugh Dickins objects in the same
thread that both are unreliable: a reference of swap cache, of a pagevec or of reclaim forces a copy; in January 2021 Andrea Arcangeli
shows that a pin does, too.

Reconstructed: the hunk of do_wp_page(), over swapin_recheck. do_swap_page() keeps reuse_swap_page(), as in 5.9. Left out: KSM, and
get_user_pages_fast(). Each of wp_page_reuse() and wp_page_copy() has the state of its caller as arguments; 5.9 has a struct for it.
"""
from vmrace.harness.kernel import spin_unlock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import maybe_mkwrite, wp_page_copy
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageAnon,
    TestSetPageLocked,
    page_cache_get,
    page_count,
    page_mapcount,
    pte_mkdirty,
    pte_mkyoung,
    pte_page,
    ptep_set_access_flags,
)
from vmrace.variants.cow_swap_2_6.types import VM_FAULT_WRITE


__FILE__ = "mm/memory.c"


# only here: wp_page_reuse: 4.1 has made it a function, which 5.9 calls
def wp_page_reuse(vma, address, page_table, ptl, orig_pte):
    """Make the pte writable. ptl is held on entry and not on exit."""
    entry = pte_mkyoung(orig_pte)
    entry = maybe_mkwrite(pte_mkdirty(entry), vma)
    ptep_set_access_flags(vma, address, page_table, entry, 1)
    spin_unlock(ptl)
    return VM_FAULT_WRITE


# ---- mm/memory.c, @@ -2832,49 +2832,25 @@ -----------------------------------------------------------------------------------


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
            unlock_page(old_page)
            return wp_page_reuse(vma, address, page_table, ptl, orig_pte)

    # copy:
    page_cache_get(old_page)
    return wp_page_copy(mm, vma, address, page_table, ptl, orig_pte, old_page)
