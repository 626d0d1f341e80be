# SPDX-License-Identifier: GPL-2.0-only
"""mm/memory.c: faults, copies on write, zapping, pins; with the callers that use them (do_page_fault, ptrace, kiobufs, skbs).

The loops over page directories are gone, the loops over ptes kept where a range can have more than one.
"""
from vmrace.harness.kernel import (
    BUG,
    READ,
    TASK_RUNNING,
    __set_current_state,
    atomic_inc,
    current,
    data_race,
    down,
    down_read,
    in_interrupt,
    printk,
    spin_lock,
    spin_unlock,
    up,
    up_read,
)
from vmrace.variants.lru_free_2_4.pre_patch.filemap import (
    i_op_truncate,
    lock_page,
    mark_inode_dirty,
    mark_page_accessed,
    set_page_dirty,
    truncate_inode_pages,
    unlock_page,
    vm_ops_nopage,
)
from vmrace.variants.lru_free_2_4.pre_patch.fork import mmput
from vmrace.variants.lru_free_2_4.pre_patch.hardware import ptep_set_wrprotect
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import (
    PageReserved,
    SWP_ENTRY,
    SWP_TYPE,
    TryLockPage,
    UnlockPage,
    VALID_PAGE,
    ZERO_PAGE,
    alloc_page,
    clear_user_highpage,
    copy_user_highpage,
    get_page,
    mk_pte,
    pte_clear,
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
    pte_same,
    pte_to_swp_entry,
    pte_write,
    pte_wrprotect,
    put_page,
    set_pte,
)
from vmrace.variants.lru_free_2_4.pre_patch.mmap import find_extend_vma, find_vma
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import page_cache_get, page_cache_release
from vmrace.variants.lru_free_2_4.pre_patch.swap import lru_cache_add
from vmrace.variants.lru_free_2_4.pre_patch.swap_h import vm_swap_full
from vmrace.variants.lru_free_2_4.pre_patch.swap_state import free_page_and_swap_cache, lookup_swap_cache, read_swap_cache_async
from vmrace.variants.lru_free_2_4.pre_patch.swapfile import (
    can_share_swap_page,
    free_swap_and_cache,
    remove_exclusive_swap_page,
    swap_duplicate,
    swap_free,
    valid_swaphandles,
)
from vmrace.variants.lru_free_2_4.pre_patch.tlb_h import tlb_finish_mmu, tlb_gather_mmu, tlb_remove_page
from vmrace.variants.lru_free_2_4.types import (
    EFAULT,
    EINVAL,
    ENOMEM,
    GFP_HIGHUSER,
    NOPAGE_OOM,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    PF_MEMDIE,
    PGDIR_MASK,
    PGDIR_SIZE,
    VM_EXEC,
    VM_IO,
    VM_MAYREAD,
    VM_MAYWRITE,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
)


__FILE__ = "mm/memory.c"


def copy_cow_page(from_, to, address):
    if from_ is ZERO_PAGE(address):
        clear_user_highpage(to, address)
        return
    copy_user_highpage(to, from_, address)


def __free_pte(pte):
    """A pte is gone from a page table that no cpu uses any more: drop its reference. page_table_lock is held."""
    page = pte_page(pte)
    if not VALID_PAGE(page) or PageReserved(page):
        return
    if pte_dirty(pte):
        set_page_dirty(page)
    free_page_and_swap_cache(page)


def clear_page_tables(mm, first, nr):
    # not here: page_dir += 1: the page-table pages: see types
    # not here: page_dir += first: as above
    # not here: if nr: as above
    # not here: nr -= 1: as above
    spin_lock(mm.page_table_lock)
    spin_unlock(mm.page_table_lock)


def copy_page_range(dst, src, vma):
    """Copy a vma's ptes for a fork. dst->page_table_lock is held; src->page_table_lock is taken inside it."""
    # not here: src_pgd += 1: one page directory has all addresses
    # not here: dst_pgd += 1: as above
    # not here: if dst_pte: page tables are there: see types
    address = vma.vm_start
    end = vma.vm_end
    cow = vma.vm_flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE

    src_pte = pte_offset(src, address)
    dst_pte = pte_offset(dst, address)

    spin_lock(src.page_table_lock)
    while True:
        pte = src_pte.val

        # copy_one_pte
        if pte_none(pte):
            pass                                    # goto cont_copy_pte_range_noset
        elif not pte_present(pte):
            swap_duplicate(pte_to_swp_entry(pte))
            set_pte(dst_pte, pte)
        else:
            ptepage = pte_page(pte)
            if VALID_PAGE(ptepage) and not PageReserved(ptepage):
                # a COW mapping is write-protected in both
                if cow and pte_write(pte):
                    ptep_set_wrprotect(src_pte)
                    pte = src_pte.val

                # a shared mapping is clean in the child
                if vma.vm_flags & VM_SHARED:
                    pte = pte_mkclean(pte)
                pte = pte_mkold(pte)
                get_page(ptepage)
                dst.rss += 1
            # cont_copy_pte_range:
            set_pte(dst_pte, pte)
        address += PAGE_SIZE
        if address >= end:
            break
        src_pte = pte_offset(src, address)          # src_pte++
        dst_pte = pte_offset(dst, address)
    # out_unlock:
    spin_unlock(src.page_table_lock)
    return 0


def zap_pte_range(tlb, mm, address, size):
    # not here: offset = (address & ~PMD_MASK): one page table has all addresses
    # not here: if PMD_SIZE < (offset + size): as above
    freed = 0

    ptep = pte_offset(mm, address)
    size &= PAGE_MASK
    offset = 0
    while offset < size:
        pte = ptep.val
        if not pte_none(pte):
            if pte_present(pte):
                page = pte_page(pte)
                if VALID_PAGE(page) and not PageReserved(page):
                    freed += 1
                # frees it, at once or in tlb_finish_mmu()
                tlb_remove_page(tlb, ptep, address + offset)
            else:
                free_swap_and_cache(pte_to_swp_entry(pte))
                pte_clear(ptep)
        ptep = pte_offset(mm, address + offset + PAGE_SIZE)     # ptep++
        offset += PAGE_SIZE

    return freed


def zap_page_range(mm, address, size):
    """Remove the pages of a range. Everything under page_table_lock, the freeing too."""
    # not here: dir += 1: one page directory has all addresses
    start = address
    end = address + size
    freed = 0

    if address >= end:
        BUG(377)
    spin_lock(mm.page_table_lock)
    tlb = tlb_gather_mmu(mm)

    while True:
        freed += zap_pte_range(tlb, mm, address, end - address)     # by zap_pmd_range(): see types
        address = address + PGDIR_SIZE & PGDIR_MASK
        if not (address and address < end):
            break

    # flush, and free what was gathered
    tlb_finish_mmu(tlb, start, end)

    if mm.rss > freed:
        mm.rss -= freed
    else:
        mm.rss = 0
    spin_unlock(mm.page_table_lock)


def follow_page(mm, address, write):
    """The page that is mapped at an address, so that it can be written to if `write`. page_table_lock is held."""
    # not here: if ptep: page tables are there: see types
    ptep = pte_offset(mm, address)
    pte = ptep.val
    if pte_present(pte):
        if not write or (pte_write(pte) and pte_dirty(pte)):
            return pte_page(pte)
    # out:
    return None


def get_page_map(page):
    if not VALID_PAGE(page):
        return None
    return page


def get_user_pages(tsk, mm, start, len, write, force, pages, vmas):
    """Pin the pages of a range. mm->mmap_sem is held. Returns how many were pinned, or an error if none was.

    `pages` and `vmas` are lists to append to, or None.
    """
    # not here: if pages[0]: every frame has a struct page
    flags = VM_WRITE | VM_MAYWRITE if write else VM_READ | VM_MAYREAD
    flags &= VM_MAYREAD | VM_MAYWRITE if force else VM_READ | VM_WRITE
    i = 0

    while True:
        vma = find_extend_vma(mm, start)

        if not vma or (pages is not None and vma.vm_flags & VM_IO) or not flags & vma.vm_flags:
            return i or -EFAULT

        spin_lock(mm.page_table_lock)
        while True:
            while True:
                map = follow_page(mm, start, write)
                if map:
                    break
                spin_unlock(mm.page_table_lock)
                fault = handle_mm_fault(mm, vma, start, write)
                if fault in (1, 2):
                    pass                            # tsk->min_flt++, tsk->maj_flt++
                elif fault == 0:
                    return i or -EFAULT
                else:
                    return i or -ENOMEM
                spin_lock(mm.page_table_lock)
            if pages is not None:
                pages.append(get_page_map(map))
                page_cache_get(pages[i])
            if vmas is not None:
                vmas.append(vma)
            i += 1
            start += PAGE_SIZE
            len -= 1
            if not (len and start < vma.vm_end):
                break
        spin_unlock(mm.page_table_lock)
        if not len:
            break
    # out:
    return i


def map_user_kiobuf(rw, iobuf, va, len):
    """Pin a range of current's memory. rw == READ is a read from a device: it will write to the memory."""
    # not here: maplist: a value that is stored when it is complete. Till then the iobuf is the caller's alone
    # only here: iobuf.maplist = tuple(): as above
    # only here: tuple(): as above
    # not if it is mapped already
    if iobuf.nr_pages:
        return -EINVAL

    mm = current().mm

    pgcount = (va + len + PAGE_SIZE - 1) // PAGE_SIZE - va // PAGE_SIZE
    if not pgcount:
        BUG(551)
    iobuf.locked = 0
    iobuf.offset = va & PAGE_SIZE - 1
    iobuf.length = len

    # fault them in
    maplist = []
    down_read(mm.mmap_sem)
    err = get_user_pages(current(), mm, va, pgcount, rw == READ, 0, maplist, None)
    up_read(mm.mmap_sem)
    if err < 0:
        unmap_kiobuf(iobuf)
        return err
    iobuf.maplist = tuple(maplist)
    iobuf.nr_pages = err
    return 0


def mark_dirty_kiobuf(iobuf, bytes):
    """After a device has written to the pages. Process context only."""
    index = iobuf.offset >> PAGE_SHIFT
    offset = iobuf.offset & ~PAGE_MASK
    remaining = bytes
    if remaining > iobuf.length:
        remaining = iobuf.length

    while remaining > 0 and index < iobuf.nr_pages:
        page = iobuf.maplist[index]

        if not PageReserved(page):
            set_page_dirty(page)

        remaining -= PAGE_SIZE - offset
        offset = 0
        index += 1


def unmap_kiobuf(iobuf):
    """Drop the pins. Any context in practice; meant for process context (seed 003)."""
    for i in range(iobuf.nr_pages):
        map = iobuf.maplist[i]
        if map:
            if iobuf.locked:
                UnlockPage(map)
            page_cache_release(map)

    iobuf.nr_pages = 0
    iobuf.locked = 0


def establish_pte(vma, address, page_table, entry):
    """page_table_lock is held."""
    set_pte(page_table, entry)                      # flush_tlb_page(vma, address)


def break_cow(vma, new_page, address, page_table):
    """page_table_lock is held."""
    establish_pte(vma, address, page_table, pte_mkwrite(pte_mkdirty(mk_pte(new_page, vma.vm_page_prot))))


def do_wp_page(mm, vma, address, page_table, pte):
    """A write to a present, write-protected page. page_table_lock is held on entry and not on exit."""
    old_page = pte_page(pte)
    if not VALID_PAGE(old_page):
        # bad_wp_page:
        spin_unlock(mm.page_table_lock)
        printk("do_wp_page: bogus page")
        return -1

    if not TryLockPage(old_page):
        reuse = can_share_swap_page(old_page)
        unlock_page(old_page)
        if reuse:
            establish_pte(vma, address, page_table, pte_mkyoung(pte_mkdirty(pte_mkwrite(pte))))
            spin_unlock(mm.page_table_lock)
            return 1                                # minor fault

    # so it must be copied
    page_cache_get(old_page)
    spin_unlock(mm.page_table_lock)

    new_page = alloc_page(GFP_HIGHUSER)
    if not new_page:
        # no_mem:
        page_cache_release(old_page)
        return -1
    copy_cow_page(old_page, new_page, address)

    # the lock was dropped: is it still the same pte?
    spin_lock(mm.page_table_lock)
    if pte_same(page_table.val, pte):
        if PageReserved(old_page):
            mm.rss += 1
        break_cow(vma, new_page, address, page_table)
        lru_cache_add(new_page)

        # the pte's reference to the old page
        new_page = old_page
    spin_unlock(mm.page_table_lock)
    page_cache_release(new_page)
    page_cache_release(old_page)
    return 1                                        # minor fault


def vmtruncate_list(mpnt, pgoff):
    """mapping->i_shared_lock is held."""
    while True:
        mm = mpnt.vm_mm
        start = mpnt.vm_start
        end = mpnt.vm_end
        len = end - start

        # wholly truncated?
        if mpnt.vm_pgoff >= pgoff:
            zap_page_range(mm, start, len)
        else:
            # wholly unaffected?
            len = len >> PAGE_SHIFT
            diff = pgoff - mpnt.vm_pgoff
            if diff < len:
                # partly
                start += diff << PAGE_SHIFT
                len = len - diff << PAGE_SHIFT
                zap_page_range(mm, start, len)
        mpnt = mpnt.vm_next_share
        if mpnt is None:
            break


def vmtruncate(inode, offset):
    """Set a file's size, and take the pages beyond it from all mappings and from the page cache."""
    mapping = inode.i_mapping

    if inode.i_size < offset:
        # do_expand:
        inode.i_size = offset
    else:
        inode.i_size = offset
        spin_lock(mapping.i_shared_lock)
        if mapping.i_mmap.vm_next_share is not None or mapping.i_mmap_shared.vm_next_share is not None:
            pgoff = offset + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
            if mapping.i_mmap.vm_next_share is not None:
                vmtruncate_list(mapping.i_mmap.vm_next_share, pgoff)
            if mapping.i_mmap_shared.vm_next_share is not None:
                vmtruncate_list(mapping.i_mmap_shared.vm_next_share, pgoff)

        # out_unlock:
        spin_unlock(mapping.i_shared_lock)
        truncate_inode_pages(mapping, offset)

    # out_truncate:
    i_op_truncate(inode)                            # inode->i_op->truncate
    return 0


def swapin_readahead(entry):
    """Read the aligned group of slots the entry is in, so far as they are in use."""
    num, offset = valid_swaphandles(entry)
    for i in range(num):
        new_page = read_swap_cache_async(SWP_ENTRY(SWP_TYPE(entry), offset))
        if not new_page:
            break
        page_cache_release(new_page)
        offset += 1


def do_swap_page(mm, vma, address, page_table, orig_pte, write_access):
    """A fault on a swapped-out page. page_table_lock is held on entry and not on exit."""
    entry = pte_to_swp_entry(orig_pte)
    ret = 1

    spin_unlock(mm.page_table_lock)
    page = lookup_swap_cache(entry)
    if not page:
        swapin_readahead(entry)
        page = read_swap_cache_async(entry)
        if not page:
            # no memory, unless somebody else was faster
            spin_lock(mm.page_table_lock)
            retval = -1 if pte_same(page_table.val, orig_pte) else 1
            spin_unlock(mm.page_table_lock)
            return retval

        # read from disk: a major fault
        ret = 2

    mark_page_accessed(page)

    lock_page(page)

    # did somebody else fault it in while the lock was dropped?
    spin_lock(mm.page_table_lock)
    if not pte_same(page_table.val, orig_pte):
        spin_unlock(mm.page_table_lock)
        unlock_page(page)
        page_cache_release(page)
        return 1

    # no: go ahead

    swap_free(entry)
    if vm_swap_full():
        remove_exclusive_swap_page(page)

    mm.rss += 1
    pte = mk_pte(page, vma.vm_page_prot)
    if write_access and can_share_swap_page(page):
        pte = pte_mkdirty(pte_mkwrite(pte))
    unlock_page(page)

    set_pte(page_table, pte)

    spin_unlock(mm.page_table_lock)
    return ret


def do_anonymous_page(mm, vma, page_table, write_access, addr):
    """First touch of anonymous memory. page_table_lock is held on entry and not on exit."""
    # a read gets the zero page
    entry = pte_wrprotect(mk_pte(ZERO_PAGE(addr), vma.vm_page_prot))

    # a write gets a page of its own
    if write_access:
        spin_unlock(mm.page_table_lock)

        page = alloc_page(GFP_HIGHUSER)
        if not page:
            return -1                               # goto no_mem
        clear_user_highpage(page, addr)

        spin_lock(mm.page_table_lock)
        if not pte_none(page_table.val):
            page_cache_release(page)
            spin_unlock(mm.page_table_lock)
            return 1
        mm.rss += 1
        entry = pte_mkwrite(pte_mkdirty(mk_pte(page, vma.vm_page_prot)))
        lru_cache_add(page)
        mark_page_accessed(page)

    set_pte(page_table, entry)

    spin_unlock(mm.page_table_lock)
    return 1                                        # minor fault


def do_no_page(mm, vma, address, write_access, page_table):
    """A fault where there was nothing. page_table_lock is held on entry and not on exit."""
    # not here: if vma.vm_ops.nopage: a file's has one
    if not vma.vm_ops:
        return do_anonymous_page(mm, vma, page_table, write_access, address)
    spin_unlock(mm.page_table_lock)

    new_page = vm_ops_nopage(vma, address & PAGE_MASK, 0)       # vma->vm_ops->nopage

    if new_page is None:                            # no such page: SIGBUS
        return 0
    if new_page == NOPAGE_OOM:
        return -1

    # a write to a private mapping: copy it now and not at the next fault
    if write_access and not vma.vm_flags & VM_SHARED:
        page = alloc_page(GFP_HIGHUSER)
        if not page:
            page_cache_release(new_page)
            return -1
        copy_user_highpage(page, new_page, address)
        page_cache_release(new_page)
        lru_cache_add(page)
        new_page = page

    spin_lock(mm.page_table_lock)
    # only if nobody else was faster
    if pte_none(page_table.val):
        mm.rss += 1
        entry = mk_pte(new_page, vma.vm_page_prot)
        if write_access:
            entry = pte_mkwrite(pte_mkdirty(entry))
        set_pte(page_table, entry)
    else:
        # a sibling thread was
        page_cache_release(new_page)
        spin_unlock(mm.page_table_lock)
        return 1

    spin_unlock(mm.page_table_lock)
    return 2                                        # major fault


def handle_pte_fault(mm, vma, address, write_access, pte):
    """page_table_lock is held on entry and not on exit."""
    entry = pte.val
    if not pte_present(entry):
        if pte_none(entry):
            return do_no_page(mm, vma, address, write_access, pte)
        return do_swap_page(mm, vma, address, pte, entry, write_access)

    if write_access:
        if not pte_write(entry):
            return do_wp_page(mm, vma, address, pte, entry)

        entry = pte_mkdirty(entry)
    entry = pte_mkyoung(entry)
    establish_pte(vma, address, pte, entry)
    spin_unlock(mm.page_table_lock)
    return 1


def handle_mm_fault(mm, vma, address, write_access):
    """mm->mmap_sem is held. 1 minor fault, 2 major fault, 0 no such page, -1 out of memory."""
    # not here: if pte_offset(): pmd_alloc() and pte_alloc() find what they look for
    __set_current_state(TASK_RUNNING)

    spin_lock(mm.page_table_lock)
    return handle_pte_fault(mm, vma, address, write_access, pte_offset(mm, address))


__FILE__ = "arch/i386/mm/fault.c"


def do_page_fault(address, write_access):
    """A user access of current's has faulted. Returns None, or the name of the signal that it gets.

    It was in user mode, and no read of a present page: those do not fault here.
    """
    # not here: if regs.eflags & X86_EFLAGS_IF: a user has interrupts on
    # not here: if address < TASK_SIZE: an address of the user's
    # not here: info: what the signal says
    # not here: tsk.thread.cr2 = address: as above
    # not here: tsk.thread.error_code = write_access: as above
    # not here: tsk.thread.trap_no = 14: as above
    # not here: if vma.vm_flags & VM_GROWSDOWN: stacks
    # not here: if search_exception_table(): no code here runs without an mm, or in an interrupt, when it faults
    # not here: regs.eip = search_exception_table(): as above
    # not here: search_exception_table(regs.eip): as above
    # not here: force_sig_info(SIGBUS, out(info), tsk): the caller is told
    # not here: force_sig_info(SIGSEGV, out(info), tsk): as above
    # not here: printk: the caller is told
    # not here: do_exit(SIGKILL): as force_sig_info()
    # only here: if tsk.flags & PF_MEMDIE: a signal from oom_kill(), taken before the instruction is restarted
    tsk = current()
    mm = tsk.mm
    if in_interrupt() or not mm:
        return "SIGKILL"                            # no_context: user code does not run here

    down_read(mm.mmap_sem)

    vma = find_vma(mm, address)
    bad_area = not vma or vma.vm_start > address
    write = 0
    if not bad_area:
        # good_area:
        if write_access:
            bad_area = not vma.vm_flags & VM_WRITE
            if not bad_area:
                write += 1
        else:
            bad_area = not vma.vm_flags & (VM_READ | VM_EXEC)
    if bad_area:
        up_read(mm.mmap_sem)
        return "SIGSEGV"

    fault = handle_mm_fault(mm, vma, address, write)
    if fault in (1, 2):
        up_read(mm.mmap_sem)
        if tsk.flags & PF_MEMDIE:
            return "SIGKILL"
        return None
    if fault == 0:
        # do_sigbus:
        up_read(mm.mmap_sem)
        return "SIGBUS"
    # out_of_memory:
    up_read(mm.mmap_sem)
    return "SIGKILL"                                # do_exit(SIGKILL)


__FILE__ = "kernel/ptrace.c"


def access_process_vm(mm, addr, words, write):
    """Read or write both words of another process's page, whatever its ptes allow. Unpins with put_page().

    The kernel finds `mm` in a task, under that task's lock; here the caller must know that it has a user. Returns the words, or None.
    """
    # not here: task_lock(tsk): as above
    # not here: task_unlock(tsk): as above
    # not here: mm = tsk.mm: as above
    # not here: if mm: as above
    # not here: if len: both words are in one page
    # not here: memcpy((0 + (addr & (PAGE_SIZE - 1))), buf, len): as above
    # not here: memcpy(buf, (0 + (addr & (PAGE_SIZE - 1))), len): as above
    # only here: page = [0]: as above
    # only here: return (buf - buf): as above
    # not here: get_user_pages(current, mm, addr, 1, write, 1, out(page), out(vma)): get_user_pages() returns the page in a list
    atomic_inc(mm.mm_users)

    down_read(mm.mmap_sem)
    pages = []
    ret = get_user_pages(current(), mm, addr, 1, write, 1, pages, None)
    if ret <= 0:
        words = None
    else:
        page = pages[0]
        if write:
            page.word0, page.word1 = words
        else:
            words = (data_race(page.word0), data_race(page.word1))
        put_page(page)
    up_read(mm.mmap_sem)
    mmput(mm)

    return words


__FILE__ = "net/core/skbuff.c"


def skb_release_data(iobuf):
    """The last reference to an skb is gone, often in an interrupt: drop its frags' pages, here those that a kiobuf pins."""
    # not here: if iobuf.cloned: each skb is its only user
    # not here: if iobuf.nr_pages: the loop's own test
    # not here: if skb_shinfo().frag_list: frags are all the skb has
    # not here: skb_shinfo(iobuf): as above
    # not here: kfree(iobuf.head): as above
    # only here: iobuf.nr_pages = 0: the iobuf is free again
    for i in range(iobuf.nr_pages):
        put_page(iobuf.maplist[i])
    iobuf.nr_pages = 0


__FILE__ = "fs/open.c"


def do_truncate(inode, length):
    """As far as notify_change() and inode_setattr() lead to vmtruncate(). `length` is a whole number of pages."""
    # not here: if length < 0: a size is not negative
    # not here: inode = dentry.d_inode: a parameter
    down(inode.i_sem)
    error = vmtruncate(inode, length)
    if not error:
        mark_inode_dirty(inode)
    up(inode.i_sem)
    return error


__FILE__ = "mm/memory.c"


def make_pages_present(addr, end):
    """Fault in a range of current's memory that is to stay there. mmap_sem is held."""
    vma = find_vma(current().mm, addr)
    write = vma.vm_flags & VM_WRITE != 0
    if addr >= end:
        BUG(1468)
    if end > vma.vm_end:
        BUG(1470)
    len = (end + PAGE_SIZE - 1) // PAGE_SIZE - addr // PAGE_SIZE
    ret = get_user_pages(current(), current().mm, addr, len, write, 0, None, None)
    return 0 if ret == len else -1
