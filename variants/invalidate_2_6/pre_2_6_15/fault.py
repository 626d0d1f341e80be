# SPDX-License-Identifier: GPL-2.0-only
"""arch/i386/mm/fault.c, and as much of mm/oom_kill.c as a machine needs on which whoever asks for memory is the one killed."""
from vmrace.harness.kernel import current, down_read, up_read
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import __handle_mm_fault
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import find_vma
from vmrace.variants.invalidate_2_6.types import PF_MEMDIE, VM_EXEC, VM_FAULT_OOM, VM_FAULT_SIGBUS, VM_READ, VM_WRITE


__FILE__ = "arch/i386/mm/fault.c"


def do_page_fault(address, write, user=1):
    """Returns None to restart the instruction, or the signal. If it is the kernel's own, which the exception table knows, anything but
    None is its fixup; the trylock of mmap_sem before that table is asked is left out."""
    mm = current().mm
    # in_atomic(): no fault may be taken
    if current().preempt_count:
        return "SIGSEGV"                            # bad_area_nosemaphore:
    down_read(mm.mmap_sem)
    vma = find_vma(mm, address)
    if not vma or vma.vm_start > address or not vma.vm_flags & (VM_WRITE if write else VM_READ | VM_EXEC):
        # bad_area:
        up_read(mm.mmap_sem)
        return "SIGSEGV"

    fault = __handle_mm_fault(mm, vma, address, write)
    up_read(mm.mmap_sem)
    if fault == VM_FAULT_SIGBUS:
        return "SIGBUS"
    if fault == VM_FAULT_OOM:
        return "SIGKILL"                            # out_of_memory:
    # minor or major, perhaps with VM_FAULT_WRITE, which is for get_user_pages()
    return "SIGKILL" if user and current().flags & PF_MEMDIE else None


__FILE__ = "mm/oom_kill.c"


def select_bad_process():
    """The task that asks: who has used the most memory for the shortest time is left out, and who is being killed already (see types)."""
    return current()


def oom_kill_process(p):
    """Set TIF_MEMDIE, and send SIGKILL."""
    p.flags |= PF_MEMDIE


def out_of_memory(gfp_mask):
    """Kill a process. It does not wait: its SIGKILL ends schedule_timeout_interruptible() at once."""
    p = select_bad_process()

    oom_kill_process(p)
