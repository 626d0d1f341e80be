# SPDX-License-Identifier: GPL-2.0-only
"""mm/memory.c: faults, fork's copy of page tables, unmapping, get_user_pages(). A vma is one page, so each loop over the ptes of a vma is
one turn. `ptl` is mm->page_table_lock: see types. Every page here is anonymous: the arms for pages of files are left out.
"""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    CONFIG_SMP,
    WRITE,
    current,
    data_race,
    down_read,
    list_add,
    spin_lock,
    spin_unlock,
    touches,
    up_read,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.fork import get_task_mm, mmput
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.migrate import migration_entry_wait
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageAnon,
    PageDirty,
    PageUptodate,
    TestSetPageLocked,
    __SetPageUptodate,
    alloc_page_vma,
    alloc_zeroed_user_highpage_movable,
    get_page,
    lock_page,
    mk_pte,
    mmlist_empty,
    page_cache_get,
    page_cache_release,
    pte_dirty,
    pte_mkdirty,
    pte_mkold,
    pte_mkwrite,
    pte_mkyoung,
    pte_none,
    pte_offset,
    pte_page,
    pte_present,
    pte_same,
    pte_write,
    pte_wrprotect,
    ptep_get_and_clear,
    ptep_set_access_flags,
    ptep_set_wrprotect,
    set_pte_at,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mmap import find_extend_vma
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_alloc import cond_resched
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_writeback import set_page_dirty, set_page_dirty_lock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import (
    anon_vma_prepare,
    page_add_anon_rmap,
    page_add_new_anon_rmap,
    page_dup_rmap,
    page_remove_rmap,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import lru_add_drain, lru_cache_add_active, mark_page_accessed
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_h import vm_swap_full
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_state import (
    free_page_and_swap_cache,
    free_pages_and_swap_cache,
    lookup_swap_cache,
    swapin_readahead,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import (
    can_share_swap_page,
    free_swap_and_cache,
    remove_exclusive_swap_page,
    swap_duplicate,
    swap_free,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import (
    is_migration_entry,
    is_write_migration_entry,
    make_migration_entry_read,
    pte_to_swp_entry,
    swp_entry_to_pte,
)
from vmrace.variants.cow_swap_2_6.types import (
    EFAULT,
    ENOMEM,
    FOLL_ANON,
    FOLL_GET,
    FOLL_TOUCH,
    FOLL_WRITE,
    GFP_HIGHUSER_MOVABLE,
    PAGE_SIZE,
    PF_MEMDIE,
    VM_FAULT_ERROR,
    VM_FAULT_MAJOR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_FAULT_WRITE,
    VM_IO,
    VM_LOCKED,
    VM_MAYREAD,
    VM_MAYWRITE,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    empty_zero_page,
    init_mm,
    mmlist_lock,
)
from vmrace.variants.mmu import copy_to_new_page, device_write

# ---- asm-generic/tlb.h: the pages of a zap are freed when the flush is over, or at once on one cpu (tlb_fast_mode()) ------------

__FILE__ = "include/asm-generic/tlb.h"


def tlb_gather_mmu(mm, full_mm_flush):
    tlb = current().tlb
    tlb.mm = mm
    tlb.pages = ()
    tlb.fullmm = full_mm_flush
    return tlb


def tlb_flush_mmu(tlb):
    if not tlb.need_flush:
        return
    tlb.need_flush = 0
    if CONFIG_SMP:
        pages, tlb.pages = tlb.pages, ()
        free_pages_and_swap_cache(pages, len(pages))


def tlb_remove_page(tlb, page):
    """The batch of 506 pages is never full."""
    tlb.need_flush = 1
    if not CONFIG_SMP:
        free_page_and_swap_cache(page)
        return
    tlb.pages += (page,)


def tlb_finish_mmu(tlb, start, end):
    tlb_flush_mmu(tlb)
    tlb.mm = None


__FILE__ = "mm/memory.c"


# ---- fork ----------------------------------------------------------------------------------------------------------------


def add_mm_rss(mm, file_rss, anon_rss):
    if anon_rss:
        mm.anon_rss += anon_rss


def is_cow_mapping(flags):
    return flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE


def copy_one_pte(dst_mm, src_mm, dst_pte, src_pte, vma, addr, rss):
    """Both page table locks are held."""
    vm_flags = vma.vm_flags
    pte = src_pte.val

    # a place in swap: copy it
    if not pte_present(pte):
        entry = pte_to_swp_entry(pte)

        swap_duplicate(entry)
        # swapoff looks at the mms of mmlist
        if mmlist_empty(dst_mm):
            spin_lock(mmlist_lock)
            if mmlist_empty(dst_mm):
                list_add(dst_mm.mmlist, src_mm.mmlist)
                touches(WRITE, init_mm.mmlist)      # for mmlist_empty(), which looks without the lock
            spin_unlock(mmlist_lock)
        if is_write_migration_entry(entry) and is_cow_mapping(vm_flags):
            # a COW mapping is made read-only in both
            entry = make_migration_entry_read(entry)
            pte = swp_entry_to_pte(entry)
            set_pte_at(src_mm, addr, src_pte, pte)
        # goto out_set_pte
    else:
        # a COW mapping is write protected in both
        if is_cow_mapping(vm_flags):
            ptep_set_wrprotect(src_pte)
            pte = pte_wrprotect(pte)

        # left out: a shared mapping is clean in the child
        pte = pte_mkold(pte)

        page = pte_page(pte)                        # vm_normal_page()
        get_page(page)
        page_dup_rmap(page, vma, addr)
        rss[bool(PageAnon(page))] += 1

    # out_set_pte:
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

    # nothing was ever mapped here
    if not vma.anon_vma:
        return 0

    if copy_pte_range(dst_mm, src_mm, vma, addr, end):
        return -ENOMEM
    return 0


# ---- unmapping -------------------------------------------------------------------------------------------------------------


def zap_pte_range(tlb, vma, addr, end):
    """No caller here has details, by which it would ask for the pages of one file only."""
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
                ptent = ptep_get_and_clear(pte)     # and tlb_remove_tlb_entry()
                if PageAnon(page):
                    anon_rss -= 1
                page_remove_rmap(page, vma)
                tlb_remove_page(tlb, page)
            else:
                free_swap_and_cache(pte_to_swp_entry(ptent))
                set_pte_at(mm, addr, pte, None)     # pte_clear_not_present_full()
        addr += PAGE_SIZE
        if addr == end:
            break

    add_mm_rss(mm, file_rss, anon_rss)
    spin_unlock(ptl)

    return addr


def unmap_page_range(tlb, vma, addr, end):
    BUG_ON(addr >= end, 820)
    while True:
        addr = zap_pte_range(tlb, vma, addr, end)
        if addr == end:
            return addr


def unmap_vmas(tlb, vma, start_addr, end_addr):
    """Returns where it has stopped, which is the end: of 1024 pages (ZAP_BLOCK_SIZE), after which the kernel looks whether it
    should make room for others, there are never so many."""
    start = start_addr
    while vma and vma.vm_start < end_addr:
        start = max(vma.vm_start, start_addr)
        if start < vma.vm_end:
            end = min(vma.vm_end, end_addr)
            if end > vma.vm_start:
                while start != end:
                    start = unmap_page_range(tlb, vma, start, end)
                    # zap_work is left
                    BUG_ON(start != end, 911)
                    break
        vma = vma.vm_next
    return start


def zap_page_range(vma, address, size):
    """Unmap a range of one vma. mmap_sem is held, for reading at least."""
    mm = vma.vm_mm
    end = address + size

    lru_add_drain()
    tlb = tlb_gather_mmu(mm, 0)
    end = unmap_vmas(tlb, vma, address, end)
    tlb_finish_mmu(tlb, address, end)
    return end


# ---- get_user_pages() --------------------------------------------------------------------------------------------------------


def follow_page(vma, address, flags):
    """Look one page up in the page table. Returns None if no page is there, or one that must not be written to."""
    mm = vma.vm_mm
    page = None
    ptl = mm.page_table_lock
    ptep = pte_offset(mm, address)
    spin_lock(ptl)

    pte = ptep.val
    if pte_present(pte):
        if not (flags & FOLL_WRITE and not pte_write(pte)):
            page = pte_page(pte)                    # vm_normal_page()
            if flags & FOLL_GET:
                get_page(page)
            if flags & FOLL_TOUCH:
                if flags & FOLL_WRITE and not pte_dirty(pte) and not PageDirty(page):
                    set_page_dirty(page)
                mark_page_accessed(page)
        # unlock:
        spin_unlock(ptl)
        return page

    # no_page:
    spin_unlock(ptl)
    if not pte_none(pte):
        return page
    # no_page_table: nobody has touched the page so far, and whoever only reads need not
    if flags & FOLL_ANON:
        page = empty_zero_page
        if flags & FOLL_GET:
            get_page(page)
        BUG_ON(flags & FOLL_WRITE, 1043)
    return page


def use_zero_page(vma):
    """True if follow_page() may answer with the zero page."""
    if vma.vm_flags & (VM_LOCKED | VM_SHARED):
        return 0
    return 1                                        # no vma has vm_ops


def get_user_pages(tsk, mm, start, len, write, force, pages):
    """Make pages present, and append them to the list `pages` with a reference each, if there is one. mmap_sem is held. Returns how many
    they are, or an error."""
    if len <= 0:
        return 0
    # with force, only the MAY flags are needed
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
        if not write and use_zero_page(vma):
            foll_flags |= FOLL_ANON

        while True:
            # a victim of the lack of memory gets no more of it
            if tsk.flags & PF_MEMDIE:
                return i or -ENOMEM

            if write:
                foll_flags |= FOLL_WRITE

            cond_resched()
            while True:
                page = follow_page(vma, start, foll_flags)
                if page:
                    break
                ret = handle_mm_fault(mm, vma, start, foll_flags & FOLL_WRITE)
                if ret & VM_FAULT_ERROR:
                    if ret & VM_FAULT_OOM:
                        return i or -ENOMEM
                    elif ret & VM_FAULT_SIGBUS:
                        return i or -EFAULT
                    BUG(1169)
                # VM_FAULT_WRITE: do_wp_page() has broken COW, even if maybe_mkwrite() has left the pte read-only.
                # So it is safe to look the page up as for a read from now on.
                if ret & VM_FAULT_WRITE:
                    foll_flags &= ~FOLL_WRITE

                cond_resched()
            if pages is not None:
                pages.append(page)
            i += 1
            start += PAGE_SIZE
            len -= 1
            if not (len and start < vma.vm_end):
                break
        if not len:
            break
    return i


# ---- faults ------------------------------------------------------------------------------------------------------------------


def maybe_mkwrite(pte, vma):
    """get_user_pages() can cause a write fault in a mapping that does not allow writes."""
    if vma.vm_flags & VM_WRITE:
        pte = pte_mkwrite(pte)
    return pte


def do_wp_page(mm, vma, address, page_table, ptl, orig_pte):
    """A write to a present, write-protected page. mmap_sem is held for reading. ptl is held on entry and not on exit."""
    reuse = 0
    ret = 0

    old_page = pte_page(orig_pte)                   # vm_normal_page()

    if PageAnon(old_page):
        if not TestSetPageLocked(old_page):
            reuse = can_share_swap_page(old_page)
            unlock_page(old_page)

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


def wp_page_copy(mm, vma, address, page_table, ptl, orig_pte, old_page):
    """The second half of do_wp_page() (a function of its own from 4.1 on, Shachar Raindel, Apr 2015). ptl is held on entry and not on
    exit."""
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
        entry = mk_pte(new_page, vma.vm_page_prot)
        entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        # Clear the pte and flush it before it is set: one thread may modify code that another executes.
        ptep_get_and_clear(page_table)              # ptep_clear_flush()
        set_pte_at(mm, address, page_table, entry)
        lru_cache_add_active(new_page)
        page_add_new_anon_rmap(new_page, vma, address)

        # Only after the pte was switched may the mapcount go down. Otherwise another process may come, find it
        # decremented, and write to the old page, which our other threads can still read through this pte.
        page_remove_rmap(old_page, vma)

        # free the old page
        new_page = old_page
        ret |= VM_FAULT_WRITE

    page_cache_release(new_page)
    page_cache_release(old_page)
    # unlock:
    spin_unlock(ptl)
    return ret


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
    if write_access and can_share_swap_page(page):
        pte = maybe_mkwrite(pte_mkdirty(pte), vma)
        write_access = 0

    set_pte_at(mm, address, page_table, pte)
    page_add_anon_rmap(page, vma, address)

    swap_free(entry)
    if vm_swap_full():
        remove_exclusive_swap_page(page)
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


def do_anonymous_page(mm, vma, address, page_table, write_access):
    """A fault on an address where nothing is mapped yet."""
    # a page of our own
    if anon_vma_prepare(vma):
        return VM_FAULT_OOM                         # goto oom
    page = alloc_zeroed_user_highpage_movable(vma, address)
    if not page:
        return VM_FAULT_OOM                         # goto oom
    __SetPageUptodate(page)

    entry = mk_pte(page, vma.vm_page_prot)
    entry = maybe_mkwrite(pte_mkdirty(entry), vma)

    ptl = mm.page_table_lock
    page_table = pte_offset(mm, address)
    spin_lock(ptl)
    if not pte_none(page_table.val):
        page_cache_release(page)                    # goto release
        spin_unlock(ptl)
        return 0
    mm.anon_rss += 1
    lru_cache_add_active(page)
    page_add_new_anon_rmap(page, vma, address)
    set_pte_at(mm, address, page_table, entry)

    # unlock:
    spin_unlock(ptl)
    return 0


# only here: current.refused = '': the model forgets which function had a page lock in an earlier fault of the task, for a title
def handle_pte_fault(mm, vma, address, pte, write_access):
    """The pte is read without its lock: whoever acts on it looks again under the lock."""
    current().refused = ""
    entry = data_race(pte.val)
    if not pte_present(entry):
        if pte_none(entry):
            return do_anonymous_page(mm, vma, address, pte, write_access)
        return do_swap_page(mm, vma, address, pte, write_access, entry)

    ptl = mm.page_table_lock
    spin_lock(ptl)
    if pte_same(pte.val, entry):
        if write_access:
            if not pte_write(entry):
                return do_wp_page(mm, vma, address, pte, ptl, entry)
            entry = pte_mkdirty(entry)
        entry = pte_mkyoung(entry)
        ptep_set_access_flags(vma, address, pte, entry, write_access)
    # unlock:
    spin_unlock(ptl)
    return 0


def handle_mm_fault(mm, vma, address, write_access):
    """mmap_sem is held for reading. Page directories are left out."""
    pte = pte_offset(mm, address)
    return handle_pte_fault(mm, vma, address, pte, write_access)


# ---- ptrace ------------------------------------------------------------------------------------------------------------------


def access_process_vm(tsk, addr, value, len, write):
    """Write `value` into a page of another process. Returns how many bytes were written. No operation reads."""
    total = 0

    mm = get_task_mm(tsk)
    if not mm:
        return 0

    down_read(mm.mmap_sem)
    while len:
        pages = []
        ret = get_user_pages(tsk, mm, addr, 1, write, 1, pages)
        if ret <= 0:
            break
        page = pages[0]

        bytes = PAGE_SIZE

        device_write(page, value)                   # copy_to_user_page()
        set_page_dirty_lock(page)
        page_cache_release(page)
        len -= bytes
        total += bytes
        addr += bytes
    up_read(mm.mmap_sem)
    mmput(mm)

    return total
