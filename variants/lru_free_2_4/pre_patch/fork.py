# SPDX-License-Identifier: GPL-2.0-only
"""kernel/fork.c, with exec_mmap() and the exit of an mm: how an address space begins and ends.

A program names the mm that a fork or exec gets, so allocate_mm() is told which one the slab has ready.
"""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    atomic_dec_and_lock,
    atomic_dec_and_test,
    atomic_inc,
    atomic_read,
    atomic_set,
    current,
    down_write,
    list_add,
    list_del,
    list_entry,
    spin_lock,
    spin_unlock,
    up_write,
)
from vmrace.variants.lru_free_2_4.pre_patch.hardware import (
    copy_vma,
    kmem_cache_alloc_mm,
    kmem_cache_alloc_vma,
    kmem_cache_free,
    memcpy_mm,
    memset_mm,
)
from vmrace.variants.lru_free_2_4.pre_patch.memory import copy_page_range
from vmrace.variants.lru_free_2_4.pre_patch.mmap import build_mmap_rb, exit_mmap
from vmrace.variants.lru_free_2_4.types import CLONE_VM, ENOMEM, VM_DONTCOPY, VM_LOCKED, init_mm, mmlist_lock, vm


__FILE__ = "kernel/fork.c"


def dup_mmap(mm):
    """Copy current's address space into `mm`, so far a copy of its mm_struct. current->mm->mmap_sem is held for writing.

    mm_rb is the parent's until build_mmap_rb(), and swap_out() may search it meanwhile: that is how the source has it. The vma
    that find_vma() then remembers in mm->mmap_cache is the parent's, and stays there.
    """
    # not here: mm.rss = 0: 0, as exit_mmap() has left it: memcpy_mm() does not copy the parent's. The mm is still private
    # not here: mm.cpu_vm_mask = 0: for TLBs
    # not here: if tmp.vm_ops: files have no open() of a vma
    oldmm = current().mm
    mm.locked_vm = 0
    mm.mmap = None
    mm.mmap_cache = None
    mm.map_count = 0
    mm.swap_address = 0
    pprev = None                                    # None stands for &mm->mmap

    # After the parent on the list of mms, and before there is anything to find in it: swapoff wants to see all entries.
    spin_lock(mmlist_lock)
    list_add(mm.mmlist, oldmm.mmlist)
    vm.mmlist_nr += 1
    spin_unlock(mmlist_lock)

    mpnt = oldmm.mmap
    while mpnt:
        if mpnt.vm_flags & VM_DONTCOPY:
            mpnt = mpnt.vm_next
            continue
        tmp = kmem_cache_alloc_vma(mm, mpnt.vm_start)
        if not tmp:
            return -ENOMEM                          # goto fail_nomem
        copy_vma(tmp, mpnt)
        tmp.vm_flags &= ~VM_LOCKED
        tmp.vm_mm = mm
        tmp.vm_next = None
        file = tmp.vm_file
        if file:
            inode = file.f_dentry.d_inode

            # just behind mpnt on the file's list
            spin_lock(inode.i_mapping.i_shared_lock)
            tmp.vm_next_share = mpnt.vm_next_share
            if tmp.vm_next_share is not None:
                mpnt.vm_next_share.vm_pprev_share = tmp
            mpnt.vm_next_share = tmp
            tmp.vm_pprev_share = mpnt
            spin_unlock(inode.i_mapping.i_shared_lock)

        # Link it in, then copy its page table: swapoff wants to see all entries.
        spin_lock(mm.page_table_lock)
        if pprev is None:
            mm.mmap = tmp
        else:
            pprev.vm_next = tmp
        pprev = tmp
        mm.map_count += 1
        retval = copy_page_range(mm, oldmm, tmp)
        spin_unlock(mm.page_table_lock)

        if retval:
            return retval                           # goto fail_nomem
        mpnt = mpnt.vm_next
    retval = 0
    build_mmap_rb(mm)

    # fail_nomem:
    return retval                                   # flush_tlb_mm(current->mm)


def allocate_mm(mm):
    """The slab's object; `mm` is the one the program wants. None if it is in use."""
    return kmem_cache_alloc_mm(mm)


def free_mm(mm):
    kmem_cache_free(mm)


def mm_init(mm):
    """The page directory is left out, so this cannot fail."""
    # not here: if mm.pgd: see types
    atomic_set(mm.mm_users, 1)
    atomic_set(mm.mm_count, 1)
    mm.def_flags = 0
    return mm


def mm_alloc(mm):
    mm = allocate_mm(mm)
    if mm:
        memset_mm(mm)
        return mm_init(mm)
    return None


def __mmdrop(mm):
    """The last reference to the struct itself."""
    BUG_ON(mm is init_mm, 266)
    free_mm(mm)


def mmput(mm):
    """Drop one user. The last one takes the mm off the list, so that swap_out() cannot find it, and empties it."""
    if atomic_dec_and_lock(mm.mm_users, mmlist_lock):
        if vm.swap_mm is mm:
            vm.swap_mm = list_entry(mm.mmlist.next)
        list_del(mm.mmlist)
        vm.mmlist_nr -= 1
        spin_unlock(mmlist_lock)
        exit_mmap(mm)
        mmdrop(mm)


def copy_mm(clone_flags, mm):
    """Copy current's address space into `mm`; with CLONE_VM share current's, and `mm` is not used."""
    # not here: tsk.cmin_flt = 0: statistics
    # not here: tsk.cmaj_flt = 0: statistics
    # not here: tsk.nswap = 0: statistics
    # not here: tsk.cnswap = 0: statistics
    # not here: mm = oldmm: the program says which task is the child, and with that its tsk->mm and tsk->active_mm
    # not here: tsk: as above
    oldmm = current().mm
    if not oldmm:
        return 0

    if clone_flags & CLONE_VM:
        atomic_inc(oldmm.mm_users)
        return 0                                    # goto good_mm

    retval = -ENOMEM
    mm = allocate_mm(mm)
    if not mm:
        return retval                               # goto fail_nomem

    # copy everything
    memcpy_mm(mm, oldmm)
    if not mm_init(mm):
        return retval                               # goto fail_nomem

    down_write(oldmm.mmap_sem)
    retval = dup_mmap(mm)
    up_write(oldmm.mmap_sem)

    if retval:
        # free_pt:
        mmput(mm)
        return retval
    # good_mm:
    return 0


__FILE__ = "include/linux/sched.h"


def mmdrop(mm):
    if atomic_dec_and_test(mm.mm_count):
        __mmdrop(mm)


def task_lock(p):
    spin_lock(p.alloc_lock)


def task_unlock(p):
    spin_unlock(p.alloc_lock)


__FILE__ = "fs/exec.c"


def exec_mmap(mm):
    """Give current an empty address space, in `mm`."""
    # not here: mm_release(): it wakes a parent that sleeps in vfork(), and no operation calls that
    # not here: mmdrop(active_mm): the mm that a kernel thread has borrowed; tasks here borrow none
    old_mm = current().mm
    if old_mm and atomic_read(old_mm.mm_users) == 1:
        exit_mmap(old_mm)
        return 0

    mm = mm_alloc(mm)
    if mm:
        # on the list of mms
        spin_lock(mmlist_lock)
        list_add(mm.mmlist, init_mm.mmlist)
        vm.mmlist_nr += 1
        spin_unlock(mmlist_lock)

        task_lock(current())
        active_mm = current().active_mm
        current().mm = mm
        current().active_mm = mm
        task_unlock(current())
        if old_mm:
            if active_mm is not old_mm:
                BUG(447)
            mmput(old_mm)
            return 0
        return 0
    return -ENOMEM


__FILE__ = "kernel/exit.c"


def __exit_mm(tsk):
    # not here: mm_release(): see exec_mmap()
    # only here: tsk.active_mm = 0: the reference taken to the mm goes with the next task switch, in schedule(); here at once
    # only here: mmdrop(mm): as above
    mm = tsk.mm

    if mm:
        atomic_inc(mm.mm_count)
        BUG_ON(mm is not tsk.active_mm, 312)
        # more of a barrier than a lock
        task_lock(tsk)
        tsk.mm = None
        task_unlock(tsk)
        # enter_lazy_tlb(mm, current, smp_processor_id())
        mmput(mm)
        tsk.active_mm = None
        mmdrop(mm)


def do_exit(code):
    """End a process, as far as its address space goes. The kernel's never returns; the machine's task lives on as another process, so
    the rights of one that was killed end here."""
    __exit_mm(current())
    current().flags = 0
