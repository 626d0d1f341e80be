# SPDX-License-Identifier: GPL-2.0-only
"""mm/msync.c: the dirty bits of the ptes of a range go to the pages, and the file is written. A range here is one vma of one page."""
from vmrace.harness.kernel import BUG_ON, current, down_read, spin_lock, spin_unlock, up_read
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_fdatawait, filemap_fdatawrite
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import pte_dirty, pte_offset, pte_page, pte_present, ptep_clear_flush_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import find_vma
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty
from vmrace.variants.invalidate_2_6.types import EINVAL, ENOMEM, MS_ASYNC, MS_INVALIDATE, MS_SYNC, PAGE_MASK, PF_SYNCWRITE, VM_SHARED


__FILE__ = "mm/msync.c"


def msync_pte_range(vma, addr, end):
    """Move the dirty bit of a pte to its page. After 64 ptes the kernel looks whether to make room for others; here is one."""
    ptl = vma.vm_mm.page_table_lock
    pte = pte_offset(vma.vm_mm, addr)
    spin_lock(ptl)
    val = pte.val
    if pte_present(val) and pte_dirty(val):         # pte_maybe_dirty()
        page = pte_page(val)                        # vm_normal_page()
        if ptep_clear_flush_dirty(pte):
            set_page_dirty(page)
    spin_unlock(ptl)
    cond_resched()


def msync_page_range(vma, addr, end):
    """mmap_sem is held. Page directories are left out."""
    BUG_ON(addr >= end, 99)
    msync_pte_range(vma, addr, end)


def msync_interval(vma, addr, end, flags):
    """Write the whole file if MS_SYNC is set. mmap_sem is held for reading, so i_sem must not be acquired. ext2_sync_file() writes the
    inode's own blocks, which are left out."""
    ret = 0
    file = vma.vm_file

    if file and vma.vm_flags & VM_SHARED:
        msync_page_range(vma, addr, end)

        if flags & MS_SYNC:
            mapping = file.f_mapping

            ret = filemap_fdatawrite(mapping)
            err = filemap_fdatawait(mapping)
            if not ret:
                ret = err
    return ret


def sys_msync(start, len, flags):
    """Sync a range of the caller's addresses. Returns -ENOMEM if a part of it is not mapped."""
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
