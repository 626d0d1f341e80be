# SPDX-License-Identifier: GPL-2.0-only
"""mm/memory.c: faults, fork's copy of page tables, unmapping, and unmap_mapping_range(). A vma is one page, so each loop over the
ptes of a vma is one turn. `ptl` is mm->page_table_lock: see types.
"""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
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
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    PageAnon,
    PageDirty,
    PageLocked,
    SetPageReferenced,
    TestSetPageLocked,
    alloc_page_vma,
    alloc_zeroed_user_highpage,
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
    ptep_set_access_flags,
    ptep_set_wrprotect,
    set_pte_at,
    unlocked,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import ext2_truncate
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import find_extend_vma
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import (
    anon_vma_prepare,
    page_add_anon_rmap,
    page_add_file_rmap,
    page_dup_rmap,
    page_remove_rmap,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_add_drain, lru_cache_add_active, mark_page_accessed
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap_state import free_pages_and_swap_cache
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import truncate_inode_pages
from vmrace.variants.invalidate_2_6.types import (
    EFAULT,
    EINTR,
    ENOMEM,
    FOLL_GET,
    FOLL_TOUCH,
    FOLL_WRITE,
    FREE_PTE_NR,
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
    VM_IO,
    VM_MAYREAD,
    VM_MAYWRITE,
    VM_NONLINEAR,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    empty_zero_page,
)
from vmrace.variants.mmu import copy_to_new_page


# ---- asm-generic/tlb.h: the pages of a zap are freed when the flush is over -------------------------------------------------

__FILE__ = "include/asm-generic/tlb.h"


def tlb_gather_mmu(mm, full_mm_flush):
    """Begin to collect the pages that a zap unmaps. More than one cpu is online, so this is not the fast mode."""
    tlb = current().tlb
    tlb.mm = mm
    tlb.nr = 0
    tlb.pages = ()
    tlb.fullmm = full_mm_flush
    return tlb


def tlb_flush_mmu(tlb, start, end):
    """Flush the TLBs, then free the pages that were collected: no cpu can reach them any longer."""
    if not tlb.need_flush:
        return
    tlb.need_flush = 0
    free_pages_and_swap_cache(tlb.pages, tlb.nr)
    tlb.nr = 0
    tlb.pages = ()


def tlb_finish_mmu(tlb, start, end):
    tlb_flush_mmu(tlb, start, end)
    tlb.mm = None


def tlb_remove_page(tlb, page):
    """Free a page that is no longer mapped, after the flush. The page table lock is held."""
    tlb.need_flush = 1
    tlb.nr += 1
    tlb.pages += (page,)
    if tlb.nr >= FREE_PTE_NR:
        tlb_flush_mmu(tlb, 0, 0)


def tlb_remove_tlb_entry(tlb, ptep, address):
    tlb.need_flush = 1


__FILE__ = "mm/memory.c"


# ---- fork ----------------------------------------------------------------------------------------------------------------


def add_mm_rss(mm, file_rss, anon_rss):
    if file_rss:
        mm.file_rss += file_rss
    if anon_rss:
        mm.anon_rss += anon_rss


def is_cow_mapping(flags):
    return flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE


def copy_one_pte(dst_mm, src_mm, dst_pte, src_pte, vma, addr, rss):
    """Both page table locks are held."""
    vm_flags = vma.vm_flags
    pte = src_pte.val

    if pte_present(pte):
        # a COW mapping is write protected in both
        if is_cow_mapping(vm_flags):
            ptep_set_wrprotect(src_pte)
            pte = src_pte.val

        # a shared mapping is clean in the child
        if vm_flags & VM_SHARED:
            pte = pte_mkclean(pte)
        pte = pte_mkold(pte)

        page = pte_page(pte)                        # vm_normal_page()
        get_page(page)
        page_dup_rmap(page)
        rss[bool(PageAnon(page))] += 1

    # out_set_pte: a file offset is copied too
    set_pte_at(dst_mm, addr, dst_pte, pte)


def copy_pte_range(dst_mm, src_mm, vma, addr, end):
    while True:
        # again:
        rss = [0, 0]
        dst_ptl = dst_mm.page_table_lock
        dst_pte = pte_offset(dst_mm, addr)
        spin_lock(dst_ptl)
        src_pte = pte_offset(src_mm, addr)
        src_ptl = src_mm.page_table_lock
        spin_lock(src_ptl)

        while True:
            if not pte_none(src_pte.val):
                copy_one_pte(dst_mm, src_mm, dst_pte, src_pte, vma, addr, rss)
            addr += PAGE_SIZE
            if addr == end:
                break

        spin_unlock(src_ptl)
        add_mm_rss(dst_mm, rss[0], rss[1])
        spin_unlock(dst_ptl)
        cond_resched()
        if addr == end:
            return 0


def copy_page_range(dst_mm, src_mm, vma):
    """`vma` is the parent's. Its mmap_sem is held for writing."""
    addr = vma.vm_start
    end = vma.vm_end

    # a fault will fill in what is mapped from a file and was never copied
    if not vma.vm_flags & VM_NONLINEAR:
        if not vma.anon_vma:
            return 0

    if copy_pte_range(dst_mm, src_mm, vma, addr, end):
        return -ENOMEM
    return 0


# ---- unmapping -------------------------------------------------------------------------------------------------------------


def zap_pte_range(tlb, vma, addr, end, details):
    mm = tlb.mm
    file_rss = 0
    anon_rss = 0

    ptl = mm.page_table_lock
    pte = pte_offset(mm, addr)
    spin_lock(ptl)
    while True:
        ptent = pte.val
        if not pte_none(ptent):
            if pte_present(ptent):
                page = pte_page(ptent)              # vm_normal_page()
                keep = 0
                if details is not None:
                    # to invalidate without truncating: unmap what is shared, keep private copies
                    if details.check_mapping is not None and details.check_mapping is not data_race(page.mapping):
                        keep = 1                    # continue
                    # in a nonlinear vma each page says itself where it belongs
                    elif details.nonlinear_vma is not None and (
                            data_race(page.index) < details.first_index or data_race(page.index) > details.last_index):
                        keep = 1                    # continue
                if not keep:
                    ptent = ptep_get_and_clear(pte)     # ptep_get_and_clear_full()
                    tlb_remove_tlb_entry(tlb, pte, addr)
                    if (details is not None and details.nonlinear_vma is not None
                            and linear_page_index(details.nonlinear_vma, addr) != data_race(page.index)):
                        set_pte_at(mm, addr, pte, pgoff_to_pte(data_race(page.index)))
                    if PageAnon(page):
                        anon_rss -= 1
                    else:
                        if pte_dirty(ptent):
                            set_page_dirty(page)
                        if pte_young(ptent):
                            mark_page_accessed(page)
                        file_rss -= 1
                    page_remove_rmap(page)
                    tlb_remove_page(tlb, page)
            elif details is None:
                # a file offset; with details it stays
                set_pte_at(mm, addr, pte, None)     # pte_clear_full()
        addr += PAGE_SIZE
        if addr == end:
            break

    add_mm_rss(mm, file_rss, anon_rss)
    spin_unlock(ptl)

    return addr


def unmap_page_range(tlb, vma, addr, end, details):
    if details is not None and details.check_mapping is None and details.nonlinear_vma is None:
        details = None

    if addr >= end:
        BUG(735)
    while True:
        addr = zap_pte_range(tlb, vma, addr, end, details)
        if addr == end:
            return addr


def unmap_vmas(tlb, vma, start_addr, end_addr, details):
    """Returns where it has stopped, which is the end: of 1024 pages (ZAP_BLOCK_SIZE), after which the kernel looks whether it
    should make room for others, there are never so many. To see that it is done, it looks where the next vma begins. A truncation does so
    without mmap_sem, so that vma may be free by then."""
    start = start_addr
    while vma and unlocked(vma).vm_start < end_addr:
        start = max(vma.vm_start, start_addr)
        if start >= vma.vm_end:
            vma = vma.vm_next
            continue
        end = min(vma.vm_end, end_addr)
        if end <= vma.vm_start:
            vma = vma.vm_next
            continue

        while start != end:
            start = unmap_page_range(tlb, vma, start, end, details)
            BUG_ON(start != end, 826)               # zap_work > 0
            break
        vma = vma.vm_next
    # out:
    return start


def zap_page_range(vma, address, size, details):
    """Unmap a range of one vma, which its file has found, or whose mmap_sem is held."""
    mm = vma.vm_mm
    end = address + size

    lru_add_drain()
    tlb = tlb_gather_mmu(mm, 0)
    end = unmap_vmas(tlb, vma, address, end, details)
    if tlb:
        tlb_finish_mmu(tlb, address, end)
    return end


def is_restart_addr(truncate_count):
    return not truncate_count & ~PAGE_MASK


def reset_vma_truncate_counts(mapping):
    """i_mmap_lock is held."""
    entry = mapping.i_mmap.next
    while entry is not mapping.i_mmap:
        vma = list_entry(entry)
        entry = entry.next
        vma.vm_truncate_count = 0
    entry = mapping.i_mmap_nonlinear.next
    while entry is not mapping.i_mmap_nonlinear:
        vma = list_entry(entry)
        entry = entry.next
        vma.vm_truncate_count = 0


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

        vba = vma.vm_pgoff
        vea = vba + (vma.vm_end - vma.vm_start >> PAGE_SHIFT) - 1
        zba = details.first_index
        if zba < vba:
            zba = vba
        zea = details.last_index
        if zea > vea:
            zea = vea

        if unmap_mapping_range_vma(
                vma, (zba - vba << PAGE_SHIFT) + vma.vm_start, (zea - vba + 1 << PAGE_SHIFT) + vma.vm_start, details) < 0:
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
    details = current().details
    hba = holebegin >> PAGE_SHIFT
    hlen = holelen + PAGE_SIZE - 1 >> PAGE_SHIFT

    # an end beyond what a pgoff_t can say
    holeend = holebegin + holelen + PAGE_SIZE - 1 >> PAGE_SHIFT
    if holeend & ~ULONG_MAX:
        hlen = ULONG_MAX - hba + 1

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


__FILE__ = "mm/swapfile.c"


def can_share_swap_page(page):
    """mm/swapfile.c, since 2.6.13: is it mapped by us alone? The page is locked, and there is no swap cache."""
    if not PageLocked(page):
        BUG(313)
    count = page_mapcount(page)
    return count == 1


__FILE__ = "mm/memory.c"


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
            ptep_set_access_flags(vma, address, page_table, entry, 1)
            ret |= VM_FAULT_WRITE
            spin_unlock(ptl)                        # goto unlock
            return ret

    # so it must be copied
    page_cache_get(old_page)
    spin_unlock(ptl)

    anon_vma_prepare(vma)
    if old_page is empty_zero_page:
        new_page = alloc_zeroed_user_highpage(vma, address)
        if not new_page:
            page_cache_release(old_page)            # goto oom
            return VM_FAULT_OOM
    else:
        new_page = alloc_page_vma(GFP_HIGHUSER, vma, address)
        if not new_page:
            page_cache_release(old_page)            # goto oom
            return VM_FAULT_OOM
        copy_to_new_page(new_page, old_page)        # cow_user_page()

    # the lock was dropped: is it still the same pte?
    ptl = mm.page_table_lock
    page_table = pte_offset(mm, address)
    spin_lock(ptl)
    if page_table.val == orig_pte:
        page_remove_rmap(old_page)
        if not PageAnon(old_page):
            mm.file_rss -= 1
            mm.anon_rss += 1
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
    if write_access:
        # a page of our own
        anon_vma_prepare(vma)
        page = alloc_zeroed_user_highpage(vma, address)
        if not page:
            return VM_FAULT_OOM                     # goto oom

        entry = mk_pte(page, vma.vm_page_prot)
        entry = maybe_mkwrite(pte_mkdirty(entry), vma)

        ptl = mm.page_table_lock
        page_table = pte_offset(mm, address)
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

        ptl = mm.page_table_lock
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
        page_table = pte_offset(mm, address)
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
        else:
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
    pgoff = pte_to_pgoff(orig_pte)
    err = filemap_populate(vma, address & PAGE_MASK, PAGE_SIZE, vma.vm_page_prot, pgoff, 0)    # vma->vm_ops->populate
    if err == -ENOMEM:
        return VM_FAULT_OOM
    if err:
        return VM_FAULT_SIGBUS
    return VM_FAULT_MAJOR


def handle_pte_fault(mm, vma, address, pte, write_access):
    old_entry = entry = data_race(pte.val)          # read without the lock
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
        if old_entry != entry:
            ptep_set_access_flags(vma, address, pte, entry, write_access)
    # unlock:
    spin_unlock(ptl)
    return VM_FAULT_MINOR


def __handle_mm_fault(mm, vma, address, write_access):
    """mmap_sem is held for reading. Page directories are left out."""
    pte = pte_offset(mm, address)
    return handle_pte_fault(mm, vma, address, pte, write_access)


# ---- get_user_pages() --------------------------------------------------------------------------------------------------------


def follow_page(vma, address, flags):
    """Look one page up in the page table. Returns None if no page is there, or one that must not be written to."""
    page = None
    mm = vma.vm_mm
    ptl = mm.page_table_lock
    ptep = pte_offset(mm, address)
    spin_lock(ptl)
    pte = ptep.val
    if pte_present(pte):
        if not (flags & FOLL_WRITE and not pte_write(pte)):
            page = pte_page(pte)
            if flags & FOLL_GET:
                get_page(page)
            if flags & FOLL_TOUCH:
                if flags & FOLL_WRITE and not pte_dirty(pte) and not PageDirty(page):
                    set_page_dirty(page)
                mark_page_accessed(page)
    # unlock:
    spin_unlock(ptl)
    return page


def get_user_pages(mm, start, len, write, force, pages):
    """Make pages present, and append them to the list `pages` with a reference each, if there is one. mmap_sem is held. Returns how many
    they are, or an error."""
    vm_flags = VM_WRITE | VM_MAYWRITE if write else VM_READ | VM_MAYREAD
    vm_flags &= VM_MAYREAD | VM_MAYWRITE if force else VM_READ | VM_WRITE
    i = 0

    while True:
        vma = find_extend_vma(mm, start)
        if not vma or vma.vm_flags & VM_IO or not vm_flags & vma.vm_flags:
            return i or -EFAULT

        foll_flags = FOLL_TOUCH
        if pages is not None:
            foll_flags |= FOLL_GET

        while True:
            if write:
                foll_flags |= FOLL_WRITE

            cond_resched()
            while True:
                page = follow_page(vma, start, foll_flags)
                if page:
                    break
                ret = __handle_mm_fault(mm, vma, start, foll_flags & FOLL_WRITE)
                # do_wp_page() has broken COW: the page is ours to write to, whatever the pte says
                if ret & VM_FAULT_WRITE:
                    foll_flags &= ~FOLL_WRITE

                if ret & ~VM_FAULT_WRITE in (VM_FAULT_MINOR, VM_FAULT_MAJOR):
                    pass
                elif ret & ~VM_FAULT_WRITE == VM_FAULT_SIGBUS:
                    return i or -EFAULT
                elif ret & ~VM_FAULT_WRITE == VM_FAULT_OOM:
                    return i or -ENOMEM
                else:
                    BUG(1061)
            if pages is not None:
                pages.append(page)
            i += 1
            start += PAGE_SIZE
            len -= 1
            if not len or start >= vma.vm_end:
                break
        if not len:
            break
    return i
