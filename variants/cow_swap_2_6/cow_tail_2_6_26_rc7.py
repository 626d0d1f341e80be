# SPDX-License-Identifier: GPL-2.0-only
"""2.6.26-rc7, 20 Jun 2008: the end of do_wp_page() before Nick Piggin's "mm: fix race in COW logic" of 22 Jun 2008.

It takes the old page's mapcount down before the pte is switched to the copy. Between the two another process, which shares the page,
finds the mapcount 1 and writes to it, while another thread of this process still reads the page through the old pte. Nick Piggin posted
that schedule with the patch, which 2.6.26 has. The fault was thus reported in public: a positive control.

The patch taken back from released 2.6.26: -rc7's own tree was not read. It changes nothing that another patch of this family changes, so
it is a switch: each variant can be linked with it. Seed 001 was posted against -rc7, and so had this end.
"""
from vmrace.harness.kernel import BUG_ON, spin_lock, spin_unlock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import maybe_mkwrite
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    __SetPageUptodate,
    alloc_page_vma,
    mk_pte,
    page_cache_release,
    pte_mkdirty,
    pte_offset,
    pte_same,
    ptep_get_and_clear,
    set_pte_at,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import anon_vma_prepare, page_add_new_anon_rmap, page_remove_rmap
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import lru_cache_add_active
from vmrace.variants.cow_swap_2_6.types import GFP_HIGHUSER_MOVABLE, VM_FAULT_OOM, VM_FAULT_WRITE, empty_zero_page
from vmrace.variants.mmu import copy_to_new_page

# ---- mm/memory.c, the hunks @@ -1766,7 +1766,6 @@ and @@ -1788,6 +1787,24 @@ of the patch, taken back -------------------------
__FILE__ = "mm/memory.c"


def wp_page_copy(mm, vma, address, page_table, ptl, orig_pte, old_page):
    """The second half of do_wp_page(). ptl is held on entry and not on exit."""
    ret = 0
    # gotten:
    spin_unlock(ptl)

    if anon_vma_prepare(vma):
        page_cache_release(old_page)                # goto oom
        return VM_FAULT_OOM
    BUG_ON(old_page is empty_zero_page, 1784)
    new_page = alloc_page_vma(GFP_HIGHUSER_MOVABLE, vma, address)
    if not new_page:
        page_cache_release(old_page)                # goto oom
        return VM_FAULT_OOM
    copy_to_new_page(new_page, old_page)            # cow_user_page()
    __SetPageUptodate(new_page)

    # the lock was dropped: is it still the same pte?
    ptl = mm.page_table_lock
    page_table = pte_offset(mm, address)
    spin_lock(ptl)
    if pte_same(page_table.val, orig_pte):
        page_remove_rmap(old_page, vma)
        entry = mk_pte(new_page, vma.vm_page_prot)
        entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        # Clear the pte and flush it before it is set: one thread may modify code that another executes.
        ptep_get_and_clear(page_table)              # ptep_clear_flush()
        set_pte_at(mm, address, page_table, entry)
        lru_cache_add_active(new_page)
        page_add_new_anon_rmap(new_page, vma, address)

        # free the old page
        new_page = old_page
        ret |= VM_FAULT_WRITE

    page_cache_release(new_page)
    page_cache_release(old_page)
    # unlock:
    spin_unlock(ptl)
    return ret
