# SPDX-License-Identifier: GPL-2.0-only
"""kernel/fork.c: how an address space begins and ends. A program names the mm that a fork gets."""
from vmrace.harness.kernel import (
    atomic_dec_and_test,
    atomic_inc,
    atomic_set,
    current,
    data_race,
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
    """Copy the vmas and the page tables of `oldmm`, which is current's. Only rmap and truncation know of `mm` yet, through the files that
    it maps."""
    down_write(oldmm.mmap_sem)
    down_write(mm.mmap_sem)

    mm.mmap = None
    mm.map_count = 0
    prev = None

    mpnt = oldmm.mmap
    while mpnt:
        tmp = kmem_cache_alloc_vma(mm, mpnt.vm_start)
        tmp.vm_start = mpnt.vm_start                # *tmp = *mpnt
        tmp.vm_end = mpnt.vm_end
        tmp.vm_page_prot = mpnt.vm_page_prot
        tmp.vm_ops = mpnt.vm_ops
        tmp.vm_pgoff = mpnt.vm_pgoff
        tmp.vm_file = mpnt.vm_file
        tmp.vm_flags = mpnt.vm_flags
        tmp._anon_vma = mpnt._anon_vma              # mmap_sem is held for writing: nobody sets it now
        if mpnt.vm_file:                            # else no cursor
            tmp._vm_private_data = data_race(mpnt.vm_private_data)
        tmp.vm_flags &= ~VM_LOCKED
        tmp.vm_mm = mm
        tmp.vm_next = None
        # left out: anon_vma_link()
        file = tmp.vm_file
        if file:
            # insert tmp into the share list, just after mpnt
            mapping = file.f_mapping
            spin_lock(mapping.i_mmap_lock)
            tmp.vm_truncate_count = mpnt.vm_truncate_count
            list_add(tmp.shared, mpnt.shared)       # vma_prio_tree_add()
            count_mapped(mapping, tmp, 1)
            spin_unlock(mapping.i_mmap_lock)

        # link in the new vma and copy its page table entries
        if prev is None:
            mm.mmap = tmp
        else:
            prev.vm_next = tmp
        prev = tmp

        mm.map_count += 1
        retval = copy_page_range(mm, oldmm, mpnt)

        if retval:
            up_write(mm.mmap_sem)                   # goto out
            up_write(oldmm.mmap_sem)
            return retval
        mpnt = mpnt.vm_next
    # out:
    up_write(mm.mmap_sem)
    up_write(oldmm.mmap_sem)
    return 0


def mm_init(mm):
    """The locks of an mm that nobody knows are free, and its counters are 0."""
    atomic_set(mm.mm_users, 1)
    return mm


def mm_alloc(mm):
    kmem_cache_alloc_mm(mm)                         # allocate_mm()
    mm = mm_init(mm)
    return mm


def mmput(mm):
    # only here: kmem_cache_free(mm): free_mm(), by mmdrop(); no lazy TLB keeps the mm any longer
    if atomic_dec_and_test(mm.mm_users):
        exit_mmap(mm)
        kmem_cache_free(mm)


def copy_mm(clone_flags, mm):
    """For a new thread of current, or for its child, which gets `mm`. Only after it does the child begin to run."""
    oldmm = current().mm
    if not oldmm:
        return 0

    if clone_flags & CLONE_VM:
        atomic_inc(oldmm.mm_users)
        return 0                                    # goto good_mm

    kmem_cache_alloc_mm(mm)                         # allocate_mm()
    mm_init(mm)
    retval = dup_mmap(mm, oldmm)
    if retval:
        mmput(mm)                                   # goto free_pt
        return retval

    # good_mm:
    return 0


__FILE__ = "kernel/exit.c"


def exit_mm(tsk):
    mm = tsk.mm

    if not mm:
        return
    # against a core dump that is about to begin, of which there is none
    down_read(mm.mmap_sem)
    tsk.mm = None
    up_read(mm.mmap_sem)
    mmput(mm)
