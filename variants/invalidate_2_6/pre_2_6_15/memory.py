# SPDX-License-Identifier: GPL-2.0-only
"""mm/memory.c: faults, fork's copy of page tables, unmapping, and unmap_mapping_range(). A vma is one page, so each loop over the
ptes of a vma is one turn. `ptl` is mm->page_table_lock: see types.
"""
from vmrace.harness.kernel import (
    atomic_read,
    current,
    data_race,
    list_empty,
    list_entry,
    need_resched,
    smp_mb,
    smp_rmb,
    smp_wmb,
    spin_lock,
    spin_unlock,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_nopage, filemap_populate, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import clear_new_page, copy_to_new_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    PageAnon,
    SetPageReferenced,
    TestSetPageLocked,
    alloc_page_vma,
    get_page,
    i_size_write,
    linear_page_index,
    mk_pte,
    page_cache_get,
    page_cache_release,
    page_mapcount,
    pgoff_to_pte,
    pte_dirty,
    pte_mkclean,
    pte_mkdirty,
    pte_mkold,
    pte_mkwrite,
    pte_mkyoung,
    pte_none,
    pte_offset,
    pte_page,
    pte_present,
    pte_to_pgoff,
    pte_write,
    pte_young,
    ptep_get_and_clear,
    ptep_set_wrprotect,
    set_pte_at,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import ext2_truncate
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import (
    anon_vma_prepare,
    page_add_anon_rmap,
    page_add_file_rmap,
    page_dup_rmap,
    page_remove_rmap,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_add_drain, lru_cache_add_active, mark_page_accessed, release_pages
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import truncate_inode_pages
from vmrace.variants.invalidate_2_6.types import (
    EINTR,
    ENOMEM,
    GFP_HIGHUSER,
    NOPAGE_OOM,
    NOPAGE_SIGBUS,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    ULONG_MAX,
    VM_FAULT_MAJOR,
    VM_FAULT_MINOR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_FAULT_WRITE,
    VM_MAYWRITE,
    VM_NONLINEAR,
    VM_RESERVED,
    VM_SHARED,
    VM_WRITE,
    empty_zero_page,
)


# ---- asm-generic/tlb.h: the pages of a zap are freed when the flush is over -------------------------------------------------

__FILE__ = "include/asm-generic/tlb.h"


def tlb_gather_mmu(mm, full_mm_flush):
    tlb = current().tlb
    tlb.mm = mm
    tlb.fullmm = full_mm_flush
    tlb.pages = ()
    return tlb


def tlb_remove_page(tlb, page):
    tlb.pages += (page,)


def tlb_finish_mmu(tlb, start, end):
    """free_pages_and_swap_cache(): of no swap cache, lru_add_drain() and release_pages()"""
    if tlb.pages:
        pages = tlb.pages
        tlb.pages = ()
        lru_add_drain()
        release_pages(pages)
    tlb.mm = None


__FILE__ = "mm/memory.c"


# ---- fork ----------------------------------------------------------------------------------------------------------------


def copy_one_pte(dst_mm, src_mm, dst_pte, src_pte, vma, addr):
    """Both page table locks are held."""
    vm_flags = vma.vm_flags
    pte = src_pte.val

    if pte_present(pte):
        # left out: VM_RESERVED, frames without a struct page
        page = pte_page(pte)

        # a COW mapping is write protected in both
        if vm_flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE:
            ptep_set_wrprotect(src_pte)
            pte = src_pte.val

        # a shared mapping is clean in the child
        if vm_flags & VM_SHARED:
            pte = pte_mkclean(pte)
        pte = pte_mkold(pte)
        get_page(page)
        page_dup_rmap(page)
        if PageAnon(page):
            dst_mm.anon_rss += 1
        else:
            dst_mm.file_rss += 1

    # out_set_pte: a file offset is copied too
    set_pte_at(dst_mm, addr, dst_pte, pte)


def copy_page_range(dst_mm, src_mm, vma):
    """`vma` is the parent's. Its mmap_sem is held for writing."""
    # a fault will fill in what is mapped from a file and was never copied
    if not vma.vm_flags & (VM_NONLINEAR | VM_RESERVED) and not vma.anon_vma:
        return 0

    # copy_pte_range:
    addr = vma.vm_start
    dst_pte, src_pte = pte_offset(dst_mm, addr), pte_offset(src_mm, addr)
    spin_lock(dst_mm.page_table_lock)
    spin_lock(src_mm.page_table_lock)
    if not pte_none(src_pte.val):
        copy_one_pte(dst_mm, src_mm, dst_pte, src_pte, vma, addr)
    spin_unlock(src_mm.page_table_lock)
    spin_unlock(dst_mm.page_table_lock)
    cond_resched()
    return 0


# ---- unmapping -------------------------------------------------------------------------------------------------------------


def zap_pte_range(tlb, vma, addr, details):
    mm = tlb.mm
    pte = pte_offset(mm, addr)
    ptl = mm.page_table_lock
    spin_lock(ptl)
    ptent = pte.val
    if pte_present(ptent):
        page = pte_page(ptent)
        if details is not None:
            # to invalidate without truncating: unmap what is shared, keep private copies
            skip = details.check_mapping is not None and details.check_mapping is not data_race(page.mapping)
            # in a nonlinear vma each page says itself where it belongs
            if not skip and details.nonlinear_vma is not None:
                index = data_race(page.index)
                skip = index < details.first_index or index > details.last_index
            if skip:
                spin_unlock(ptl)
                return
        ptent = ptep_get_and_clear(pte)             # tlb_remove_tlb_entry(tlb, pte, addr)
        if (details is not None and details.nonlinear_vma is not None
                and linear_page_index(details.nonlinear_vma, addr) != data_race(page.index)):
            set_pte_at(mm, addr, pte, pgoff_to_pte(data_race(page.index)))
        if PageAnon(page):
            mm.anon_rss -= 1
        else:
            if pte_dirty(ptent):
                set_page_dirty(page)
            if pte_young(ptent):
                mark_page_accessed(page)
            mm.file_rss -= 1
        page_remove_rmap(page)
        tlb_remove_page(tlb, page)
    elif not pte_none(ptent) and details is None:
        # a file offset; with details it stays
        set_pte_at(mm, addr, pte, None)             # pte_clear_full()
    spin_unlock(ptl)


def unmap_page_range(tlb, vma, addr, end, details):
    if details is not None and details.check_mapping is None and details.nonlinear_vma is None:
        details = None
    zap_pte_range(tlb, vma, addr, details)


def unmap_vmas(tlb, vma, start_addr, end_addr, details):
    """Returns where it has stopped, which is the end: of 1024 pages (ZAP_BLOCK_SIZE), after which the kernel looks whether it
    should make room for others, there are never so many."""
    start = start_addr
    while vma and vma.vm_start < end_addr:
        start = max(vma.vm_start, start_addr)
        end = min(vma.vm_end, end_addr)
        if start < vma.vm_end and end > vma.vm_start:
            unmap_page_range(tlb, vma, start, end, details)
            start = end
        vma = vma.vm_next
    return start


def zap_page_range(vma, address, size, details):
    """Of one vma, found by its file: its mmap_sem is not held, so vm_next is not looked at."""
    end = address + size

    lru_add_drain()
    tlb = tlb_gather_mmu(vma.vm_mm, 0)
    start = max(vma.vm_start, address)              # unmap_vmas(), of a range that lies in this vma
    unmap_page_range(tlb, vma, start, end, details)
    tlb_finish_mmu(tlb, address, end)
    return end


def is_restart_addr(truncate_count):
    return not truncate_count & ~PAGE_MASK


def reset_vma_truncate_counts(mapping):
    """i_mmap_lock is held."""
    for head in (mapping.i_mmap, mapping.i_mmap_nonlinear):
        entry = head.next
        while entry is not head:
            list_entry(entry).vm_truncate_count = 0
            entry = entry.next


def need_lockbreak(lock):
    """Only a preemptible SMP kernel looks whether somebody spins for the lock."""
    return 0


def unmap_mapping_range_vma(vma, start_addr, end_addr, details):
    """i_mmap_lock is held; it is dropped, and -EINTR returned, if somebody else wants the cpu."""
    while True:
        # again:
        restart_addr = vma.vm_truncate_count
        if is_restart_addr(restart_addr) and start_addr < restart_addr:
            start_addr = restart_addr
            if start_addr >= end_addr:
                # the top of the vma has been split off since
                vma.vm_truncate_count = details.truncate_count
                return 0

        restart_addr = zap_page_range(vma, start_addr, end_addr - start_addr, details)

        need_break = need_resched() or need_lockbreak(details.i_mmap_lock)

        if restart_addr >= end_addr:
            # this vma is done
            vma.vm_truncate_count = details.truncate_count
            if not need_break:
                return 0
        else:
            vma.vm_truncate_count = restart_addr
            if not need_break:
                continue
        break

    spin_unlock(details.i_mmap_lock)
    cond_resched()
    spin_lock(details.i_mmap_lock)
    return -EINTR


def unmap_mapping_range_tree(head, details):
    """i_mmap_lock is held."""
    entry = head.next
    while entry is not head:
        vma = list_entry(entry)
        entry = entry.next
        # vma_prio_tree_foreach(): the vmas that show a part of the range; each shows one page, vm_pgoff
        if not details.first_index <= vma.vm_pgoff <= details.last_index:
            continue
        # dealt with already
        if vma.vm_truncate_count == details.truncate_count:
            continue
        if unmap_mapping_range_vma(vma, vma.vm_start, vma.vm_end, details) < 0:
            entry = head.next                       # goto restart


def unmap_mapping_range_list(head, details):
    """i_mmap_lock is held. In a nonlinear vma any page may show any page of the file."""
    entry = head.next
    while entry is not head:
        vma = list_entry(entry)
        entry = entry.next
        if vma.vm_truncate_count == details.truncate_count:
            continue
        details.nonlinear_vma = vma
        if unmap_mapping_range_vma(vma, vma.vm_start, vma.vm_end, details) < 0:
            entry = head.next                       # goto restart


def unmap_mapping_range(mapping, holebegin, holelen, even_cows):
    """Unmap a range of the file from whoever maps it; a holelen of 0 is to its end. Private copies go only if even_cows is set."""
    hba = holebegin >> PAGE_SHIFT
    hlen = holelen + PAGE_SIZE - 1 >> PAGE_SHIFT

    # an end beyond what a pgoff_t can say
    if holebegin + holelen + PAGE_SIZE - 1 >> PAGE_SHIFT > ULONG_MAX:
        hlen = ULONG_MAX - hba + 1

    details = current().details
    details.check_mapping = None if even_cows else mapping
    details.nonlinear_vma = None
    details.first_index = hba
    details.last_index = hba + hlen - 1
    if details.last_index < details.first_index:
        details.last_index = ULONG_MAX
    details.i_mmap_lock = mapping.i_mmap_lock

    spin_lock(mapping.i_mmap_lock)

    # i_size is written before truncate_count
    smp_wmb()
    # against faults under way, and against endless unmapping
    mapping.truncate_count += 1
    # and page tables are read after it
    smp_mb()
    if is_restart_addr(mapping.truncate_count):
        if mapping.truncate_count == 0:
            reset_vma_truncate_counts(mapping)
        mapping.truncate_count += 1
    details.truncate_count = mapping.truncate_count

    if not list_empty(mapping.i_mmap):
        unmap_mapping_range_tree(mapping.i_mmap, details)
    if not list_empty(mapping.i_mmap_nonlinear):
        unmap_mapping_range_list(mapping.i_mmap_nonlinear, details)
    spin_unlock(mapping.i_mmap_lock)


def vmtruncate(inode, offset):
    """i_sem is held."""
    mapping = inode.i_mapping

    if data_race(inode.i_size) < offset:
        # do_expand:
        i_size_write(inode, offset)
    else:
        i_size_write(inode, offset)
        unmap_mapping_range(mapping, offset + PAGE_SIZE - 1, 0, 1)
        truncate_inode_pages(mapping, offset)

    # out_truncate:
    ext2_truncate(inode)                            # inode->i_op->truncate
    return 0


# ---- faults ------------------------------------------------------------------------------------------------------------------


def maybe_mkwrite(pte, vma):
    if vma.vm_flags & VM_WRITE:
        pte = pte_mkwrite(pte)
    return pte


def can_share_swap_page(page):
    """mm/swapfile.c, since 2.6.13: is it mapped by us alone? The page is locked, and there is no swap cache."""
    return page_mapcount(page) == 1


def do_wp_page(mm, vma, address, page_table, ptl, orig_pte):
    """A write to a present, write-protected page. ptl is held on entry and not on exit."""
    old_page = pte_page(orig_pte)
    ret = VM_FAULT_MINOR

    if PageAnon(old_page) and not TestSetPageLocked(old_page):
        reuse = can_share_swap_page(old_page)
        unlock_page(old_page)
        if reuse:
            entry = pte_mkyoung(orig_pte)
            entry = maybe_mkwrite(pte_mkdirty(entry), vma)
            set_pte_at(mm, address, page_table, entry)      # ptep_set_access_flags()
            ret |= VM_FAULT_WRITE
            spin_unlock(ptl)                        # goto unlock
            return ret

    # so it must be copied
    page_cache_get(old_page)
    spin_unlock(ptl)

    anon_vma_prepare(vma)
    new_page = alloc_page_vma(GFP_HIGHUSER, vma, address)
    if not new_page:
        # oom:
        page_cache_release(old_page)
        return VM_FAULT_OOM
    if old_page is empty_zero_page:
        clear_new_page(new_page)
    else:
        copy_to_new_page(new_page, old_page)

    # the lock was dropped: is it still the same pte?
    spin_lock(ptl)
    if page_table.val == orig_pte:
        page_remove_rmap(old_page)
        if not PageAnon(old_page):
            mm.anon_rss += 1
            mm.file_rss -= 1
        entry = mk_pte(new_page, vma.vm_page_prot)
        entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        set_pte_at(mm, address, page_table, entry)  # ptep_establish(), with a flush
        lru_cache_add_active(new_page)
        page_add_anon_rmap(new_page, vma, address)

        # free the old page
        new_page = old_page
        ret |= VM_FAULT_WRITE
    page_cache_release(new_page)
    page_cache_release(old_page)
    # unlock:
    spin_unlock(ptl)
    return ret


def do_anonymous_page(mm, vma, address, page_table, write_access):
    ptl = mm.page_table_lock
    if write_access:
        # a page of our own
        anon_vma_prepare(vma)
        page = alloc_page_vma(GFP_HIGHUSER, vma, address)
        if not page:
            return VM_FAULT_OOM                     # goto oom
        clear_new_page(page)

        entry = mk_pte(page, vma.vm_page_prot)
        entry = maybe_mkwrite(pte_mkdirty(entry), vma)

        spin_lock(ptl)
        if not pte_none(page_table.val):
            page_cache_release(page)                # goto release
            spin_unlock(ptl)
            return VM_FAULT_MINOR
        mm.anon_rss += 1
        lru_cache_add_active(page)
        SetPageReferenced(page)
        page_add_anon_rmap(page, vma, address)
    else:
        # the zero page, read-only
        page = empty_zero_page
        page_cache_get(page)
        entry = mk_pte(page, vma.vm_page_prot)

        spin_lock(ptl)
        if not pte_none(page_table.val):
            page_cache_release(page)                # goto release
            spin_unlock(ptl)
            return VM_FAULT_MINOR
        mm.file_rss += 1
        page_add_file_rmap(page)

    set_pte_at(mm, address, page_table, entry)

    # unlock:
    spin_unlock(ptl)
    return VM_FAULT_MINOR


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

        ptl = mm.page_table_lock
        spin_lock(ptl)
        # was it truncated, or otherwise invalidated, meanwhile? If unmap_mapping_range() was called, look again.
        if mapping and sequence != data_race(mapping.truncate_count):
            spin_unlock(ptl)
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
        elif not vma.vm_flags & VM_RESERVED:
            mm.file_rss += 1
            page_add_file_rmap(new_page)
    else:
        # one of our sibling threads was faster
        page_cache_release(new_page)
    # unlock:
    spin_unlock(ptl)
    return ret


def do_file_page(mm, vma, address, page_table, write_access, orig_pte):
    """A pte of a nonlinear vma that says which page of the file belongs there."""
    # left out: the complaint about such a pte in a linear vma; pte_unmap_same() has nothing to do for a pte of one word
    pgoff = pte_to_pgoff(orig_pte)
    err = filemap_populate(vma, address & PAGE_MASK, PAGE_SIZE, vma.vm_page_prot, pgoff, 0)    # vma->vm_ops->populate
    if err == -ENOMEM:
        return VM_FAULT_OOM
    if err:
        return VM_FAULT_SIGBUS
    return VM_FAULT_MAJOR


def handle_pte_fault(mm, vma, address, pte, write_access):
    entry = data_race(pte.val)                      # read without the lock
    if not pte_present(entry):
        if pte_none(entry):
            if not vma.vm_ops:
                return do_anonymous_page(mm, vma, address, pte, write_access)
            return do_no_page(mm, vma, address, pte, write_access)
        return do_file_page(mm, vma, address, pte, write_access, entry)

    ptl = mm.page_table_lock
    spin_lock(ptl)
    if pte.val == entry:
        if write_access:
            if not pte_write(entry):
                return do_wp_page(mm, vma, address, pte, ptl, entry)
            entry = pte_mkdirty(entry)
        entry = pte_mkyoung(entry)
        set_pte_at(mm, address, pte, entry)         # ptep_set_access_flags()
    # unlock:
    spin_unlock(ptl)
    return VM_FAULT_MINOR


def __handle_mm_fault(mm, vma, address, write_access):
    """mmap_sem is held for reading. Page directories are left out."""
    return handle_pte_fault(mm, vma, address, pte_offset(mm, address), write_access)
