# SPDX-License-Identifier: GPL-2.0-only
"""mm/mprotect.c: the protection of a range of memory. A range here is one vma of one page, so no vma is split, and none merges."""
from vmrace.harness.kernel import BUG_ON, current, down_write, spin_lock, spin_unlock, up_write
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import pte_modify, pte_none, pte_offset, pte_present, ptep_get_and_clear, set_pte_at
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mmap import find_vma_prev
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import (
    is_write_migration_entry,
    make_migration_entry_read,
    pte_to_swp_entry,
    swp_entry_to_pte,
)
from vmrace.variants.cow_swap_2_6.types import (
    EACCES,
    EINVAL,
    ENOMEM,
    PAGE_MASK,
    PAGE_SIZE,
    PROT_EXEC,
    PROT_READ,
    PROT_SEM,
    PROT_WRITE,
    VM_EXEC,
    VM_READ,
    VM_WRITE,
    protection_map,
)


__FILE__ = "mm/mprotect.c"


def change_pte_range(mm, addr, end, newprot):
    """The pte is empty for a moment, so that no dirty bit that the MMU sets meanwhile is lost."""
    ptl = mm.page_table_lock
    pte = pte_offset(mm, addr)
    spin_lock(ptl)
    oldpte = pte.val
    if pte_present(oldpte):
        ptent = ptep_get_and_clear(pte)
        ptent = pte_modify(ptent, newprot)
        # left out: dirty_accountable: no mapping of a file counts its dirty pages here
        set_pte_at(mm, addr, pte, ptent)
    elif not pte_none(oldpte):                      # in C an empty pte comes here, too, and is no migration entry
        entry = pte_to_swp_entry(oldpte)

        if is_write_migration_entry(entry):
            # no protection check: be safe, and disable write
            entry = make_migration_entry_read(entry)
            set_pte_at(mm, addr, pte, swp_entry_to_pte(entry))
    spin_unlock(ptl)


def change_protection(vma, addr, end, newprot):
    """mmap_sem is held for writing."""
    mm = vma.vm_mm
    BUG_ON(addr >= end, 125)
    change_pte_range(mm, addr, end, newprot)        # page directories are left out


def mprotect_fixup(vma, start, end, newflags):
    """mmap_sem is held for writing."""
    oldflags = vma.vm_flags

    if newflags == oldflags:
        return 0

    # success: mmap_sem protects both
    vma.vm_flags = newflags
    vma.vm_page_prot = protection_map[newflags & 0xf]           # vm_get_page_prot(); a private vma never wants to be notified

    change_protection(vma, start, end, vma.vm_page_prot)
    return 0


def sys_mprotect(start, len, prot):
    """Change the protection of a range of the caller's addresses. Returns -ENOMEM if it is not mapped."""
    mm = current().mm
    error = -EINVAL

    if start & ~PAGE_MASK:
        return -EINVAL
    if not len:
        return 0
    len = len + PAGE_SIZE - 1 & PAGE_MASK
    end = start + len
    if end <= start:
        return -ENOMEM
    if prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM):
        return -EINVAL

    vm_flags = prot                                 # calc_vm_prot_bits(): the same bits

    down_write(mm.mmap_sem)

    vma, prev = find_vma_prev(mm, start)
    error = -ENOMEM
    if vma and not vma.vm_start > start:
        newflags = vm_flags | vma.vm_flags & ~(VM_READ | VM_WRITE | VM_EXEC)

        # newflags >> 4 has VM_MAY% in place of VM_%
        if newflags & ~(newflags >> 4) & (VM_READ | VM_WRITE | VM_EXEC):
            error = -EACCES
        else:
            tmp = vma.vm_end
            if tmp > end:
                tmp = end
            error = mprotect_fixup(vma, start, tmp, newflags)
    # out:
    up_write(mm.mmap_sem)
    return error
