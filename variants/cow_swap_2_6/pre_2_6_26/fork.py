# SPDX-License-Identifier: GPL-2.0-only
"""kernel/fork.c: how an address space begins and ends. A program names the mm that a fork gets."""
from vmrace.harness.kernel import (
    WRITE,
    atomic_dec_and_test,
    atomic_inc,
    atomic_set,
    current,
    down_read,
    down_write,
    list_del,
    spin_lock,
    spin_unlock,
    touches,
    up_read,
    up_write,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.hardware import kmem_cache_alloc_mm, kmem_cache_alloc_vma, kmem_cache_free
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import copy_page_range
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import mmlist_empty
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mmap import exit_mmap
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import anon_vma_link
from vmrace.variants.cow_swap_2_6.types import CLONE_VM, VM_DONTCOPY, VM_LOCKED, init_mm, mmlist_lock


__FILE__ = "kernel/fork.c"


def dup_mmap(mm, oldmm):
    """Copy the vmas and the page tables of `oldmm`, which is current's. Only rmap can find `mm` meanwhile, through its vmas."""
    down_write(oldmm.mmap_sem)
    # not linked in yet: no deadlock potential
    down_write(mm.mmap_sem)

    mm.mmap = None
    mm.map_count = 0
    prev = None

    mpnt = oldmm.mmap
    while mpnt:
        if mpnt.vm_flags & VM_DONTCOPY:
            mpnt = mpnt.vm_next
            continue
        tmp = kmem_cache_alloc_vma(mm, mpnt.vm_start)
        tmp.vm_start = mpnt.vm_start                # *tmp = *mpnt
        tmp.vm_end = mpnt.vm_end
        tmp.vm_page_prot = mpnt.vm_page_prot
        tmp.vm_pgoff = mpnt.vm_pgoff
        tmp._anon_vma = mpnt._anon_vma              # mmap_sem is held for writing: no task sets it now
        tmp.vm_flags = mpnt.vm_flags & ~VM_LOCKED
        tmp.vm_mm = mm
        tmp.vm_next = None
        anon_vma_link(tmp)

        # link it in, then copy its page table
        if prev is None:
            mm.mmap = tmp
        else:
            prev.vm_next = tmp
        prev = tmp

        mm.map_count += 1
        copy_page_range(mm, oldmm, mpnt)
        mpnt = mpnt.vm_next
    # out:
    up_write(mm.mmap_sem)
    up_write(oldmm.mmap_sem)
    return 0


def mm_init(mm):
    """The locks of an mm that was never used are free, its counters are 0, and it is on no list."""
    # only here: kmem_cache_alloc_mm: allocate_mm(), which each caller calls first
    kmem_cache_alloc_mm(mm)
    atomic_set(mm.mm_users, 1)


def mmput(mm):
    if atomic_dec_and_test(mm.mm_users):
        exit_mmap(mm)
        if not mmlist_empty(mm):
            spin_lock(mmlist_lock)
            list_del(mm.mmlist)
            touches(WRITE, init_mm.mmlist)          # for mmlist_empty(), which looks without the lock
            spin_unlock(mmlist_lock)
        kmem_cache_free(mm)                         # mmdrop(): no lazy TLB keeps the mm any longer


def get_task_mm(task):
    """The task is current, which cannot lose its mm: task_lock() is left out."""
    mm = task.mm
    if mm:
        atomic_inc(mm.mm_users)
    return mm


def copy_mm(clone_flags, mm):
    """For a new thread of current, or for its child, which gets `mm`."""
    oldmm = current().mm
    if clone_flags & CLONE_VM:
        atomic_inc(oldmm.mm_users)
        return 0
    mm_init(mm)                                     # dup_mm()
    return dup_mmap(mm, oldmm)


__FILE__ = "kernel/exit.c"


def exit_mm():
    mm = current().mm
    # mmap_sem, for a core dump in progress, of which there is none
    down_read(mm.mmap_sem)
    current().mm = None
    up_read(mm.mmap_sem)
    mmput(mm)
