# SPDX-License-Identifier: GPL-2.0-only
"""mm/mmap.c: vmas. Each is one page, and there is a hole of a page between any two addresses: they neither merge nor split."""
from vmrace.harness.kernel import current, data_race, down_write, list_add_tail, list_del, spin_lock, spin_unlock, up_write
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import generic_file_mmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import kmem_cache_alloc_vma, kmem_cache_free
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import tlb_finish_mmu, tlb_gather_mmu, unmap_vmas
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import count_mapped
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_add_drain
from vmrace.variants.invalidate_2_6.types import (
    EINVAL,
    ENOMEM,
    MAP_ANONYMOUS,
    MAP_DENYWRITE,
    MAP_EXECUTABLE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_TYPE,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SIZE,
    TASK_SIZE,
    VM_MAYEXEC,
    VM_MAYREAD,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_NONLINEAR,
    VM_SHARED,
    protection_map,
)


__FILE__ = "mm/mmap.c"


def __remove_shared_vm_struct(vma, file, mapping):
    """i_mmap_lock is held."""
    if vma.vm_flags & VM_NONLINEAR:
        list_del(vma.shared)
    else:
        list_del(vma.shared)                        # vma_prio_tree_remove()
    count_mapped(mapping, vma, -1)


def unlink_file_vma(vma):
    """So that rmap and truncation no longer find it."""
    file = vma.vm_file

    if file:
        mapping = file.f_mapping
        spin_lock(mapping.i_mmap_lock)
        __remove_shared_vm_struct(vma, file, mapping)
        spin_unlock(mapping.i_mmap_lock)


def remove_vma(vma):
    """Returns the next one. fput() never is the last."""
    next = vma.vm_next
    kmem_cache_free(vma)
    return next


def find_vma(mm, addr):
    """mmap_sem is held: the first vma that ends behind addr."""
    vma = mm.mmap
    while vma and vma.vm_end <= addr:
        vma = vma._vm_next                          # in mm_rb
    return vma


def find_vma_prev(mm, addr):
    """And the one before it."""
    prev = None
    vma = mm.mmap
    while vma and vma.vm_end <= addr:
        prev = vma
        vma = vma._vm_next                          # in mm_rb
    return vma, prev


def find_vma_prepare(mm, addr):
    """find_vma_prev(), for a vma that is to be linked in: where in mm_rb is left out."""
    return find_vma_prev(mm, addr)


def __vma_link_file(vma):
    """i_mmap_lock is held."""
    file = vma.vm_file
    if file:
        mapping = file.f_mapping
        # vma_nonlinear_insert(), or vma_prio_tree_insert(): behind those of the same range
        list_add_tail(vma.shared, mapping.i_mmap_nonlinear if vma.vm_flags & VM_NONLINEAR else mapping.i_mmap)
        count_mapped(mapping, vma, 1)


def __vma_link_list(mm, vma, prev):
    if prev:
        vma.vm_next = prev.vm_next
        prev.vm_next = vma
    else:
        next = mm.mmap                              # rb_parent is it, or there is none
        mm.mmap = vma
        vma.vm_next = next


def __vma_link(mm, vma, prev):
    """mmap_sem is held for writing."""
    __vma_link_list(mm, vma, prev)


def vma_link(mm, vma, prev):
    mapping = None

    if vma.vm_file:
        mapping = vma.vm_file.f_mapping

    if mapping:
        spin_lock(mapping.i_mmap_lock)
        vma.vm_truncate_count = mapping.truncate_count

    __vma_link(mm, vma, prev)
    __vma_link_file(vma)

    if mapping:
        spin_unlock(mapping.i_mmap_lock)

    mm.map_count += 1


def do_mmap_pgoff(file, addr, len, prot, flags, pgoff):
    """Map at a fixed address (MAP_FIXED), in place of what is there. mmap_sem is held for writing."""
    mm = current().mm

    if not len:
        return -EINVAL

    len = len + PAGE_SIZE - 1 & PAGE_MASK           # PAGE_ALIGN()
    if not len or len > TASK_SIZE:
        return -ENOMEM

    # get_unmapped_area(), with MAP_FIXED
    if addr & ~PAGE_MASK:
        return addr

    vm_flags = prot | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC     # calc_vm_prot_bits(): the same bits

    if file:
        if flags & MAP_TYPE == MAP_SHARED:
            vm_flags |= VM_SHARED | VM_MAYSHARE
            # fall through
        elif flags & MAP_TYPE == MAP_PRIVATE:
            pass
        else:
            return -EINVAL
    else:
        if flags & MAP_TYPE == MAP_SHARED:
            vm_flags |= VM_SHARED | VM_MAYSHARE
        elif flags & MAP_TYPE == MAP_PRIVATE:
            # by the address, for anon_vma
            pgoff = addr >> PAGE_SHIFT
        else:
            return -EINVAL

    # clear old maps
    while True:
        # munmap_back:
        vma, prev = find_vma_prepare(mm, addr)
        if not (vma and vma.vm_start < addr + len):
            break
        if do_munmap(mm, addr, len):
            return -ENOMEM

    vma = kmem_cache_alloc_vma(mm, addr)
    vma.vm_ops = None                               # memset(vma, 0, sizeof(*vma))
    vma.vm_file = None
    vma._anon_vma = 0                               # nobody else knows of it yet
    vma._vm_private_data = 0

    vma.vm_mm = mm
    vma.vm_start = addr
    vma.vm_end = addr + len
    vma.vm_flags = vm_flags
    vma.vm_page_prot = protection_map[vm_flags & 0x0f]          # private is copy on write
    vma.vm_pgoff = pgoff

    if file:
        vma.vm_file = file
        generic_file_mmap(file, vma)                # file->f_op->mmap

    addr = vma.vm_start
    pgoff = vma.vm_pgoff
    vm_flags = vma.vm_flags

    file = vma.vm_file
    vma_link(mm, vma, prev)
    # out:
    return addr


__FILE__ = "arch/i386/kernel/sys_i386.c"


def do_mmap2(addr, len, prot, flags, fd, pgoff):
    """`fd` is the file itself."""
    mm = current().mm
    file = None

    flags &= ~(MAP_EXECUTABLE | MAP_DENYWRITE)
    if not flags & MAP_ANONYMOUS:
        file = fd                                   # fget(fd)

    down_write(mm.mmap_sem)
    error = do_mmap_pgoff(file, addr, len, prot, flags, pgoff)
    up_write(mm.mmap_sem)
    return error


__FILE__ = "mm/memory.c"


def free_pgtables(tlb, vma):
    """Hide the vmas from rmap and truncation. The page tables stay while another address of them is mapped; at the end of the process they
    go, too. anon_vma_unlink() has no chain to unlink from."""
    while vma:
        next = vma.vm_next
        unlink_file_vma(vma)

        # gather nearby vmas into one call of free_pgd_range()
        while next and next.vm_start <= vma.vm_end + PMD_SIZE:
            vma = next
            next = vma.vm_next
            unlink_file_vma(vma)
        vma = next
    if tlb.fullmm:
        tlb.need_flush = 1                          # pte_free_tlb(), of free_pgd_range()


__FILE__ = "mm/mmap.c"


def remove_vma_list(mm, vma):
    """mmap_sem is held for writing."""
    while True:
        vma = remove_vma(vma)
        if not vma:
            break


def unmap_region(mm, vma, prev, start, end):
    """mmap_sem is held for writing; the vmas are off mm's list."""
    lru_add_drain()
    tlb = tlb_gather_mmu(mm, 0)
    unmap_vmas(tlb, vma, start, end, None)
    free_pgtables(tlb, vma)
    tlb_finish_mmu(tlb, start, end)


def detach_vmas_to_be_unmapped(mm, vma, prev, end):
    """Take the vmas off mm's list. mmap_sem is held for writing."""
    while True:
        mm.map_count -= 1
        tail_vma = vma
        vma = vma.vm_next
        if not (vma and vma.vm_start < end):
            break
    if prev:
        prev.vm_next = vma
    else:
        mm.mmap = vma
    tail_vma.vm_next = None


def do_munmap(mm, start, len):
    """mmap_sem is held for writing. The range is whole vmas, which need not be split."""
    if start & ~PAGE_MASK or start > TASK_SIZE or len > TASK_SIZE - start:
        return -EINVAL

    len = len + PAGE_SIZE - 1 & PAGE_MASK           # PAGE_ALIGN()
    if len == 0:
        return -EINVAL

    # the first vma that overlaps
    vma, prev = find_vma_prev(mm, start)
    if not vma:
        return 0

    # if it does not, there is nothing to do
    end = start + len
    if vma.vm_start >= end:
        return 0

    vma = prev.vm_next if prev else mm.mmap

    # remove the vmas, and unmap the pages
    detach_vmas_to_be_unmapped(mm, vma, prev, end)
    unmap_region(mm, vma, prev, start, end)

    remove_vma_list(mm, vma)

    return 0


def sys_munmap(addr, len):
    mm = current().mm
    down_write(mm.mmap_sem)
    ret = do_munmap(mm, addr, len)
    up_write(mm.mmap_sem)
    return ret


def exit_mmap(mm):
    """The last user is gone; only rmap and truncation can still find the vmas."""
    vma = mm.mmap
    lru_add_drain()
    tlb = tlb_gather_mmu(mm, 1)
    end = unmap_vmas(tlb, vma, 0, TASK_SIZE, None)
    free_pgtables(tlb, vma)
    tlb_finish_mmu(tlb, 0, end)

    while vma:
        vma = remove_vma(vma)
    mm.mmap = None
    mm.map_count = 0


def find_extend_vma(mm, addr):
    """mmap_sem is held. No vma here grows."""
    addr &= PAGE_MASK
    vma = find_vma(mm, addr)
    if not vma:
        return None
    if vma.vm_start <= addr:
        return vma
    return None


def copy_vma(vma, addr, len, pgoff):
    """Copy a vma to another address, at which nothing is mapped. mmap_sem is held for writing."""
    mm = vma.vm_mm

    # an anonymous vma without a page may say that it has always been at the new address
    if not vma.vm_file and not vma.anon_vma:
        pgoff = addr >> PAGE_SHIFT

    _, prev = find_vma_prepare(mm, addr)
    new_vma = kmem_cache_alloc_vma(mm, addr)
    new_vma.vm_mm = vma.vm_mm                       # *new_vma = *vma
    new_vma.vm_page_prot = vma.vm_page_prot
    new_vma.vm_flags = vma.vm_flags
    new_vma.vm_ops = vma.vm_ops
    new_vma.vm_file = vma.vm_file
    new_vma._anon_vma = vma.anon_vma                # nobody else knows of it yet
    if vma.vm_file:                                 # else no cursor
        new_vma._vm_private_data = data_race(vma.vm_private_data)
    new_vma.vm_start = addr
    new_vma.vm_end = addr + len
    new_vma.vm_pgoff = pgoff
    vma_link(mm, new_vma, prev)
    return new_vma
