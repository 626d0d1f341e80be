# SPDX-License-Identifier: GPL-2.0-only
"""Nick Piggin, 19 Jul 2007, in 2.6.23-rc1: one operation, fault, where there were nopage and populate.

Commit 54cb8821de07, "mm: merge populate and nopage into fault (fixes nonlinear)", over nick_lock_page, and so over 2.6.15; read beside its
tree. A nonlinear fault now goes the way of a linear one, and so maps its page under the page lock; remap_file_pages() only says in the page
table which page belongs there, and lets faults do the rest.

The patch newly calls make_pages_present(), which the base has not, as much of it as one page takes; it and get_user_pages() are of
2.6.22, as which the patch leaves them but for one condition.

The lines of BUG_ON() are those of the tree of the commit. A struct fault_data is here two arguments and a pair, (page, type).
"""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    current,
    data_race,
    down_read,
    down_write,
    downgrade_write,
    likely,
    list_add_tail,
    list_del,
    need_resched,
    spin_lock,
    spin_unlock,
    unlikely,
    up_read,
    up_write,
)
from vmrace.variants.invalidate_2_6.nick_lock_page import VM_CAN_INVALIDATE
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import ext2_readpage
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import find_lock_page, page_cache_read, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.fremap import install_file_pte
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import (
    __handle_mm_fault,
    follow_page,
    do_anonymous_page,
    do_wp_page,
    is_restart_addr,
    maybe_mkwrite,
    need_lockbreak,
    zap_page_range,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageError,
    PageLocked,
    PageUptodate,
    alloc_page_vma,
    i_size_read,
    linear_page_index,
    lock_page,
    mk_pte,
    page_cache_release,
    pte_mkdirty,
    pte_mkyoung,
    pte_none,
    pte_offset,
    pte_page,
    pte_present,
    pte_to_pgoff,
    pte_write,
    ptep_set_access_flags,
    set_pte_at,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import find_extend_vma, find_vma
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import anon_vma_prepare, page_add_anon_rmap, page_add_file_rmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_cache_add_active, mark_page_accessed
from vmrace.variants.invalidate_2_6.types import (
    EFAULT,
    EINTR,
    EINVAL,
    ENOMEM,
    FOLL_GET,
    FOLL_TOUCH,
    FOLL_WRITE,
    GFP_HIGHUSER,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
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
    generic_file_vm_ops,
)
from vmrace.variants.mmu import copy_to_new_page

# ---- Documentation, fs/gfs2, fs/ncpfs, fs/ocfs2, fs/xfs, ipc/shm.c -------------------------------------------------------------
# Left out: other users of the operation.


# ---- include/linux/mm.h --------------------------------------------------------------------------------------------------------
VM_CAN_NONLINEAR = 0x10000000

FAULT_FLAG_WRITE = 0x01
FAULT_FLAG_NONLINEAR = 0x02


# ---- mm/filemap.c, filemap_nopage() becomes filemap_fault(); generic_file_mmap() -----------------------------------------------
# Left out: filemap_nopage() and filemap_populate() as they stay for modules; nothing in the tree calls them.
__FILE__ = "mm/filemap.c"


# not here: if error == AOP_TRUNCATED_PAGE: of 2.6.16; ext2 never returns it
# not here: file.f_ra.mmap_miss += 1: readahead is switched off
# not here: if (file.f_ra.mmap_hit + MMAP_LOTSAMISS) < file.f_ra.mmap_miss: as above
# not here: file.f_ra.mmap_hit += 1: readahead is switched off
def filemap_fault(vma, pgoff, flags):
    """(page, type): the page locked and with a reference; None with the type of the error.

    A page that is beyond the end of the file by the time it is locked keeps the reference. The patch and 2.6.23-rc1 to -rc9 do that;
    745ad48e8cac drops the reference before 2.6.23.
    """
    file = vma.vm_file
    mapping = file.f_mapping
    inode = mapping.host
    type = VM_FAULT_MINOR

    BUG_ON(not vma.vm_flags & VM_CAN_INVALIDATE, 1328)

    size = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
    if pgoff >= size:
        return None, VM_FAULT_SIGBUS                # outside_data_content: the faulting task is no ptracer

    while True:
        # retry_find:
        page = find_lock_page(mapping, pgoff)
        if not page:
            type = VM_FAULT_MAJOR
            # left out: do_page_cache_readahead(), of no pages
            page = find_lock_page(mapping, pgoff)
        if not page:
            # no_cached_page:
            error = page_cache_read(file, pgoff)
            if error >= 0:
                continue                            # it may have been removed in the meantime
            if error == -ENOMEM:
                return None, VM_FAULT_OOM
            return None, VM_FAULT_SIGBUS

        # Whoever locks a page that is being read waits for it, so this would be an error.
        if unlikely(not PageUptodate(page)):
            # page_not_uptodate:
            type = VM_FAULT_MAJOR
            ClearPageError(page)
            error = ext2_readpage(file, page)       # unlocks it
            page_cache_release(page)
            if not error:
                continue                            # goto retry_find
            return None, VM_FAULT_SIGBUS

        # the size again, under the page lock
        size = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
        if unlikely(pgoff >= size):
            unlock_page(page)
            return None, VM_FAULT_SIGBUS            # goto outside_data_content

        mark_page_accessed(page)
        return page, type


def generic_file_mmap(file, vma):
    vma.vm_ops = generic_file_vm_ops                # its fault is filemap_fault()
    vma.vm_flags |= VM_CAN_INVALIDATE | VM_CAN_NONLINEAR
    return 0


# ---- mm/filemap_xip.c ----------------------------------------------------------------------------------------------------------
# Left out: no file here is executed in place.


# ---- mm/fremap.c, populate_range() and sys_remap_file_pages() ------------------------------------------------------------------
# Left out: install_page() is not exported any more; nobody calls it.
__FILE__ = "mm/fremap.c"


def populate_range(mm, vma, addr, size, pgoff):
    """Say for each page of the range which page of the file belongs there. mmap_sem is held."""
    while True:
        err = install_file_pte(mm, vma, addr, pgoff, vma.vm_page_prot)
        if err:
            return err

        size -= PAGE_SIZE
        addr += PAGE_SIZE
        pgoff += 1
        if not size:
            return 0


# not here: if vma.vm_flags & VM_CAN_NONLINEAR: no vma has populate
# not here: if __prot: the operation passes a page of a mapping
# not here: start = (start & PAGE_MASK): the operation passes a page of a mapping
# not here: size = (size & PAGE_MASK): the operation passes a page of a mapping
def sys_remap_file_pages(start, size, pgoff, nonblock):
    """Let a page of a shared mapping show another page of its file."""
    mm = current().mm
    end = start + size
    err = -EINVAL
    has_write_lock = 0

    # VM_NONLINEAR is set under the write lock
    down_read(mm.mmap_sem)
    while True:
        # retry:
        vma = find_vma(mm, start)

        # left out: vm_private_data of a linear vma, which nothing here uses
        if not vma or not vma.vm_flags & VM_SHARED:
            break                                   # goto out
        # no vma has populate
        if not vma.vm_flags & VM_CAN_NONLINEAR:
            break
        if end <= start or start < vma.vm_start or end > vma.vm_end:
            break

        # before any page is populated
        if not vma.vm_flags & VM_NONLINEAR:
            # what it shows already needs no nonlinear mapping
            if pgoff == linear_page_index(vma, start):
                err = 0
                break

            if not has_write_lock:
                up_read(mm.mmap_sem)
                down_write(mm.mmap_sem)
                has_write_lock = 1
                continue                            # goto retry
            mapping = vma.vm_file.f_mapping
            spin_lock(mapping.i_mmap_lock)
            vma.vm_flags |= VM_NONLINEAR
            list_del(vma.shared)                    # vma_prio_tree_remove()
            list_add_tail(vma.shared, mapping.i_mmap_nonlinear)     # vma_nonlinear_insert()
            spin_unlock(mapping.i_mmap_lock)

        err = populate_range(mm, vma, start, size, pgoff)
        if not err and not nonblock:
            if unlikely(has_write_lock):
                downgrade_write(mm.mmap_sem)
                has_write_lock = 0
            make_pages_present(start, start + size)
        break
    # out:
    if likely(not has_write_lock):
        up_read(mm.mmap_sem)
    else:
        up_write(mm.mmap_sem)
    return err


# ---- mm/memory.c, get_user_pages(): called now, and not by the patch alone -----------------------------------------------------
__FILE__ = "mm/memory.c"


def get_user_pages(mm, start, len, write, force, pages):
    """Make pages present, and append them to the list `pages` with a reference each, if there is one. mmap_sem is held. Returns how many
    they are, or an error. 2.6.22 looks after each fault whether another task wants the cpu; the rest is as in the base, without the test
    of 2.6.22 whether the task is killed for its memory."""
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
                # the page is ours to write to by now, whatever the pte says
                if ret & VM_FAULT_WRITE:
                    foll_flags &= ~FOLL_WRITE

                if ret & ~VM_FAULT_WRITE in (VM_FAULT_MINOR, VM_FAULT_MAJOR):
                    pass
                elif ret & ~VM_FAULT_WRITE == VM_FAULT_SIGBUS:
                    return i or -EFAULT
                elif ret & ~VM_FAULT_WRITE == VM_FAULT_OOM:
                    return i or -ENOMEM
                else:
                    BUG(1094)
                cond_resched()
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


def make_pages_present(addr, end):
    """mmap_sem is held for reading. Two BUG_ON() are left out, as the range is in one vma. The result is not used, and is left out, too."""
    vma = find_vma(current().mm, addr)
    if not vma:
        return -1
    write = vma.vm_flags & VM_WRITE != 0
    return get_user_pages(current().mm, addr, end - addr >> PAGE_SHIFT, write, 0, None)


# ---- mm/memory.c, unmap_mapping_range_vma() ------------------------------------------------------------------------------------
# Only the line of its BUG_ON() moves.
def unmap_mapping_range_vma(vma, start_addr, end_addr, details):
    """i_mmap_lock is held; it is dropped, and -EINTR returned, if somebody else wants the cpu."""
    BUG_ON(not vma.vm_flags & VM_CAN_INVALIDATE, 1840)

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


# ---- mm/memory.c, do_no_page() becomes __do_fault(), which do_linear_fault() and do_nonlinear_fault() call; handle_pte_fault() ---
# not here: if vma.vm_ops.page_mkwrite: of 2.6.18; no file here has it before nick_mkwrite
# not here: get_page(page): of 2.6.19, the accounting of shared dirty pages
# not here: if page: of 2.6.19, the accounting of shared dirty pages
def __do_fault(mm, vma, address, page_table, pgoff, flags, orig_pte):
    """A fault on a page that is not mapped, in a vma with a fault operation. mmap_sem is held, for reading if by a fault."""
    anon = 0

    # left out: the way for a vma that has nopage still, and a complaint of an operation that has not set the type
    faulted_page, type = filemap_fault(vma, pgoff, flags)       # vma->vm_ops->fault
    if unlikely(not faulted_page):
        return type

    if unlikely(not vma.vm_flags & VM_CAN_INVALIDATE):
        lock_page(faulted_page)
    else:
        BUG_ON(not PageLocked(faulted_page), 2347)

    # a private copy at once?
    page = faulted_page
    if flags & FAULT_FLAG_WRITE and not vma.vm_flags & VM_SHARED:
        anon = 1
        anon_vma_prepare(vma)
        page = alloc_page_vma(GFP_HIGHUSER, vma, address)
        if not page:
            unlock_page(faulted_page)               # goto out
            page_cache_release(faulted_page)
            return VM_FAULT_OOM
        copy_to_new_page(page, faulted_page)

    ptl = mm.page_table_lock
    page_table = pte_offset(mm, address)
    spin_lock(ptl)

    # only if we did not race with anybody else
    if page_table.val == orig_pte:                  # pte_same()
        entry = mk_pte(page, vma.vm_page_prot)
        if flags & FAULT_FLAG_WRITE:
            entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        set_pte_at(mm, address, page_table, entry)
        if anon:
            mm.anon_rss += 1
            lru_cache_add_active(page)
            page_add_anon_rmap(page, vma, address)
        else:
            mm.file_rss += 1
            page_add_file_rmap(page)
    elif anon:
        page_cache_release(page)
    else:
        anon = 1                                    # not anonymous, but faulted_page is to be released

    spin_unlock(ptl)

    # out:
    unlock_page(faulted_page)
    if anon:
        page_cache_release(faulted_page)
    return type


def do_linear_fault(mm, vma, address, page_table, write_access, orig_pte):
    pgoff = ((address & PAGE_MASK) - vma.vm_start >> PAGE_CACHE_SHIFT) + vma.vm_pgoff
    flags = FAULT_FLAG_WRITE if write_access else 0
    return __do_fault(mm, vma, address, page_table, pgoff, flags, orig_pte)


def do_nonlinear_fault(mm, vma, address, page_table, write_access, pgoff, orig_pte):
    flags = FAULT_FLAG_NONLINEAR | (FAULT_FLAG_WRITE if write_access else 0)
    return __do_fault(mm, vma, address, page_table, pgoff, flags, orig_pte)


# not here: if vma.vm_ops: a nonlinear vma has operations
def do_file_page(mm, vma, address, page_table, write_access, orig_pte):
    """A pte of a nonlinear vma that says which page of the file belongs there."""
    # left out: the complaint about such a pte in a linear vma; pte_unmap_same() has nothing to do for a pte of one word
    pgoff = pte_to_pgoff(orig_pte)
    return do_nonlinear_fault(mm, vma, address, page_table, write_access, pgoff, orig_pte)


# not here: if ptep_set_access_flags(): what it returns is of 2.6.23
# not here: ptep_set_access_flags(vma, address, pte, entry, write_access): called if the pte changes
# only here: if entry == entry: the test of 2.6.15 for what ptep_set_access_flags() tests itself in 2.6.23
def handle_pte_fault(mm, vma, address, pte, write_access):
    old_entry = entry = data_race(pte.val)          # read without the lock
    if not pte_present(entry):
        if pte_none(entry):
            if vma.vm_ops:
                return do_linear_fault(mm, vma, address, pte, write_access, entry)
            return do_anonymous_page(mm, vma, address, pte, write_access)
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


# ---- mm/nommu.c, mm/rmap.c, mm/shmem.c, mm/truncate.c --------------------------------------------------------------------------
# Left out: comments, and what is not here.
