# SPDX-License-Identifier: GPL-2.0-only
"""Hugh Dickins, 19 Jun 2008: a hunk "from one of" his unpublished patches. Known wrong, by its author's word of 23 Jun 2008.

If another task holds the page's lock, do_wp_page() looks at page_mapcount() first and at page_swapcount() then. Nick Piggin's answer
of the same day is the fault: between the two looks another process can move its reference from swap to its page table, so that both
looks miss it, and a page is reused that two processes have. It is a positive control of this family. The hunk stands over released
2.6.26, of which it needs no other change.

Reconstructed: the post neither has page_is_shared(), which is the opposite of can_share_swap_page() here, nor the rest of the patch.
page_swapcount() is that of 2.6.26, where it is static.
"""
from vmrace.harness.kernel import spin_unlock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import maybe_mkwrite, wp_page_copy
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageAnon,
    PageSwapCache,
    TestSetPageLocked,
    page_cache_get,
    page_mapcount,
    pte_mkdirty,
    pte_mkyoung,
    pte_page,
    ptep_set_access_flags,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import can_share_swap_page, page_swapcount
from vmrace.variants.cow_swap_2_6.types import VM_FAULT_WRITE


__FILE__ = "mm/swapfile.c"


def page_is_shared(page):
    """Reconstructed. The page is locked."""
    return not can_share_swap_page(page)


# ---- mm/memory.c: three lines out, nine in ------------------------------------------------------------------------------------
__FILE__ = "mm/memory.c"


def do_wp_page(mm, vma, address, page_table, ptl, orig_pte):
    """A write to a present, write-protected page. ptl is held on entry and not on exit."""
    reuse = 0
    ret = 0

    old_page = pte_page(orig_pte)                   # vm_normal_page()

    if PageAnon(old_page):
        if page_mapcount(old_page) == 1:
            if not PageSwapCache(old_page):
                reuse = 1
            elif not TestSetPageLocked(old_page):
                reuse = not page_is_shared(old_page)
                unlock_page(old_page)
            elif not page_swapcount(old_page):
                reuse = 1

    if reuse:
        # reuse:
        entry = pte_mkyoung(orig_pte)
        entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        ptep_set_access_flags(vma, address, page_table, entry, 1)
        ret |= VM_FAULT_WRITE
        spin_unlock(ptl)                            # goto unlock
        return ret

    # so it must be copied
    page_cache_get(old_page)
    return wp_page_copy(mm, vma, address, page_table, ptl, orig_pte, old_page)
