# SPDX-License-Identifier: GPL-2.0-only
"""Nick Piggin, 20 Jun 2008, against git of that day: do_wp_page() waits for the page's lock.

One hunk of mm/memory.c, to test whether the trylock is what copies Robin Holt's page. It decides without the lock of the pte, and looks
afterwards whether the pte is still the same. The hunk stands over released 2.6.26.
"""
from vmrace.harness.kernel import spin_lock, spin_unlock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import maybe_mkwrite, wp_page_copy
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageAnon,
    lock_page,
    page_cache_get,
    page_cache_release,
    pte_mkdirty,
    pte_mkyoung,
    pte_offset,
    pte_page,
    pte_same,
    ptep_set_access_flags,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import can_share_swap_page
from vmrace.variants.cow_swap_2_6.types import VM_FAULT_WRITE

# ---- mm/memory.c, @@ -1677,10 +1677,15 @@ -----------------------------------------------------------------------------------
__FILE__ = "mm/memory.c"


def do_wp_page(mm, vma, address, page_table, ptl, orig_pte):
    """A write to a present, write-protected page. ptl is held on entry and not on exit; it is dropped for the page's lock."""
    reuse = 0
    ret = 0

    old_page = pte_page(orig_pte)                   # vm_normal_page()

    if PageAnon(old_page):
        page_cache_get(old_page)
        spin_unlock(ptl)
        lock_page(old_page)
        reuse = can_share_swap_page(old_page)
        unlock_page(old_page)
        ptl = mm.page_table_lock
        page_table = pte_offset(mm, address)
        spin_lock(ptl)
        page_cache_release(old_page)
        if not pte_same(page_table.val, orig_pte):
            spin_unlock(ptl)                        # goto unlock
            return ret

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
