# SPDX-License-Identifier: GPL-2.0-only
"""mm/mmap.c: vmas. Each is one page, and there is a hole of a page between any two addresses: they neither merge nor split. All of them are
private and anonymous."""
from vmrace.harness.kernel import current, down_write, up_write
from vmrace.variants.cow_swap_2_6.pre_2_6_26.hardware import kmem_cache_alloc_vma, kmem_cache_free
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import tlb_finish_mmu, tlb_gather_mmu, unmap_vmas
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import __anon_vma_link, anon_vma_lock, anon_vma_unlink, anon_vma_unlock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import lru_add_drain
from vmrace.variants.cow_swap_2_6.types import (
    EINVAL,
    ENOMEM,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    TASK_SIZE,
    VM_MAYEXEC,
    VM_MAYREAD,
    VM_MAYWRITE,
    protection_map,
)


__FILE__ = "mm/mmap.c"


def remove_vma(vma):
    """Returns the next one."""
    next = vma.vm_next
    kmem_cache_free(vma)
    return next


def find_vma(mm, addr):
    """mmap_sem is held: the first vma that ends behind addr."""
    vma = mm.mmap
    while vma and vma.vm_end <= addr:
        vma = vma.vm_next
    return vma


def find_vma_prev(mm, addr):
    """And the one before it."""
    prev = None
    vma = mm.mmap
    while vma and vma.vm_end <= addr:
        prev = vma
        vma = vma.vm_next
    return vma, prev


def __vma_link_list(mm, vma, prev):
    if prev:
        vma.vm_next = prev.vm_next
        prev.vm_next = vma
    else:
        first = mm.mmap                             # it is rb_parent
        mm.mmap = vma
        vma.vm_next = first


def __vma_link(mm, vma, prev):
    """mmap_sem is held for writing."""
    __vma_link_list(mm, vma, prev)
    __anon_vma_link(vma)


def vma_link(mm, vma, prev):
    """mmap_sem is held for writing."""
    anon_vma_lock(vma)

    __vma_link(mm, vma, prev)

    anon_vma_unlock(vma)

    mm.map_count += 1


def do_mmap_pgoff(addr, len, prot, pgoff):
    """A private anonymous mapping at a fixed address, in place of what is there. mmap_sem is held for writing."""
    len = len + PAGE_SIZE - 1 & PAGE_MASK           # PAGE_ALIGN()
    if not len or len > TASK_SIZE:
        return -ENOMEM

    vm_flags = prot | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC     # calc_vm_prot_bits(): the same bits

    # MAP_PRIVATE: pgoff goes by addr, for the anon_vma
    pgoff = addr >> PAGE_SHIFT

    return mmap_region(addr, len, vm_flags, pgoff)


# only here: vma._anon_vma = 0: kmem_cache_zalloc()
# not here: if vm_flags & VM_SHARED: no vma is shared
def mmap_region(addr, len, vm_flags, pgoff):
    """Map what do_mmap_pgoff() has checked. mmap_sem is held for writing. Returns the address, or an error."""
    mm = current().mm

    # Clear old maps
    while True:
        # munmap_back:
        vma, prev = find_vma_prev(mm, addr)         # find_vma_prepare()
        if not (vma and vma.vm_start < addr + len):
            break
        if do_munmap(mm, addr, len):
            return -ENOMEM

    vma = kmem_cache_alloc_vma(mm, addr)
    vma._anon_vma = None                            # no other task knows of it yet

    vma.vm_mm = mm
    vma.vm_start = addr
    vma.vm_end = addr + len
    vma.vm_flags = vm_flags
    vma.vm_page_prot = protection_map[vm_flags & 0xf]           # vm_get_page_prot()
    vma.vm_pgoff = pgoff

    vma_link(mm, vma, prev)
    # out:
    return addr


def do_mmap2(addr, len, prot):
    """sys_mmap2(), of a private anonymous mapping at a fixed address"""
    mm = current().mm
    down_write(mm.mmap_sem)
    error = do_mmap_pgoff(addr, len, prot, 0)
    up_write(mm.mmap_sem)
    return error


# ---- unmapping -------------------------------------------------------------------------------------------------------------


__FILE__ = "mm/memory.c"


def free_pgtables(tlb, vma):
    """Hide the vmas from rmap. The page tables stay while another address of them is mapped; at the end of the process they go, too."""
    while vma:
        next = vma.vm_next
        anon_vma_unlink(vma)
        vma = next
    if tlb.fullmm:
        tlb.need_flush = 1                          # pte_free_tlb(), of free_pgd_range()


__FILE__ = "mm/mmap.c"


def find_extend_vma(mm, addr):
    """mmap_sem is held. No vma here grows."""
    addr &= PAGE_MASK
    vma = find_vma(mm, addr)
    if not vma:
        return None
    if vma.vm_start <= addr:
        return vma
    return None


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
    unmap_vmas(tlb, vma, start, end)
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

    end = start + len
    if vma.vm_start >= end:
        return 0

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
    """The last user is gone: only rmap and swapoff can still find the mm. No lock is held."""
    vma = mm.mmap
    lru_add_drain()
    tlb = tlb_gather_mmu(mm, 1)
    end = unmap_vmas(tlb, vma, 0, TASK_SIZE)
    free_pgtables(tlb, vma)
    tlb_finish_mmu(tlb, 0, end)

    while vma:
        vma = remove_vma(vma)
    mm.mmap = None
    mm.map_count = 0
