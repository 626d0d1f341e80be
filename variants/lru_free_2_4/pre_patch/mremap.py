# SPDX-License-Identifier: GPL-2.0-only
"""mm/mremap.c: moving a mapping to another address.

A vma of this family is one page, and it moves whole, to an address that is given (MREMAP_FIXED). Growing, shrinking and merging are left
out.
"""
from vmrace.harness.kernel import current, down_write, spin_lock, spin_unlock, up_write
from vmrace.variants.lru_free_2_4.pre_patch.hardware import copy_vma, kmem_cache_alloc_vma, kmem_cache_free, ptep_get_and_clear
from vmrace.variants.lru_free_2_4.pre_patch.memory import make_pages_present
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import pte_none, pte_offset, set_pte
from vmrace.variants.lru_free_2_4.pre_patch.mmap import do_munmap, find_vma, find_vma_prev, insert_vm_struct, vm_enough_memory
from vmrace.variants.lru_free_2_4.types import (
    EFAULT,
    EINVAL,
    ENOMEM,
    MAP_NORESERVE,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    TASK_SIZE,
    VM_LOCKED,
    VM_SHARED,
    VM_WRITE,
)


__FILE__ = "mm/mremap.c"


def get_one_pte(mm, addr):
    """page_table_lock is held. The slot of an address, or None if there is nothing in it."""
    pte = pte_offset(mm, addr)
    if pte_none(pte.val):
        pte = None
    return pte


def alloc_one_pte(mm, addr):
    return pte_offset(mm, addr)                     # pte_alloc()


def copy_one_pte(mm, src, dst):
    """page_table_lock is held. The pte is gone from `src` before it is at `dst`."""
    error = 0
    if not pte_none(src.val):
        pte = ptep_get_and_clear(src)
        # not here: if dst: there is always a place for it
        set_pte(dst, pte)
    return error


def move_one_page(mm, old_addr, new_addr):
    error = 0

    spin_lock(mm.page_table_lock)
    src = get_one_pte(mm, old_addr)
    if src:
        error = copy_one_pte(mm, src, alloc_one_pte(mm, new_addr))
    spin_unlock(mm.page_table_lock)
    return error


def move_page_tables(mm, new_addr, old_addr, len):
    """mmap_sem is held for writing. The old vma is still linked, the new one not yet."""
    offset = len

    while offset:
        offset -= PAGE_SIZE
        # not here: if move_one_page(): it does not fail, so nothing is moved back
        move_one_page(mm, old_addr + offset, new_addr + offset)
    return 0


def move_vma(vma, addr, old_len, new_len, new_addr):
    # not here: new_vma.vm_raend = 0: readahead is left out
    # not here: if new_vma.vm_file: files are open all the time
    # not here: if new_vma.vm_ops: ext2 has no open() for a vma
    mm = vma.vm_mm

    next, prev = find_vma_prev(mm, new_addr)
    if not next:
        # not here: if next.vm_start == (new_addr + new_len): no vma is adjacent to the new address, so none grows over it
        # not here: if prev: as next
        # not here: prev = find_vma(): as above
        find_vma(mm, new_addr - 1)

    new_vma = kmem_cache_alloc_vma(mm, new_addr)
    if not new_vma:
        return -ENOMEM                              # goto out

    if not move_page_tables(current().mm, new_addr, addr, old_len):
        copy_vma(new_vma, vma)
        new_vma.vm_start = new_addr
        new_vma.vm_end = new_addr + new_len
        new_vma.vm_pgoff += addr - vma.vm_start >> PAGE_SHIFT
        insert_vm_struct(current().mm, new_vma)
        do_munmap(current().mm, addr, old_len)
        current().mm.total_vm += new_len >> PAGE_SHIFT
        if new_vma.vm_flags & VM_LOCKED:
            current().mm.locked_vm += new_len >> PAGE_SHIFT
            make_pages_present(new_vma.vm_start, new_vma.vm_end)
        return new_addr
    kmem_cache_free(new_vma)
    # out:
    return -ENOMEM


def do_mremap(addr, old_len, new_len, flags, new_addr):
    """mmap_sem is held for writing. Returns the new address, or an error. In any case the new address is unmapped first."""
    if flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE):
        return -EINVAL

    if addr & ~PAGE_MASK:
        return -EINVAL

    old_len = old_len + PAGE_SIZE - 1 & PAGE_MASK
    new_len = new_len + PAGE_SIZE - 1 & PAGE_MASK

    # new_addr is only valid if MREMAP_FIXED is specified
    if flags & MREMAP_FIXED:
        if new_addr & ~PAGE_MASK:
            return -EINVAL
        if not flags & MREMAP_MAYMOVE:
            return -EINVAL

        if new_len > TASK_SIZE or new_addr > TASK_SIZE - new_len:
            return -EINVAL

        # do the old and the new place overlap?
        if new_addr <= addr and new_addr + new_len > addr:
            return -EINVAL

        if addr <= new_addr and addr + old_len > new_addr:
            return -EINVAL

        do_munmap(current().mm, new_addr, new_len)

    # a shrinking remap is always allowed: here it unmaps nothing
    if old_len >= new_len:
        do_munmap(current().mm, addr + new_len, old_len - new_len)
        if not flags & MREMAP_FIXED or new_addr == addr:
            return addr

    # relocate
    vma = find_vma(current().mm, addr)
    if not vma or vma.vm_start > addr:
        return -EFAULT
    if old_len > vma.vm_end - addr:
        return -EFAULT
    # not here: if vma.vm_flags & VM_DONTEXPAND: it does not grow
    # not here: if vma.vm_flags & VM_LOCKED: there is no limit
    # private and writable: is there enough memory?
    if (vma.vm_flags & (VM_SHARED | VM_WRITE) == VM_WRITE
            and not flags & MAP_NORESERVE
            and not vm_enough_memory(new_len - old_len >> PAGE_SHIFT)):
        return -ENOMEM

    # not here: if flags & MREMAP_FIXED: the new address is given
    # not here: if vma.vm_flags & VM_SHARED: as above
    # not here: get_unmapped_area(vma.vm_file, 0, new_len, vma.vm_pgoff, 0): as above
    # not here: new_addr = get_unmapped_area(): as above
    # not here: if new_addr & ~PAGE_MASK: as above
    if flags & MREMAP_MAYMOVE:
        return move_vma(vma, addr, old_len, new_len, new_addr)
    # out:
    return -ENOMEM


def sys_mremap(addr, old_len, new_len, flags, new_addr):
    down_write(current().mm.mmap_sem)
    ret = do_mremap(addr, old_len, new_len, flags, new_addr)
    up_write(current().mm.mmap_sem)
    return ret
