# SPDX-License-Identifier: GPL-2.0-only
"""arch/x86/mm/fault.c and mm/oom_kill.c: a fault of user space, and the end of a process if no memory is left.

sysctl_oom_kill_allocating_task is 1, a legal setting: the task that asks for memory is the one killed.
"""
from vmrace.harness.kernel import BUG, current, down_read, spin_lock, spin_unlock, up_read
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import handle_mm_fault
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mmap import find_vma
from vmrace.variants.cow_swap_2_6.types import (
    PF_MEMDIE,
    VM_EXEC,
    VM_FAULT_ERROR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_READ,
    VM_WRITE,
    zone_normal,
    zone_scan_mutex,
)


__FILE__ = "arch/x86/mm/fault.c"


# only here: if current.flags & PF_MEMDIE: the return to user space delivers the signal of out_of_memory()
def do_page_fault(address, write):
    """Return None to restart the instruction, or the signal."""
    mm = current().mm
    down_read(mm.mmap_sem)
    vma = find_vma(mm, address)
    if not vma:
        up_read(mm.mmap_sem)                        # goto bad_area
        return "SIGSEGV"
    if not vma.vm_start <= address:
        up_read(mm.mmap_sem)                        # goto bad_area
        return "SIGSEGV"

    # good_area:
    if write:
        if not vma.vm_flags & VM_WRITE:
            up_read(mm.mmap_sem)                    # goto bad_area
            return "SIGSEGV"
    else:
        if not vma.vm_flags & (VM_READ | VM_EXEC | VM_WRITE):
            up_read(mm.mmap_sem)                    # goto bad_area
            return "SIGSEGV"

    fault = handle_mm_fault(mm, vma, address, write)
    if fault & VM_FAULT_ERROR:
        if fault & VM_FAULT_OOM:
            # out_of_memory:
            up_read(mm.mmap_sem)
            return "SIGKILL"
        elif fault & VM_FAULT_SIGBUS:
            # do_sigbus:
            up_read(mm.mmap_sem)
            return "SIGBUS"
        BUG(755)
    up_read(mm.mmap_sem)
    # force_sig() of out_of_memory() is noticed on the way back to user space
    return "SIGKILL" if current().flags & PF_MEMDIE else None


__FILE__ = "mm/oom_kill.c"


# not here: if verbose: the log
def __oom_kill_task(p, verbose):
    """Give the task all the memory it needs for its exit."""
    p.flags |= PF_MEMDIE


# not here: if p.mm: the process of a task that is outside the program has an mm, which is left out
def oom_kill_task(p):
    """Returns 0: the task is killed."""
    __oom_kill_task(p, 1)

    return 0


# not here: printk_ratelimit(): the log
# not here: if printk_ratelimit(): as above
# not here: if p.flags & PF_EXITING: a task that exits asks for no memory
# not here: printk: the log
# not here: task_pid_nr(p): as above
# not here: if p.children.next == p.children: a limit: a child that has an mm of its own would be killed first
def oom_kill_process(p, gfp_mask):
    return oom_kill_task(p)


def try_set_zone_oom(gfp_mask):
    """Returns 0 if another task is killing a process already."""
    ret = 1

    spin_lock(zone_scan_mutex)
    zone = zone_normal
    if zone.oom_locked:
        ret = 0
        spin_unlock(zone_scan_mutex)                # goto out
        return ret

    # a parallel call must not succeed
    zone.oom_locked = 1

    # out:
    spin_unlock(zone_scan_mutex)
    return ret


def clear_zonelist_oom(gfp_mask):
    """End what try_set_zone_oom() has begun."""
    spin_lock(zone_scan_mutex)
    zone = zone_normal
    zone.oom_locked = 0
    spin_unlock(zone_scan_mutex)


# not here: blocking_notifier_call_chain(oom_notify_list, 0, out(0)): no driver keeps memory to give back
def out_of_memory(gfp_mask):
    """Kill the current process."""
    oom_kill_process(current(), gfp_mask)
