# SPDX-License-Identifier: GPL-2.0-only
"""Andrea Arcangeli, 10 and 11 Jan 2006, sketched over 2.6.15: a fault locks the page before it maps it.

Never posted as a patch. Seed 002 names it: the fix rewritten with a find_lock_page in do_no_page(), for a bit of the scalability of
faults. The mails of the next day say how: lock_page() after ->nopage has returned; if there is a mapping and page->mapping is
gone, back out; then ptl, pte and page_add_file_rmap(); then unlock_page(). An invalidate, which holds the page's lock, comes
either before that and is seen, or after it and sees a page that is mapped, which it unmaps. The rest is ours:
 * The lock is taken at once after ->nopage and not, as in the five lines of the sketch, before ptl. There the page may be a private
   copy, which has no mapping yet, and the fault would back out for ever. Hugh Dickins said on 11 Jan that for copies the page
   of the file is what must be locked and tested; so the copy is made under its lock.
 * Backing out is what do_no_page() does when truncate_count has moved.
 * truncate_count stays. That it could go was called a bonus; it would need truncate to unmap under the page's lock as well.
"""
from vmrace.harness.kernel import data_race, smp_rmb, spin_lock, spin_unlock, unlikely
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_nopage, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import maybe_mkwrite
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import alloc_page_vma, lock_page, mk_pte, pte_offset
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import page_cache_release, pte_mkdirty, pte_none, set_pte_at
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import anon_vma_prepare, page_add_anon_rmap, page_add_file_rmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_cache_add_active
from vmrace.variants.invalidate_2_6.types import (
    GFP_HIGHUSER,
    NOPAGE_OOM,
    NOPAGE_SIGBUS,
    PAGE_MASK,
    VM_FAULT_MINOR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_SHARED,
)
from vmrace.variants.mmu import copy_to_new_page

# ---- mm/memory.c ----------------------------------------------------------------------------------------------------------------
__FILE__ = "mm/memory.c"


def do_no_page(mm, vma, address, page_table, write_access):
    """A fault on a page that is not mapped, in a vma with a nopage operation. mmap_sem is held for reading."""
    mapping = None
    sequence = 0
    ret = VM_FAULT_MINOR
    anon = 0

    if vma.vm_file:
        mapping = vma.vm_file.f_mapping
        sequence = data_race(mapping.truncate_count)
        smp_rmb()                                   # before i_size is read
    while True:
        # retry:
        new_page = filemap_nopage(vma, address & PAGE_MASK)     # vma->vm_ops->nopage

        # nopage has taken and dropped tree_lock, so i_size is not read after truncate_count is read again
        if new_page is NOPAGE_SIGBUS:
            return VM_FAULT_SIGBUS
        if new_page == NOPAGE_OOM:
            return VM_FAULT_OOM

        # whoever takes it out of the page cache holds its lock, and from here on sees it mapped or is seen
        lock_page(new_page)
        if mapping and unlikely(data_race(new_page.mapping) is None):
            unlock_page(new_page)                   # goto bail_out
            page_cache_release(new_page)
            cond_resched()
            sequence = data_race(mapping.truncate_count)
            smp_rmb()
            continue                                # goto retry

        # a private copy at once?
        if write_access and not vma.vm_flags & VM_SHARED:
            anon_vma_prepare(vma)
            page = alloc_page_vma(GFP_HIGHUSER, vma, address)
            if not page:
                unlock_page(new_page)
                page_cache_release(new_page)        # goto oom
                return VM_FAULT_OOM
            copy_to_new_page(page, new_page)
            unlock_page(new_page)
            page_cache_release(new_page)
            new_page = page
            anon = 1

        ptl = mm.page_table_lock
        page_table = pte_offset(mm, address)
        spin_lock(ptl)
        # was it truncated, or otherwise invalidated, meanwhile? If unmap_mapping_range() was called, look again.
        if mapping and sequence != data_race(mapping.truncate_count):
            spin_unlock(ptl)
            if not anon:
                unlock_page(new_page)
            page_cache_release(new_page)
            cond_resched()
            sequence = data_race(mapping.truncate_count)
            smp_rmb()
            continue                                # goto retry
        break

    # only if we did not race with anybody else
    if pte_none(page_table.val):
        entry = mk_pte(new_page, vma.vm_page_prot)
        if write_access:
            entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        set_pte_at(mm, address, page_table, entry)
        if anon:
            mm.anon_rss += 1
            lru_cache_add_active(new_page)
            page_add_anon_rmap(new_page, vma, address)
        else:
            mm.file_rss += 1
            page_add_file_rmap(new_page)
        if not anon:
            unlock_page(new_page)                   # page_mapped() is true
    else:
        # one of our sibling threads was faster
        if not anon:
            unlock_page(new_page)
        page_cache_release(new_page)
    # unlock:
    spin_unlock(ptl)
    return ret
