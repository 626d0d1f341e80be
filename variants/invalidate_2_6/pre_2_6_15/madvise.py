# SPDX-License-Identifier: GPL-2.0-only
"""mm/madvise.c, of MADV_DONTNEED: what a range maps is unmapped, and the vma stays. A range here is one vma of one page."""
from vmrace.harness.kernel import current, down_write, unlikely, up_write
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import zap_page_range
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import find_vma_prev
from vmrace.variants.invalidate_2_6.types import EINVAL, ENOMEM, MADV_DONTNEED, PAGE_MASK, ULONG_MAX, VM_LOCKED, VM_NONLINEAR


__FILE__ = "mm/madvise.c"


def madvise_dontneed(vma, start, end):
    """mmap_sem is held for writing. An anonymous page is discarded, a dirty bit of a file's goes to the page."""
    if vma.vm_flags & VM_LOCKED:
        return -EINVAL

    if unlikely(vma.vm_flags & VM_NONLINEAR):
        # the ptes go on saying which page of the file belongs there
        details = current().details
        details.nonlinear_vma = vma
        details.last_index = ULONG_MAX
        details.check_mapping = None
        details.first_index = 0
        details.i_mmap_lock = None
        details.truncate_count = 0
        zap_page_range(vma, start, end - start, details)
    else:
        zap_page_range(vma, start, end - start, None)
    return 0


def madvise_vma(vma, start, end, behavior):
    """No operation gives other advice: readahead(2) comes to the same function as MADV_WILLNEED."""
    if behavior == MADV_DONTNEED:
        error = madvise_dontneed(vma, start, end)
    else:
        error = -EINVAL
    return error


def sys_madvise(start, len_in, behavior):
    """Advise on a range of the caller's addresses. Returns -ENOMEM if a part of it is not mapped."""
    mm = current().mm
    unmapped_error = 0
    error = -EINVAL

    down_write(mm.mmap_sem)
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
    up_write(mm.mmap_sem)
    return error
