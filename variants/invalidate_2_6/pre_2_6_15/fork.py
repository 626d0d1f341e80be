# SPDX-License-Identifier: GPL-2.0-only
"""kernel/fork.c: how an address space begins and ends. A program names the mm that a fork gets."""
from vmrace.harness.kernel import (
    atomic_dec_and_test,
    atomic_inc,
    atomic_set,
    current,
    down_read,
    down_write,
    list_add,
    spin_lock,
    spin_unlock,
    up_read,
    up_write,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import kmem_cache_alloc_mm, kmem_cache_alloc_vma, kmem_cache_free
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import copy_page_range
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import count_mapped
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import exit_mmap
from vmrace.variants.invalidate_2_6.types import CLONE_VM, VM_LOCKED


__FILE__ = "kernel/fork.c"


def dup_mmap(mm, oldmm):
    """Only rmap and truncation know of `mm` yet, through the files it maps. They take no mmap_sem, so that of `mm` is left out. No vma here
    has VM_DONTCOPY."""
    down_write(oldmm.mmap_sem)
    pprev = None
    mpnt = oldmm.mmap
    while mpnt:
        tmp = kmem_cache_alloc_vma(mm, mpnt.vm_start)
        tmp.vm_start = mpnt.vm_start                # *tmp = *mpnt
        tmp.vm_end = mpnt.vm_end
        tmp.vm_page_prot = mpnt.vm_page_prot
        tmp.vm_ops = mpnt.vm_ops
        tmp.vm_pgoff = mpnt.vm_pgoff
        tmp.vm_file = mpnt.vm_file
        tmp.vm_flags = mpnt.vm_flags & ~VM_LOCKED
        tmp._anon_vma = mpnt._anon_vma              # mmap_sem is held for writing: nobody sets it now
        tmp.vm_mm = mm
        tmp.vm_next = None
        # left out: anon_vma_link()
        file = tmp.vm_file
        if file:
            mapping = file.f_mapping
            # behind mpnt
            spin_lock(mapping.i_mmap_lock)
            tmp.vm_truncate_count = mpnt.vm_truncate_count
            tmp.vm_private_data = mpnt.vm_private_data
            list_add(tmp.shared, mpnt.shared)       # vma_prio_tree_add()
            count_mapped(mapping, tmp, 1)
            spin_unlock(mapping.i_mmap_lock)

        # link it in, then copy its page table
        if pprev is None:
            mm.mmap = tmp
        else:
            pprev.vm_next = tmp
        pprev = tmp
        mm.map_count += 1

        copy_page_range(mm, oldmm, mpnt)
        mpnt = mpnt.vm_next
    up_write(oldmm.mmap_sem)
    return 0


def mm_init(mm):
    """The locks of an mm that was never used are free."""
    # only here: kmem_cache_alloc_mm: allocate_mm(), which each caller calls first
    kmem_cache_alloc_mm(mm)
    atomic_set(mm.mm_users, 1)


def mmput(mm):
    # only here: kmem_cache_free(mm): free_mm(), by mmdrop(); no lazy TLB keeps the mm any longer
    if atomic_dec_and_test(mm.mm_users):
        exit_mmap(mm)
        kmem_cache_free(mm)


def copy_mm(clone_flags, mm):
    """For a new thread of current, or for its child, which gets `mm`."""
    oldmm = current().mm
    if clone_flags & CLONE_VM:
        atomic_inc(oldmm.mm_users)
        return 0
    mm_init(mm)
    return dup_mmap(mm, oldmm)


__FILE__ = "kernel/exit.c"


def exit_mm():
    mm = current().mm
    # mmap_sem, for a core dump in progress, of which there is none
    down_read(mm.mmap_sem)
    current().mm = None
    up_read(mm.mmap_sem)
    mmput(mm)
