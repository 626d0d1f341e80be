# SPDX-License-Identifier: GPL-2.0-only
"""Hugh Dickins, 19 Sep 2010, against 2.6.36-rc4: do_swap_page() also looks whether the page still has the entry of the pte.

Two threads fault on one swap entry. The first copies the page, and another process that shares it reuses it, so that the entry becomes
free. Reclaim gives the entry to the copy, and another entry to the page. Then the second thread gets the page's lock: the pte has the entry
again, the page is in the swap cache, and the two have nothing to do with each other.

Reconstructed: the statement over merged_2_6_29. 2.6.36 itself has more, which no page here needs: SWAP_HAS_CACHE in swap_map, KSM,
anon_vma chains.
"""
from vmrace.harness.kernel import spin_lock, spin_unlock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import maybe_mkwrite
from vmrace.variants.cow_swap_2_6.pre_2_6_26.migrate import migration_entry_wait
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageSwapCache,
    PageUptodate,
    lock_page,
    mk_pte,
    page_cache_release,
    page_private,
    pte_mkdirty,
    pte_offset,
    pte_same,
    set_pte_at,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import page_add_anon_rmap
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import mark_page_accessed
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_h import vm_swap_full
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_state import lookup_swap_cache, swapin_readahead
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import swap_free
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import is_migration_entry, pte_to_swp_entry
from vmrace.variants.cow_swap_2_6.merged_2_6_29 import do_wp_page, reuse_swap_page, try_to_free_swap
from vmrace.variants.cow_swap_2_6.types import GFP_HIGHUSER_MOVABLE, VM_FAULT_ERROR, VM_FAULT_MAJOR, VM_FAULT_OOM, VM_FAULT_SIGBUS

# ---- mm/memory.c, @@ -2680,10 +2680,12 @@ -----------------------------------------------------------------------------------
__FILE__ = "mm/memory.c"


def do_swap_page(mm, vma, address, page_table, write_access, orig_pte):
    """A fault on a pte that is not present. mmap_sem is held for reading, no lock of the pte."""
    ret = 0

    entry = pte_to_swp_entry(orig_pte)
    if is_migration_entry(entry):
        migration_entry_wait(mm, address)
        return ret                                  # goto out
    page = lookup_swap_cache(entry)
    if not page:
        page = swapin_readahead(entry, GFP_HIGHUSER_MOVABLE, vma, address)
        if not page:
            # has anybody else faulted in this pte meanwhile?
            ptl = mm.page_table_lock
            page_table = pte_offset(mm, address)
            spin_lock(ptl)
            if pte_same(page_table.val, orig_pte):
                ret = VM_FAULT_OOM
            spin_unlock(ptl)                        # goto unlock
            return ret

        # it had to be read from the swap area
        ret = VM_FAULT_MAJOR

    mark_page_accessed(page)
    lock_page(page)

    # Has it left the swap cache meanwhile, or come back with another entry? Neither the reference to it nor the look at the pte below
    # excludes that.
    if not PageSwapCache(page) or page_private(page) != entry:
        unlock_page(page)                           # goto out_page
        page_cache_release(page)
        return ret

    # has anybody else faulted in this pte already?
    ptl = mm.page_table_lock
    page_table = pte_offset(mm, address)
    spin_lock(ptl)
    if not pte_same(page_table.val, orig_pte):
        spin_unlock(ptl)                            # goto out_nomap
        unlock_page(page)
        page_cache_release(page)
        return ret

    if not PageUptodate(page):
        ret = VM_FAULT_SIGBUS
        spin_unlock(ptl)                            # goto out_nomap
        unlock_page(page)
        page_cache_release(page)
        return ret

    # the page is not present yet: go ahead

    mm.anon_rss += 1
    pte = mk_pte(page, vma.vm_page_prot)
    if write_access and reuse_swap_page(page):
        pte = maybe_mkwrite(pte_mkdirty(pte), vma)
        write_access = 0

    set_pte_at(mm, address, page_table, pte)
    page_add_anon_rmap(page, vma, address)

    swap_free(entry)
    if vm_swap_full():
        try_to_free_swap(page)
    unlock_page(page)

    if write_access:
        ret |= do_wp_page(mm, vma, address, page_table, ptl, pte)
        if ret & VM_FAULT_ERROR:
            ret &= VM_FAULT_ERROR
        return ret                                  # goto out

    # unlock:
    spin_unlock(ptl)
    # out:
    return ret
