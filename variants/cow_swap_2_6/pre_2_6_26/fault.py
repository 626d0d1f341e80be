# SPDX-License-Identifier: GPL-2.0-only
"""arch/x86/mm/fault.c, and as much of mm/oom_kill.c as a machine needs on which the task that asks for memory is the one killed."""
from vmrace.harness.kernel import current, down_read, spin_lock, spin_unlock, up_read
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


def do_page_fault(address, write):
    """Return None to restart the instruction, or the signal. The fault is of user space, so the trylock of mmap_sem decides nothing."""
    mm = current().mm
    down_read(mm.mmap_sem)
    vma = find_vma(mm, address)
    if not vma or vma.vm_start > address or not vma.vm_flags & (VM_WRITE if write else VM_READ | VM_EXEC | VM_WRITE):
        # bad_area:
        up_read(mm.mmap_sem)
        return "SIGSEGV"

    # good_area:
    fault = handle_mm_fault(mm, vma, address, write)
    if fault & VM_FAULT_ERROR:
        if fault & VM_FAULT_OOM:
            # out_of_memory:
            up_read(mm.mmap_sem)
            return "SIGKILL"
        if fault & VM_FAULT_SIGBUS:
            # do_sigbus:
            up_read(mm.mmap_sem)
            return "SIGBUS"
    up_read(mm.mmap_sem)
    # the signal of out_of_memory() is delivered on the way back to user space
    return "SIGKILL" if current().flags & PF_MEMDIE else None


__FILE__ = "mm/oom_kill.c"


def try_set_zone_oom(gfp_mask):
    """Returns 0 if another task is killing a process already."""
    ret = 1

    spin_lock(zone_scan_mutex)
    if zone_normal.oom_locked:
        ret = 0
    else:
        zone_normal.oom_locked = 1
    # out:
    spin_unlock(zone_scan_mutex)
    return ret


def clear_zonelist_oom(gfp_mask):
    spin_lock(zone_scan_mutex)
    zone_normal.oom_locked = 0
    spin_unlock(zone_scan_mutex)


def out_of_memory(gfp_mask):
    """Kill the current process. select_bad_process() and its clocks are left out: see types."""
    current().flags |= PF_MEMDIE
