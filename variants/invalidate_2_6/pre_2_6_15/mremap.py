# SPDX-License-Identifier: GPL-2.0-only
"""mm/mremap.c: memory that moves to another address, with its pages. A range here is one vma of one page, which keeps its length."""
from vmrace.harness.kernel import current, down_write, spin_lock, spin_unlock, up_write
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import pte_none, pte_offset, ptep_get_and_clear, set_pte_at
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import copy_vma, do_munmap, find_vma
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.types import (
    EFAULT,
    EINVAL,
    ENOMEM,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    TASK_SIZE,
)


__FILE__ = "mm/mremap.c"


def move_ptes(vma, old_addr, old_end, new_vma, new_addr):
    """mmap_sem is held for writing. Only ptes move; the count of mappings of a page stays as it is. Page directories are left out."""
    mapping = None
    mm = vma.vm_mm

    if vma.vm_file:
        # Truncation is locked out: it might look at the new vma before it looks at the old one, and the pte move in between. The new vma
        # counts as looked at only if the old one has been looked at as well.
        mapping = vma.vm_file.f_mapping
        spin_lock(mapping.i_mmap_lock)
        if new_vma.vm_truncate_count and new_vma.vm_truncate_count != vma.vm_truncate_count:
            new_vma.vm_truncate_count = 0

    old_ptl = mm.page_table_lock
    old_pte = pte_offset(mm, old_addr)
    spin_lock(old_ptl)
    new_pte = pte_offset(mm, new_addr)              # under the same lock: see types

    while old_addr < old_end:                       # one turn
        if not pte_none(old_pte.val):
            pte = ptep_get_and_clear(old_pte)       # ptep_clear_flush(); move_pte() has nothing to do: there is one zero page
            set_pte_at(mm, new_addr, new_pte, pte)
        old_addr += PAGE_SIZE

    spin_unlock(old_ptl)
    if mapping:
        spin_unlock(mapping.i_mmap_lock)


def move_page_tables(vma, old_addr, new_vma, new_addr, len):
    """Returns how much has moved: all, for no page table has to be allocated."""
    old_end = old_addr + len
    while old_addr < old_end:
        cond_resched()
        extent = old_end - old_addr
        move_ptes(vma, old_addr, old_addr + extent, new_vma, new_addr)
        old_addr += extent
        new_addr += extent
    return len + old_addr - old_end


def move_vma(vma, old_addr, old_len, new_len, new_addr):
    """mmap_sem is held for writing, and nothing is mapped at the new address."""
    mm = vma.vm_mm

    new_pgoff = vma.vm_pgoff + (old_addr - vma.vm_start >> PAGE_SHIFT)
    new_vma = copy_vma(vma, new_addr, new_len, new_pgoff)
    if not new_vma:
        return -ENOMEM

    move_page_tables(vma, old_addr, new_vma, new_addr, old_len)

    do_munmap(mm, old_addr, old_len)
    return new_addr


def do_mremap(addr, old_len, new_len, flags, new_addr):
    """Move or resize a mapping: here only to `new_addr` (MREMAP_FIXED). mmap_sem is held for writing. Returns the address or an error."""
    mm = current().mm
    ret = -EINVAL

    if flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE):
        return ret                                  # goto out

    if addr & ~PAGE_MASK:
        return ret

    old_len = old_len + PAGE_SIZE - 1 & PAGE_MASK
    new_len = new_len + PAGE_SIZE - 1 & PAGE_MASK

    if not new_len:
        return ret

    if flags & MREMAP_FIXED:
        if new_addr & ~PAGE_MASK:
            return ret
        if not flags & MREMAP_MAYMOVE:
            return ret

        if new_len > TASK_SIZE or new_addr > TASK_SIZE - new_len:
            return ret

        # the two places must not overlap
        if new_addr <= addr and new_addr + new_len > addr:
            return ret
        if addr <= new_addr and addr + old_len > new_addr:
            return ret

        ret = do_munmap(mm, new_addr, new_len)
        if ret:
            return ret

    if old_len >= new_len:
        ret = do_munmap(mm, addr + new_len, old_len - new_len)
        if ret and old_len != new_len:
            return ret
        ret = addr
        if not flags & MREMAP_FIXED or new_addr == addr:
            return ret
        old_len = new_len

    ret = -EFAULT
    vma = find_vma(mm, addr)
    if not vma or vma.vm_start > addr:
        return ret
    if old_len > vma.vm_end - addr:
        return ret

    # left out: expanding in place, which MREMAP_FIXED does not ask for
    ret = -ENOMEM
    if flags & MREMAP_MAYMOVE:
        if not flags & MREMAP_FIXED:
            return ret                              # left out: get_unmapped_area(): the search finds no address
        ret = move_vma(vma, addr, old_len, new_len, new_addr)
    # out:
    return ret


def sys_mremap(addr, old_len, new_len, flags, new_addr):
    mm = current().mm
    down_write(mm.mmap_sem)
    ret = do_mremap(addr, old_len, new_len, flags, new_addr)
    up_write(mm.mmap_sem)
    return ret
