# SPDX-License-Identifier: GPL-2.0-only
"""mm/mprotect.c: changing what may be done to a vma.

A vma of this family is one page, so a call changes it whole: it is neither split nor merged with a neighbour, and the three other
mprotect_fixup_*() are left out.
"""
from vmrace.harness.kernel import BUG, current, down_write, spin_lock, spin_unlock, up_write
from vmrace.variants.lru_free_2_4.pre_patch.hardware import ptep_get_and_clear
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import pte_modify, pte_offset, pte_present, set_pte
from vmrace.variants.lru_free_2_4.pre_patch.mmap import find_vma_prev
from vmrace.variants.lru_free_2_4.types import (
    EACCES,
    EINVAL,
    ENOMEM,
    PAGE_MASK,
    PAGE_SIZE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    protection_map,
)


__FILE__ = "mm/mprotect.c"


def change_pte_range(mm, address, size, newprot):
    """page_table_lock is held. Page directories are left out: `mm` and the whole address stand for the pmd."""
    pte = pte_offset(mm, address)
    end = address + size
    while True:
        if pte_present(pte.val):
            # wipe it first, so that the MMU sets no dirty bit meanwhile
            entry = ptep_get_and_clear(pte)
            set_pte(pte, pte_modify(entry, newprot))
        address += PAGE_SIZE
        pte = pte_offset(mm, address)               # pte++
        if not (address and address < end):
            break


def change_protection(start, end, newprot):
    # not here: change_pmd_range(0, start, (end - start), newprot): one page table has all addresses
    # not here: PGDIR_SIZE: as above
    # not here: dir += 1: as above
    # not here: if start: as above
    # not here: start += PAGE_SIZE: as above
    # only here: change_pte_range(current.mm, start, (end - start), newprot): what change_pmd_range() calls
    if start >= end:
        BUG(82)
    spin_lock(current().mm.page_table_lock)
    change_pte_range(current().mm, start, end - start, newprot)
    spin_unlock(current().mm.page_table_lock)


def mprotect_fixup_all(vma, newflags, prot):
    # not here: if pprev: the vma before is never adjacent, so they do not merge
    mm = vma.vm_mm

    spin_lock(mm.page_table_lock)
    vma.vm_flags = newflags
    vma.vm_page_prot = prot
    spin_unlock(mm.page_table_lock)

    return 0


def mprotect_fixup(vma, start, end, newflags):
    if newflags == vma.vm_flags:
        return 0
    newprot = protection_map[newflags & 0xF]
    # not here: if start == vma.vm_start: the vma is changed whole
    # not here: if end == vma.vm_end: as vm_start
    # not here: mprotect_fixup_all(vma, pprev, newflags, newprot): see mprotect_fixup_all()
    error = mprotect_fixup_all(vma, newflags, newprot)

    if error:
        return error

    change_protection(start, end, newprot)
    return 0


def sys_mprotect(start, len, prot):
    if start & ~PAGE_MASK:
        return -EINVAL
    len = len + PAGE_SIZE - 1 & PAGE_MASK
    end = start + len
    if end < start:
        return -EINVAL
    if prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC):
        return -EINVAL
    if end == start:
        return 0

    down_write(current().mm.mmap_sem)

    vma, prev = find_vma_prev(current().mm, start)
    error = -ENOMEM
    if vma and vma.vm_start <= start:               # else goto out
        nstart = start
        while True:
            last = 0

            # here vma->vm_start <= nstart < vma->vm_end

            newflags = prot | vma.vm_flags & ~(PROT_READ | PROT_WRITE | PROT_EXEC)
            if newflags & ~(newflags >> 4) & 0xF:
                error = -EACCES
                break                               # goto out

            if vma.vm_end > end:
                error = mprotect_fixup(vma, nstart, end, newflags)
                break                               # goto out
            if vma.vm_end == end:
                last = 1

            tmp = vma.vm_end
            next = vma.vm_next
            error = mprotect_fixup(vma, nstart, tmp, newflags)
            if error:
                break                               # goto out
            if last:
                # not here: if next: the vma behind is never adjacent, so they do not merge
                break
            nstart = tmp
            vma = next
            if not vma or vma.vm_start != nstart:
                error = -ENOMEM
                break                               # goto out
    # out:
    up_write(current().mm.mmap_sem)
    return error
