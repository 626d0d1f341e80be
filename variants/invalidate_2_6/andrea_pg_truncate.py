# SPDX-License-Identifier: GPL-2.0-only
"""Andrea Arcangeli, 31 Mar 2006, against 2.6.16: an invalidate marks the page, and a fault locks the page and looks.

Read beside the post of that day: same hunks, same order, same names; `&x` is x, `->` is a dot. The lines of BUG() are those of 2.6.15 with
these hunks.
"""
from vmrace.harness.kernel import BUG, BUG_ON, clear_bit, data_race, read_word, set_bit, smp_rmb, spin_lock, spin_unlock, test_bit, unlikely
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import try_to_release_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import __remove_from_page_cache, filemap_nopage, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import maybe_mkwrite
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageUptodate,
    PageDirty,
    PagePrivate,
    PageReserved,
    __ClearPageDirty,
    alloc_page_vma,
    lock_page,
    mk_pte,
    page_cache_release,
    page_count,
    page_mapcount,
    pte_mkdirty,
    pte_none,
    pte_offset,
    set_pte_at,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import FREE_CHECK, bad_page, cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import anon_vma_prepare, page_add_anon_rmap, page_add_file_rmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_cache_add_active
from vmrace.variants.invalidate_2_6.types import (
    GFP_HIGHUSER,
    NOPAGE_OOM,
    NOPAGE_SIGBUS,
    PAGE_MASK,
    PG_dirty,
    PG_reserved,
    VM_FAULT_MINOR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_SHARED,
)
from vmrace.variants.mmu import copy_to_new_page
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq

# ---- include/linux/page-flags.h, @@ -76,6 +76,8 @@ and @@ -330,6 +332,10 @@ ----------------------------------------------------
__FILE__ = "include/linux/page-flags.h"

PG_truncate = 20


def PageTruncate(page):
    return test_bit(PG_truncate, page.flags)


def SetPageTruncate(page):
    set_bit(PG_truncate, page.flags)


def ClearPageTruncate(page):
    clear_bit(PG_truncate, page.flags)


# ---- mm/memory.c, @@ -2088,6 +2088,14 @@, @@ -2096,6 +2104,7 @@ and @@ -2128,7 +2137,9 @@ ----------------------------------------
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

        # a private copy at once?
        if write_access and not vma.vm_flags & VM_SHARED:
            anon_vma_prepare(vma)
            page = alloc_page_vma(GFP_HIGHUSER, vma, address)
            if not page:
                page_cache_release(new_page)        # goto oom
                return VM_FAULT_OOM
            copy_to_new_page(page, new_page)
            page_cache_release(new_page)
            new_page = page
            anon = 1

        lock_page(new_page)                         # of a private copy: the copy
        if unlikely(PageTruncate(new_page)):
            unlock_page(new_page)
            page_cache_release(new_page)
            BUG_ON(not mapping, 2058)
            cond_resched()
            continue                                # goto retry
        ptl = mm.page_table_lock
        page_table = pte_offset(mm, address)
        spin_lock(ptl)
        # was it truncated, or otherwise invalidated, meanwhile? If unmap_mapping_range() was called, look again.
        if mapping and sequence != data_race(mapping.truncate_count):
            spin_unlock(ptl)
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
        unlock_page(new_page)
    else:
        unlock_page(new_page)
        # one of our sibling threads was faster
        page_cache_release(new_page)
    # unlock:
    spin_unlock(ptl)
    return ret


# ---- mm/page_alloc.c, @@ -148,6 +148,7 @@ and @@ -520,6 +523,7 @@: what bad_page() clears, and what prep_new_page() complains of -----
__FILE__ = "mm/page_alloc.c"

BAD_STATE = FREE_CHECK & ~(1 << PG_reserved) | 1 << PG_dirty | 1 << PG_truncate
PREP_CHECK = BAD_STATE | 1 << PG_reserved


# ---- mm/page_alloc.c, @@ -380,6 +381,8 @@ -------------------------------------------------------------------------------------
# only here: if read_word() & FREE_CHECK: page->flags as a value
# only here: read_word(page.flags): as above
# not here: flags: page->flags as a value
def free_pages_check(page):
    if page_mapcount(page) or data_race(page.mapping) is not None or page_count(page) != 0 or read_word(page.flags) & FREE_CHECK:
        bad_page(page)
    if PageDirty(page):
        __ClearPageDirty(page)
    if PageTruncate(page):
        ClearPageTruncate(page)
    return PageReserved(page)


# ---- mm/truncate.c, @@ -78,6 +78,14 @@ ----------------------------------------------------------------------------------------
__FILE__ = "mm/truncate.c"


def invalidate_complete_page(mapping, page):
    """The page is locked. Takes it out of the cache unless it is dirty, whoever else uses it. Returns 1 if it did."""
    if page.mapping is not mapping:
        return 0

    if PagePrivate(page) and not try_to_release_page(page, 0):
        return 0

    write_lock_irq(mapping.tree_lock)
    # whoever dirties it tags it under this lock
    if PageDirty(page):
        write_unlock_irq(mapping.tree_lock)
        return 0

    if PagePrivate(page):
        BUG(76)
    __remove_from_page_cache(page)
    write_unlock_irq(mapping.tree_lock)
    ClearPageUptodate(page)
    page_cache_release(page)                        # the page cache's reference
    # Under the page's lock; nobody finds the page in the tree any more.
    SetPageTruncate(page)
    return 1
