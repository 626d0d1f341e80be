# SPDX-License-Identifier: GPL-2.0-only
"""mm/msync.c: the dirty bits of the ptes of a range go to the pages, and the file is written. A range here is one vma of one page."""
from vmrace.harness.kernel import BUG_ON, current, down_read, spin_lock, spin_unlock, up_read
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_fdatawait, filemap_fdatawrite
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import pte_offset, pte_page, pte_present, ptep_clear_flush_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import find_vma
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty
from vmrace.variants.invalidate_2_6.types import EINVAL, ENOMEM, MS_ASYNC, MS_INVALIDATE, MS_SYNC, PAGE_MASK, PF_SYNCWRITE, VM_SHARED


__FILE__ = "mm/msync.c"


def sync_pte_range(vma, addr, end):
    """Move the dirty bit of a pte to its page. page_table_lock is held."""
    # not here: addr: a vma is one page
    # not here: 1: the same loop
    # left out: PageReserved(), for which 2.6.15 does not ask: no shared mapping of a file shows the zero page
    pte = pte_offset(vma.vm_mm, addr)
    val = pte.val
    if not pte_present(val):
        return
    page = pte_page(val)
    if ptep_clear_flush_dirty(pte):
        set_page_dirty(page)


def sync_page_range(vma, addr, end):
    """mmap_sem is held."""
    # not here: end: page directories are left out
    # not here: pgd_addr_end: the same
    # only here: sync_pte_range: page directories are left out
    mm = vma.vm_mm

    BUG_ON(addr >= end, 94)
    spin_lock(mm.page_table_lock)
    sync_pte_range(vma, addr, end)
    spin_unlock(mm.page_table_lock)


def filemap_sync(vma, addr, end):
    """With preemption, the kernel does it in chunks of 64 kB, each more than a vma here, and looks after each whether to make room."""
    sync_page_range(vma, addr, end)


def msync_interval(vma, addr, end, flags):
    """Write the whole file if MS_SYNC is set. mmap_sem is held for reading, so i_sem must not be acquired."""
    # not here: MS_INVALIDATE: no operation asks for it, and no vma is locked
    # not here: f_op: ext2_sync_file() writes the inode's own blocks, which are left out
    ret = 0
    file = vma.vm_file

    if file and vma.vm_flags & VM_SHARED:
        filemap_sync(vma, addr, end)

        if flags & MS_SYNC:
            mapping = file.f_mapping

            ret = filemap_fdatawrite(mapping)
            err = filemap_fdatawait(mapping)
            if not ret:
                ret = err
    return ret


def sys_msync(start, len, flags):
    """Sync a range of the caller's addresses. Returns -ENOMEM if a part of it is not mapped."""
    # not here: vm_end: no operation has a range of more than one vma
    mm = current().mm
    error = -EINVAL

    if flags & MS_SYNC:
        current().flags |= PF_SYNCWRITE             # for the I/O scheduler

    down_read(mm.mmap_sem)
    while True:
        if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC):
            break                                   # goto out
        if start & ~PAGE_MASK:
            break
        if flags & MS_ASYNC and flags & MS_SYNC:
            break
        error = -ENOMEM
        len = len + ~PAGE_MASK & PAGE_MASK
        end = start + len
        if end < start:
            break
        error = 0
        if end == start:
            break

        # what of the range is not mapped is ignored, but is an error at the end
        vma = find_vma(mm, start)
        unmapped_error = 0
        error = -ENOMEM
        if not vma:
            break
        if start < vma.vm_start:
            unmapped_error = -ENOMEM
            start = vma.vm_start
        if start < end:
            error = msync_interval(vma, start, end, flags)
            if error:
                break
        error = unmapped_error
        break
    # out:
    up_read(mm.mmap_sem)
    current().flags &= ~PF_SYNCWRITE
    return error
