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
from vmrace.variants.cow_swap_2_6.types import CLONE_VM, ENOMEM, VM_DONTCOPY, VM_LOCKED, init_mm, mmlist_lock


__FILE__ = "kernel/fork.c"


def copy_struct(tmp, mpnt):
    """*tmp = *mpnt"""
    tmp.vm_start = mpnt.vm_start
    tmp.vm_end = mpnt.vm_end
    tmp.vm_page_prot = mpnt.vm_page_prot
    tmp.vm_flags = mpnt.vm_flags
    tmp.vm_pgoff = mpnt.vm_pgoff
    tmp._anon_vma = mpnt._anon_vma                  # mmap_sem is held for writing: no task sets it now


# not here: if mpnt.vm_flags & VM_ACCOUNT: nothing is accounted
# not here: mpol_dup(0): no vma has a policy
# not here: PTR_ERR(mpol_dup()): as above
# not here: IS_ERR(mpol_dup()): as above
# not here: if IS_ERR(): as above
# not here: vma_set_policy(tmp, mpol_dup()): as above
# not here: retval = PTR_ERR(): as above
# not here: if tmp.vm_ops: no vma is of a file or a device
def dup_mmap(mm, oldmm):
    """Copy the vmas and the page tables of `oldmm`, which is current's. Only rmap can find `mm` meanwhile, through its vmas."""
    down_write(oldmm.mmap_sem)
    # not linked in yet: no deadlock potential
    down_write(mm.mmap_sem)

    mm.mmap = None
    mm.map_count = 0
    prev = None                                     # C has pprev, where to store the next one

    mpnt = oldmm.mmap
    while mpnt:
        if mpnt.vm_flags & VM_DONTCOPY:
            mpnt = mpnt.vm_next
            continue
        tmp = kmem_cache_alloc_vma(mm, mpnt.vm_start)
        copy_struct(tmp, mpnt)
        tmp.vm_flags &= ~VM_LOCKED
        tmp.vm_mm = mm
        tmp.vm_next = None
        anon_vma_link(tmp)

        # link in the new vma, and copy the page table entries
        if prev:
            prev.vm_next = tmp
        else:
            mm.mmap = tmp
        prev = tmp

        mm.map_count += 1
        retval = copy_page_range(mm, oldmm, mpnt)

        if retval:
            break                                   # goto out
        mpnt = mpnt.vm_next
    else:
        retval = 0
    # out:
    up_write(mm.mmap_sem)
    up_write(oldmm.mmap_sem)
    return retval


# An mm that was never used, as each is here, has free locks and counters of 0, and is on no list.
def mm_init(mm):
    """Returns the mm."""
    atomic_set(mm.mm_users, 1)
    return mm


# not here: if mm: the slab has each mm
def mm_alloc(mm):
    """For the first process."""
    kmem_cache_alloc_mm(mm)
    mm = mm_init(mm)
    return mm


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


# not here: if mm: the slab has each mm
def dup_mm(mm):
    """Allocate a new mm, and fill it from that of current. The program names it."""
    oldmm = current().mm

    kmem_cache_alloc_mm(mm)

    if not mm_init(mm):
        return None                                 # goto fail_nomem

    err = dup_mmap(mm, oldmm)
    if err:
        mmput(mm)                                   # goto free_pt
        return None

    return mm


# not here: mm = oldmm: the program says which task gets it
def copy_mm(clone_flags, mm):
    """For a new thread of current, or for its child, which gets `mm`."""
    oldmm = current().mm
    if clone_flags & CLONE_VM:
        atomic_inc(oldmm.mm_users)
        return 0                                    # goto good_mm

    retval = -ENOMEM
    mm = dup_mm(mm)
    if not mm:
        return retval                               # goto fail_nomem

    # good_mm:
    return 0


__FILE__ = "kernel/exit.c"


# not here: mm_release(tsk, mm): no parent waits for a vfork, and no thread for the end of this one
# not here: if mm.core_waiters: no core is being dumped
# not here: atomic_inc(mm.mm_count): no lazy TLB keeps an mm
# not here: if mm == tsk.active_mm: it is the one
# not here: enter_lazy_tlb(mm, current): as above
# not here: clear_freeze_flag(tsk): no task is frozen
# not here: mm_update_next_owner(mm): of control groups
def exit_mm(tsk):
    """The task loses its address space; with its last task the address space ends."""
    mm = tsk.mm
    # serialize with a core dump
    down_read(mm.mmap_sem)
    # more a memory barrier than a real lock: task_lock()
    tsk.mm = None
    up_read(mm.mmap_sem)
    mmput(mm)
