# SPDX-License-Identifier: GPL-2.0-only
"""Nick Piggin, 19 Jul 2007, in 2.6.23-rc1: the page is unlocked while its file is told that it is about to be written to.

Commit d0217ac04ca6, "mm: fault feedback #1", over nick_fault, and so over 2.6.15; read beside its tree. fault returns a code and a page,
and says itself whether it has locked the page, so VM_CAN_INVALIDATE goes. page_mkwrite(), which may want to lock the page itself, is
called with the page unlocked; then it is locked again, and its mapping is looked at. A comment there says that this is still racy against
an invalidate.

ext2 has no page_mkwrite, and without one nothing of that shows. Files here have the one that XFS has in 2.6.23, block_page_mkwrite()
of fs/buffer.c; and with it what else calls it since 2.6.18: a shared page is mapped for reading first, do_wp_page() asks before it
makes it writable, and mprotect() leaves it to that. These are not of the patch and are marked; with the page locked, as the two patches
before this one would call it, this page_mkwrite would wait for itself.

A struct vm_fault is here two arguments and a pair, (ret, page). VM_BUG_ON() is nothing without CONFIG_DEBUG_VM.
"""
from vmrace.harness.kernel import BUG_ON, data_race, likely, need_resched, plain, spin_lock, spin_unlock, struct, unlikely
from vmrace.variants.invalidate_2_6.nick_fault import FAULT_FLAG_NONLINEAR, FAULT_FLAG_WRITE, do_linear_fault
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import __block_commit_write, block_prepare_write, ext2_readpage
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import find_lock_page, page_cache_read, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import (
    can_share_swap_page,
    do_anonymous_page,
    is_restart_addr,
    maybe_mkwrite,
    need_lockbreak,
    zap_page_range,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageError,
    PageAnon,
    PageUptodate,
    TestSetPageLocked,
    alloc_page_vma,
    alloc_zeroed_user_highpage,
    i_size_read,
    lock_page,
    mk_pte,
    page_cache_get,
    page_cache_release,
    pte_dirty,
    pte_mkdirty,
    pte_mkwrite,
    pte_mkyoung,
    pte_modify,
    pte_none,
    pte_offset,
    pte_page,
    pte_present,
    pte_to_pgoff,
    pte_write,
    ptep_get_and_clear,
    ptep_set_access_flags,
    set_pte_at,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import anon_vma_prepare, page_add_anon_rmap, page_add_file_rmap, page_remove_rmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_cache_add_active, mark_page_accessed
from vmrace.variants.invalidate_2_6.types import (
    EINTR,
    EINVAL,
    ENOMEM,
    GFP_HIGHUSER,
    PAGE_CACHE_MASK,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_READONLY,
    VM_FAULT_MAJOR,
    VM_FAULT_MINOR,
    VM_FAULT_WRITE,
    VM_EXEC,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    empty_zero_page,
    protection_map,
)
from vmrace.variants.mmu import copy_to_new_page

# ---- Documentation, drivers, fs/gfs2, fs/ncpfs, fs/ocfs2, fs/xfs, ipc/shm.c ----------------------------------------------------
# Left out: other users of the operation.


# ---- include/linux/mm.h: VM_CAN_INVALIDATE goes, and VM_CAN_NONLINEAR takes its bit --------------------------------------------
VM_CAN_NONLINEAR = 0x08000000

FAULT_RET_NOPAGE = 0x0100
FAULT_RET_LOCKED = 0x0200
VM_FAULT_ERROR = 0x20                               # so that an error is told from a page
VM_FAULT_OOM = 0x00 | VM_FAULT_ERROR
VM_FAULT_SIGBUS = 0x01 | VM_FAULT_ERROR
VM_FAULT_MASK = 0xFF


class vm_operations_struct(struct):
    """mm.h, of a file here. Constant."""
    fault = plain(None)
    page_mkwrite = plain(None)


# ---- fs/buffer.c of 2.6.23, block_page_mkwrite(): not of the patch -------------------------------------------------------------
__FILE__ = "fs/buffer.c"


def block_page_mkwrite(vma, page):
    """The page is about to be made writable: give it a block on disk, and dirty its buffer. It is not locked; we have a reference."""
    inode = vma.vm_file.f_mapping.host
    ret = -EINVAL

    lock_page(page)
    size = i_size_read(inode)
    if page.mapping is inode.i_mapping and page.index << PAGE_CACHE_SHIFT <= size:
        # a page that begins where the file ends passes, and none of it is written
        if page.index + 1 << PAGE_CACHE_SHIFT > size:
            end = size & ~PAGE_CACHE_MASK
        else:
            end = PAGE_CACHE_SIZE

        ret = block_prepare_write(vma.vm_file, page, 0, end)
        if not ret:
            ret = __block_commit_write(inode, page, 0, end)     # block_commit_write()
    # out_unlock:
    unlock_page(page)
    return ret


# ---- mm/filemap.c, filemap_fault(), generic_file_vm_ops, generic_file_mmap() ---------------------------------------------------
# filemap_nopage(), filemap_getpage() and filemap_populate() go.
__FILE__ = "mm/filemap.c"


# not here: if error == AOP_TRUNCATED_PAGE: of 2.6.16; ext2 never returns it
# not here: file.f_ra.mmap_miss += 1: readahead is switched off
# not here: if (file.f_ra.mmap_hit + MMAP_LOTSAMISS) < file.f_ra.mmap_miss: as above
# not here: file.f_ra.mmap_hit += 1: readahead is switched off
def filemap_fault(vma, pgoff, flags):
    """(ret, page): the page locked, which ret says, and with a reference; or an error and None.

    A page that is beyond the end of the file by the time it is locked keeps the reference. The patch and 2.6.23-rc1 to -rc9 do that;
    745ad48e8cac drops the reference before 2.6.23.
    """
    file = vma.vm_file
    mapping = file.f_mapping
    inode = mapping.host
    ret = VM_FAULT_MINOR

    size = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
    if pgoff >= size:
        return VM_FAULT_SIGBUS, None                # outside_data_content: the faulting task is no ptracer

    while True:
        # retry_find:
        page = find_lock_page(mapping, pgoff)
        if not page:
            ret = VM_FAULT_MAJOR
            # left out: do_page_cache_readahead(), of no pages
            page = find_lock_page(mapping, pgoff)
        if not page:
            # no_cached_page:
            error = page_cache_read(file, pgoff)
            if error >= 0:
                continue                            # it may have been removed in the meantime
            if error == -ENOMEM:
                return VM_FAULT_OOM, None
            return VM_FAULT_SIGBUS, None

        # Whoever locks a page that is being read waits for it, so this would be an error.
        if unlikely(not PageUptodate(page)):
            # page_not_uptodate:
            ret = VM_FAULT_MAJOR
            ClearPageError(page)
            error = ext2_readpage(file, page)       # unlocks it
            page_cache_release(page)
            if not error:
                continue                            # goto retry_find
            return VM_FAULT_SIGBUS, None

        # the size again, under the page lock
        size = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
        if unlikely(pgoff >= size):
            unlock_page(page)
            return VM_FAULT_SIGBUS, None            # goto outside_data_content

        mark_page_accessed(page)
        return ret | FAULT_RET_LOCKED, page


generic_file_vm_ops = vm_operations_struct("generic_file_vm_ops", fault=filemap_fault, page_mkwrite=block_page_mkwrite)


# only here: if (vma.vm_flags & (VM_WRITE | VM_SHARED)) == (VM_WRITE | VM_SHARED): vma_wants_writenotify() of mm/mmap.c
# only here: page_mkwrite: vma_wants_writenotify() of mm/mmap.c
# only here: vm_page_prot: vma_wants_writenotify() of mm/mmap.c
def generic_file_mmap(file, vma):
    vma.vm_ops = generic_file_vm_ops
    vma.vm_flags |= VM_CAN_NONLINEAR
    # mm/mmap.c of the tree of the commit, vma_wants_writenotify(): not of the patch
    if vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE | VM_SHARED and vma.vm_ops.page_mkwrite:
        vma.vm_page_prot = PAGE_READONLY
    return 0


# ---- mm/filemap_xip.c ----------------------------------------------------------------------------------------------------------
# Left out: no file here is executed in place.


# ---- mm/fremap.c ---------------------------------------------------------------------------------------------------------------
# install_page() goes, and sys_remap_file_pages() does without a way for vmas that have populate, of which there is none here.


# ---- mm/memory.c, unmap_mapping_range_vma() loses its BUG_ON() -----------------------------------------------------------------
__FILE__ = "mm/memory.c"


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


# ---- mm/memory.c of the tree of the commit, do_wp_page(): not of the patch ---------------------------------------------------------------
# Left out, as in nick_fault: the accounting of shared dirty pages; the pte says that the page is dirty.
# not here: get_page(old_page): of 2.6.19, the accounting of shared dirty pages
# not here: if ptep_set_access_flags(): what it returns is of 2.6.23
def do_wp_page(mm, vma, address, page_table, ptl, orig_pte):
    """A write to a present, write-protected page. ptl is held on entry and not on exit."""
    old_page = pte_page(orig_pte)
    reuse = 0
    ret = VM_FAULT_MINOR

    if PageAnon(old_page):
        if not TestSetPageLocked(old_page):
            reuse = can_share_swap_page(old_page)
            unlock_page(old_page)
    elif vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE | VM_SHARED:
        if vma.vm_ops and vma.vm_ops.page_mkwrite:
            # without the lock, for it may sleep
            page_cache_get(old_page)
            spin_unlock(ptl)

            if vma.vm_ops.page_mkwrite(vma, old_page) < 0:
                # unwritable_page:
                page_cache_release(old_page)
                return VM_FAULT_SIGBUS

            # the lock was dropped: is it still the same pte? If not, the MMU will fault again.
            ptl = mm.page_table_lock
            page_table = pte_offset(mm, address)
            spin_lock(ptl)
            page_cache_release(old_page)
            if page_table.val != orig_pte:
                spin_unlock(ptl)                    # goto unlock
                return ret
        reuse = 1

    if reuse:
        entry = pte_mkyoung(orig_pte)
        entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        ptep_set_access_flags(vma, address, page_table, entry, 1)
        ret |= VM_FAULT_WRITE
        spin_unlock(ptl)                            # goto unlock
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
        ptep_get_and_clear(page_table)              # ptep_clear_flush()
        set_pte_at(mm, address, page_table, entry)
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


# ---- mm/memory.c, __do_fault() -------------------------------------------------------------------------------------------------
# not here: get_page(page): of 2.6.19, the accounting of shared dirty pages
# not here: if page: of 2.6.19, the accounting of shared dirty pages
def __do_fault(mm, vma, address, page_table, pgoff, flags, orig_pte):
    """A fault on a page that is not mapped, in a vma with a fault operation. mmap_sem is held for reading."""
    anon = 0

    # left out: the way for a vma that has nopage still, and FAULT_RET_NOPAGE, which no fault here returns
    ret, faulted_page = vma.vm_ops.fault(vma, pgoff, flags)
    if unlikely(ret & (VM_FAULT_ERROR | FAULT_RET_NOPAGE)):
        return ret & VM_FAULT_MASK

    if unlikely(not ret & FAULT_RET_LOCKED):
        lock_page(faulted_page)

    # a private copy at once?
    page = faulted_page
    locked = 1
    mapped = 1
    if flags & FAULT_FLAG_WRITE:
        if not vma.vm_flags & VM_SHARED:
            anon = 1
            anon_vma_prepare(vma)
            page = alloc_page_vma(GFP_HIGHUSER, vma, address)
            if not page:
                ret = VM_FAULT_OOM
                mapped = 0                          # goto out
            else:
                copy_to_new_page(page, faulted_page)
        elif vma.vm_ops.page_mkwrite:
            # does the file want to know that it will be written to?
            unlock_page(page)
            if vma.vm_ops.page_mkwrite(vma, page) < 0:
                ret = VM_FAULT_SIGBUS
                anon = 1                            # not anonymous, but faulted_page is to be released
                locked = mapped = 0                 # goto out_unlocked
            else:
                lock_page(page)
                # not quite right, says the patch: it may have been invalidated in between
                if not page.mapping:
                    ret = VM_FAULT_MINOR
                    anon = 1
                    mapped = 0                      # goto out

    if mapped:
        ptl = mm.page_table_lock
        page_table = pte_offset(mm, address)
        spin_lock(ptl)

        # only if we did not race with anybody else
        if likely(page_table.val == orig_pte):      # pte_same()
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
            anon = 1                                # not anonymous, but faulted_page is to be released

        spin_unlock(ptl)

    # out:
    if locked:
        unlock_page(faulted_page)
    # out_unlocked:
    if anon:
        page_cache_release(faulted_page)
    return ret & VM_FAULT_MASK


# ---- mm/memory.c, do_file_page() goes; do_nonlinear_fault() and handle_pte_fault() ---------------------------------------------
# not here: if vma.vm_flags & VM_NONLINEAR: a file offset is in a nonlinear vma
# not here: if vma.vm_flags & VM_CAN_NONLINEAR: a file offset is in a nonlinear vma
def do_nonlinear_fault(mm, vma, address, page_table, write_access, orig_pte):
    """A pte of a nonlinear vma that says which page of the file belongs there."""
    flags = FAULT_FLAG_NONLINEAR | (FAULT_FLAG_WRITE if write_access else 0)
    # left out: the complaint about such a pte in a linear vma; pte_unmap_same() has nothing to do for a pte of one word
    pgoff = pte_to_pgoff(orig_pte)
    return __do_fault(mm, vma, address, page_table, pgoff, flags, orig_pte)


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
        return do_nonlinear_fault(mm, vma, address, pte, write_access, entry)

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


# ---- mm/mprotect.c of 2.6.23, change_pte_range(), change_protection(), mprotect_fixup(): not of the patch -----------------------
__FILE__ = "mm/mprotect.c"


def change_pte_range(mm, addr, end, newprot, dirty_accountable):
    """The pte is empty for a moment, so that no dirty bit that the MMU sets meanwhile is lost."""
    ptl = mm.page_table_lock
    pte = pte_offset(mm, addr)
    spin_lock(ptl)
    oldpte = pte.val
    if pte_present(oldpte):
        ptent = ptep_get_and_clear(pte)
        ptent = pte_modify(ptent, newprot)
        # no fault for the first write to a page that is known to be dirty
        if dirty_accountable and pte_dirty(ptent):
            ptent = pte_mkwrite(ptent)
        set_pte_at(mm, addr, pte, ptent)
    spin_unlock(ptl)


def change_protection(vma, addr, end, newprot, dirty_accountable):
    """mmap_sem is held for writing."""
    mm = vma.vm_mm
    BUG_ON(addr >= end, 119)
    change_pte_range(mm, addr, end, newprot, dirty_accountable)


def mprotect_fixup(vma, start, end, newflags):
    """mmap_sem is held for writing."""
    oldflags = vma.vm_flags
    dirty_accountable = 0

    if newflags == oldflags:
        return 0

    # success: read under mmap_sem
    vma.vm_flags = newflags
    vma.vm_page_prot = protection_map[newflags & (VM_READ | VM_WRITE | VM_EXEC | VM_SHARED)]
    # vma_wants_writenotify()
    if vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE | VM_SHARED and vma.vm_ops and vma.vm_ops.page_mkwrite:
        vma.vm_page_prot = protection_map[newflags & (VM_READ | VM_WRITE | VM_EXEC)]
        dirty_accountable = 1

    change_protection(vma, start, end, vma.vm_page_prot, dirty_accountable)
    return 0
