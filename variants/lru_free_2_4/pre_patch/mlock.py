# SPDX-License-Identifier: GPL-2.0-only
"""mm/mlock.c: keeping the pages of a vma in memory.

A vma of this family is one page, so it is locked whole, and the three other mlock_fixup_*() are left out. mlockall() is left out, too.
"""
from vmrace.harness.kernel import current, down_write, spin_lock, spin_unlock, up_write
from vmrace.variants.lru_free_2_4.pre_patch.memory import make_pages_present
from vmrace.variants.lru_free_2_4.pre_patch.mmap import find_vma
from vmrace.variants.lru_free_2_4.types import EINVAL, ENOMEM, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, VM_LOCKED, num_physpages


__FILE__ = "mm/mlock.c"


def mlock_fixup_all(vma, newflags):
    spin_lock(vma.vm_mm.page_table_lock)
    vma.vm_flags = newflags
    spin_unlock(vma.vm_mm.page_table_lock)
    return 0


def mlock_fixup(vma, start, end, newflags):
    if newflags == vma.vm_flags:
        return 0

    # not here: if start == vma.vm_start: the vma is locked whole
    # not here: if end == vma.vm_end: as vm_start
    retval = mlock_fixup_all(vma, newflags)
    if not retval:
        # keep track of how much is locked
        pages = end - start >> PAGE_SHIFT
        if newflags & VM_LOCKED:
            pages = -pages
            make_pages_present(start, end)
        vma.vm_mm.locked_vm -= pages
    return retval


def do_mlock(start, len, on):
    """mmap_sem is held for writing."""
    len = len + PAGE_SIZE - 1 & PAGE_MASK
    end = start + len
    if end < start:
        return -EINVAL
    if end == start:
        return 0
    vma = find_vma(current().mm, start)
    if not vma or vma.vm_start > start:
        return -ENOMEM

    nstart = start
    while True:
        # here vma->vm_start <= nstart < vma->vm_end

        newflags = vma.vm_flags | VM_LOCKED
        if not on:
            newflags &= ~VM_LOCKED

        if vma.vm_end >= end:
            error = mlock_fixup(vma, nstart, end, newflags)
            break

        tmp = vma.vm_end
        next = vma.vm_next
        error = mlock_fixup(vma, nstart, tmp, newflags)
        if error:
            break
        nstart = tmp
        vma = next
        if not vma or vma.vm_start != nstart:
            error = -ENOMEM
            break
    return error


def sys_mlock(start, len):
    error = -ENOMEM

    down_write(current().mm.mmap_sem)
    len = len + (start & ~PAGE_MASK) + PAGE_SIZE - 1 & PAGE_MASK
    start &= PAGE_MASK

    locked = len >> PAGE_SHIFT
    locked += current().mm.locked_vm

    # not here: if lock_limit < locked: there is no limit
    # not here: lock_limit >>= PAGE_SHIFT: as above
    # at most half of physical memory
    if locked <= num_physpages // 2:                # else goto out
        error = do_mlock(start, len, 1)
    # out:
    up_write(current().mm.mmap_sem)
    return error


def sys_munlock(start, len):
    down_write(current().mm.mmap_sem)
    len = len + (start & ~PAGE_MASK) + PAGE_SIZE - 1 & PAGE_MASK
    start &= PAGE_MASK
    ret = do_mlock(start, len, 0)
    up_write(current().mm.mmap_sem)
    return ret
