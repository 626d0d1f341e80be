# SPDX-License-Identifier: GPL-2.0-only
"""mm/madvise.c, of MADV_DONTNEED, MADV_DONTFORK and MADV_DOFORK. A range here is one vma of one page."""
from vmrace.harness.kernel import current, down_read, down_write, up_read, up_write
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import zap_page_range
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mmap import find_vma_prev
from vmrace.variants.cow_swap_2_6.types import (
    EINVAL,
    ENOMEM,
    MADV_DOFORK,
    MADV_DONTFORK,
    MADV_DONTNEED,
    PAGE_MASK,
    VM_DONTCOPY,
    VM_IO,
    VM_LOCKED,
)


__FILE__ = "mm/madvise.c"


def madvise_need_mmap_write(behavior):
    """Advice that changes vma->vm_flags needs mmap_sem for writing. The rest only walks the vmas."""
    return behavior != MADV_DONTNEED


def madvise_behavior(vma, start, end, behavior):
    """mmap_sem is held for writing."""
    new_flags = vma.vm_flags

    if behavior == MADV_DONTFORK:
        new_flags |= VM_DONTCOPY
    elif behavior == MADV_DOFORK:
        new_flags &= ~VM_DONTCOPY

    if new_flags == vma.vm_flags:
        return 0

    # success: vm_flags is protected by the mmap_sem held in write mode
    vma.vm_flags = new_flags

    # out:
    return 0


def madvise_dontneed(vma, start, end):
    """mmap_sem is held for reading. The pages are thrown away, and so is their place in swap."""
    if vma.vm_flags & VM_LOCKED:
        return -EINVAL

    zap_page_range(vma, start, end - start)
    return 0


def madvise_vma(vma, start, end, behavior):
    """No operation gives other advice."""
    if behavior == MADV_DOFORK:
        if vma.vm_flags & VM_IO:
            error = -EINVAL
        else:
            error = madvise_behavior(vma, start, end, behavior)     # fallthrough
    elif behavior == MADV_DONTFORK:
        error = madvise_behavior(vma, start, end, behavior)
    elif behavior == MADV_DONTNEED:
        error = madvise_dontneed(vma, start, end)
    else:
        error = -EINVAL
    return error


def sys_madvise(start, len_in, behavior):
    """Advise on a range of the caller's addresses. Returns -ENOMEM if a part of it is not mapped."""
    mm = current().mm
    unmapped_error = 0
    error = -EINVAL

    write = madvise_need_mmap_write(behavior)
    if write:
        down_write(mm.mmap_sem)
    else:
        down_read(mm.mmap_sem)

    while True:
        if start & ~PAGE_MASK:
            break                                   # goto out
        len = len_in + ~PAGE_MASK & PAGE_MASK

        # a small negative length that was rounded up to 0
        if len_in and not len:
            break

        end = start + len
        if end < start:
            break

        error = 0
        if end == start:
            break

        # what of the range is not mapped is ignored, but is an error at the end
        vma, prev = find_vma_prev(mm, start)
        error = -ENOMEM
        if not vma:
            break
        if start < vma.vm_start:
            unmapped_error = -ENOMEM
            start = vma.vm_start
            if start >= end:
                break

        tmp = vma.vm_end
        if end < tmp:
            tmp = end

        error = madvise_vma(vma, start, tmp, behavior)
        if error:
            break
        error = unmapped_error
        break
    # out:
    if write:
        up_write(mm.mmap_sem)
    else:
        up_read(mm.mmap_sem)
    return error
