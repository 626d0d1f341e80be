# SPDX-License-Identifier: GPL-2.0-only
"""Andrea Arcangeli, 3 Sep 2010, 4969c1192d15, in 2.6.36-rc4: after lock_page(), do_swap_page() looks whether the page is still swap cache.

The look at the pte proves something only while the entry cannot be used for another page, and a reference to the page does not
prevent that since try_to_free_swap() does not ask for the page count. Half of the fix: see swapin_recheck. No release had it alone,
as far as is known.

Reconstructed: one statement of the hunk of mm/memory.c, over merged_2_6_29. The rest of the patch is for KSM, which came with 2.6.32.
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

# ---- mm/memory.c, @@ -2671,10 +2671,23 @@ -----------------------------------------------------------------------------------
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

    # has try_to_free_swap() taken it out of the swap cache meanwhile? The reference to it does not prevent that
    if not PageSwapCache(page):
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
