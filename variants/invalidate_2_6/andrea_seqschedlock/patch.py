# SPDX-License-Identifier: GPL-2.0-only
"""The hunks that use the seqschedlock, in the patch's order.

Read beside the post of 13 Dec 2005: same hunks, same order, same names; `&x` is x, `->` is a dot. Line numbers of BUG() and
WARN_ON() are those of 2.6.15 with these hunks, as the hunk headers have it; functions it does not touch keep theirs.
"""
from vmrace.harness.kernel import BUG, WARN_ON, data_race, embed, likely, spin_lock, spin_unlock, unlikely, yield_cpu
from vmrace.variants.invalidate_2_6.andrea_seqschedlock.seqschedlock_h import (
    SEQSCHEDLOCK_SUCCESS,
    SEQSCHEDLOCK_WRITER_RACE,
    SEQSCHEDLOCK_WRITER_RUNNING,
    read_seqschedlock,
    read_seqschedunlock,
    seqschedlock_t,
    write_seqschedlock,
    write_seqschedunlock,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_nopage, radix_tree_delete, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import maybe_mkwrite, unmap_mapping_range
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    PageDirty,
    PageWriteback,
    TestSetPageLocked,
    alloc_page_vma,
    lock_page,
    mk_pte,
    page_cache_release,
    page_mapped,
    pagevec_count,
    pagevec_init,
    pagevec_release,
    pte_mkdirty,
    pte_none,
    pte_offset,
    set_pte_at,
    wait_on_page_writeback,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty, test_clear_page_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import anon_vma_prepare, page_add_anon_rmap, page_add_file_rmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_cache_add_active, pagevec_lookup
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import invalidate_complete_page
from vmrace.variants.invalidate_2_6.types import (
    EIO,
    GFP_HIGHUSER,
    NOPAGE_OOM,
    NOPAGE_SIGBUS,
    PAGEVEC_SIZE,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_MASK,
    ULONG_MAX,
    VM_FAULT_MINOR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_SHARED,
    address_space,
)
from vmrace.variants.mmu import copy_to_new_page

# ---- fs/inode.c, @@ -197,6 +197,7 @@ -------------------------------------------------------------------------------------------
# Left out: seqschedlock_init(); a struct here starts with what its fields say.


# ---- include/linux/fs.h, @@ -10,6 +10,7 @@ and @@ -349,6 +350,7 @@ ---------------------------------------------------------------
class address_space(address_space):
    invalidate_lock = embed(seqschedlock_t)                 # a fault against an invalidate


# ---- mm/filemap.c, @@ -116,6 +116,9 @@ -----------------------------------------------------------------------------------------
__FILE__ = "mm/filemap.c"


def __remove_from_page_cache(page):
    """tree_lock is held for writing, the page is locked; the caller knows that nobody else uses it, or that it does no harm."""
    mapping = page.mapping

    radix_tree_delete(mapping, page.index)
    page.mapping = None
    mapping.nrpages -= 1

    # nobody must have it mapped; there is no swap cache here, which would be exempt
    WARN_ON(page_mapped(page), 121)


# ---- mm/memory.c, @@ -2006,6 +2006,7 @@, @@ -2014,10 +2015,24 @@ and @@ -2056,13 +2071,26 @@ ---------------------------------------
__FILE__ = "mm/memory.c"


# only here: if vma.vm_file: C comes back to behind the test
# only here: mapping = vma.vm_file.f_mapping: C comes back to behind it
def do_no_page(mm, vma, address, page_table, write_access):
    """A fault on a page that is not mapped, in a vma with a nopage operation. mmap_sem is held for reading."""
    mapping = None
    sequence = 0
    invalidate_lock = None
    ret = VM_FAULT_MINOR
    anon = 0

    while True:
        # retry: inside the if, so only for a file
        if vma.vm_file:
            mapping = vma.vm_file.f_mapping
            sequence = data_race(mapping.truncate_count)
            # before i_size is read: read_seqschedlock() has a barrier

            state, invalidate_lock = read_seqschedlock(mapping.invalidate_lock)
            if state == SEQSCHEDLOCK_WRITER_RUNNING:
                yield_cpu()
                cond_resched()                      # fallthrough
                continue                            # goto retry
            if state == SEQSCHEDLOCK_WRITER_RACE:
                cond_resched()
                continue                            # goto retry
            if state != SEQSCHEDLOCK_SUCCESS:
                BUG(2026)

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

        ptl = mm.page_table_lock
        page_table = pte_offset(mm, address)
        spin_lock(ptl)
        # was it truncated, or otherwise invalidated, meanwhile? If unmap_mapping_range() was called, or if an invalidate was
        # at work, look again.
        if likely(mapping):
            race_failure = unlikely(sequence != data_race(mapping.truncate_count))
            if not race_failure:
                state = read_seqschedunlock(mapping.invalidate_lock, invalidate_lock)
                if state == SEQSCHEDLOCK_WRITER_RUNNING:
                    yield_cpu()                     # ptl is held
                    race_failure = 1                # fallthrough
                elif state == SEQSCHEDLOCK_WRITER_RACE:
                    race_failure = 1                # goto race_failure
                elif state != SEQSCHEDLOCK_SUCCESS:
                    BUG(2086)
            if race_failure:
                # race_failure:
                spin_unlock(ptl)
                page_cache_release(new_page)
                cond_resched()
                continue                            # goto retry
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
    else:
        # one of our sibling threads was faster
        page_cache_release(new_page)
    # unlock:
    spin_unlock(ptl)
    return ret


# ---- mm/truncate.c, @@ -210,9 +210,13 @@ ---------------------------------------------------------------------------------------
__FILE__ = "mm/truncate.c"


def invalidate_mapping_pages(mapping, start, end):
    """Drop the clean, unlocked, unmapped pages of a range; waits for nothing. Returns how many."""
    next = start
    ret = 0

    pvec = pagevec_init()
    while next <= end and pagevec_lookup(pvec, mapping, next, PAGEVEC_SIZE):
        for i in range(pagevec_count(pvec)):
            page = pvec[i]
            if TestSetPageLocked(page):
                next += 1
                continue
            if page.index > next:
                next = page.index
            next += 1
            if not (PageDirty(page) or PageWriteback(page)):
                write_seqschedlock(mapping.invalidate_lock)
                if not page_mapped(page):           # else goto unlock, past the end of the write section
                    ret += invalidate_complete_page(mapping, page)
                    write_seqschedunlock(mapping.invalidate_lock)
            # unlock:
            unlock_page(page)
            if next > end:
                break
        pagevec_release(pvec)
        cond_resched()
    return ret


# ---- mm/truncate.c, @@ -276,6 +280,8 @@ and @@ -302,6 +308,8 @@ -----------------------------------------------------------------
def invalidate_inode_pages2_range(mapping, start, end):
    """Drop every page of a range, unmapping it first. What was dirty is lost, unless its buffers are. -EIO if a page stays."""
    pvec = pagevec_init()
    ret = 0
    did_range_unmap = 0
    wrapped = 0

    next = start
    while next <= end and not ret and not wrapped and pagevec_lookup(pvec, mapping, next, min(end - next, PAGEVEC_SIZE - 1) + 1):
        i = 0
        while not ret and i < pagevec_count(pvec):
            page = pvec[i]
            lock_page(page)
            if page.mapping is not mapping:
                unlock_page(page)
                i += 1
                continue
            page_index = page.index
            next = page_index + 1
            if next > ULONG_MAX:
                wrapped = 1
            if page_index > end:
                unlock_page(page)
                break
            wait_on_page_writeback(page)

            write_seqschedlock(mapping.invalidate_lock)
            while page_mapped(page):
                if not did_range_unmap:
                    # the rest of the file at one go
                    unmap_mapping_range(
                        mapping, page_index << PAGE_CACHE_SHIFT, end - page_index + 1 << PAGE_CACHE_SHIFT, 0)
                    did_range_unmap = 1
                else:
                    # this page alone
                    unmap_mapping_range(mapping, page_index << PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, 0)
            was_dirty = test_clear_page_dirty(page)
            if not invalidate_complete_page(mapping, page):
                if was_dirty:
                    set_page_dirty(page)
                ret = -EIO
            write_seqschedunlock(mapping.invalidate_lock)

            unlock_page(page)
            i += 1
        pagevec_release(pvec)
        cond_resched()
    return ret


# ---- include/linux/seqschedlock.h: seqschedlock_h ------------------------------------------------------------------------------
