# SPDX-License-Identifier: GPL-2.0-only
"""Our reconstruction of seqschedlock-2 (Andrea Arcangeli, 16 Dec 2005), over andrea_seqschedlock: its text is not public.

What is known. The announcement of 16 Dec 2005 is one sentence: the previous patch had a minor buglet, and there is an update. The
customer's confirmation of 10 Jan 2006 (seed 002) is of this one. Hugh Dickins wrote on 11 Jan 2006 that the header was missing from
what had been sent since and that he took it to be last month's. So we take the primitive as it was and look for the buglet
where it is used.

What we found there, with campaigns on the patch as posted, are two slips that do not touch the idea:
 * invalidate_mapping_pages() leaves the write section open when the page is mapped: its goto goes past write_seqschedunlock().
   From then on every fault on that file yields for ever.
 * do_no_page() yields while it holds ptl.
Which of them the announcement meant we do not know. Both are repaired here, each with the smallest change we could think of.

What is not repaired, as it is no slip. The read section ends before the pte is set and the page counted as mapped. An invalidate that
begins after that finds the page not mapped, takes no ptl, and detaches it; the fault then maps it. Nothing we know of says that
seqschedlock-2 closed that window. To close it the fault would have to ask once the page is mapped, and then take the pte back; Andrew
Morton's question of 13 Dec 2005, whether one could check after the pte is set, was about truncate_count.

Line numbers of BUG() are those of the patch as posted.
"""
from vmrace.harness.kernel import BUG, data_race, likely, spin_lock, spin_unlock, unlikely, yield_cpu
from vmrace.variants.invalidate_2_6.andrea_seqschedlock.seqschedlock_h import (
    SEQSCHEDLOCK_SUCCESS,
    SEQSCHEDLOCK_WRITER_RACE,
    SEQSCHEDLOCK_WRITER_RUNNING,
    read_seqschedlock,
    read_seqschedunlock,
    write_seqschedlock,
    write_seqschedunlock,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_nopage, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import maybe_mkwrite
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    PageDirty,
    PageWriteback,
    TestSetPageLocked,
    alloc_page_vma,
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
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import anon_vma_prepare, page_add_anon_rmap, page_add_file_rmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_cache_add_active, pagevec_lookup
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import invalidate_complete_page
from vmrace.variants.invalidate_2_6.types import (
    GFP_HIGHUSER,
    NOPAGE_OOM,
    NOPAGE_SIGBUS,
    PAGEVEC_SIZE,
    PAGE_MASK,
    VM_FAULT_MINOR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_SHARED,
)
from vmrace.variants.mmu import copy_to_new_page

# ---- mm/memory.c: the yield() of a read section that fails at its end -----------------------------------------------------------
__FILE__ = "mm/memory.c"


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
            state = SEQSCHEDLOCK_SUCCESS
            if not race_failure:
                state = read_seqschedunlock(mapping.invalidate_lock, invalidate_lock)
                if state != SEQSCHEDLOCK_SUCCESS:
                    race_failure = 1                # goto race_failure
            if race_failure:
                # race_failure:
                spin_unlock(ptl)
                page_cache_release(new_page)
                if state == SEQSCHEDLOCK_WRITER_RUNNING:
                    yield_cpu()                     # was under ptl
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


# ---- mm/truncate.c: the write section of a page that is mapped ------------------------------------------------------------------
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
                if not page_mapped(page):
                    ret += invalidate_complete_page(mapping, page)
                write_seqschedunlock(mapping.invalidate_lock)       # was left open for a page that is mapped
            # unlock:
            unlock_page(page)
            if next > end:
                break
        pagevec_release(pvec)
        cond_resched()
    return ret
