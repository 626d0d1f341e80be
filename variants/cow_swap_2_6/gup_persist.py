# SPDX-License-Identifier: GPL-2.0-only
"""Hugh Dickins, 18 Jun 2008, against 2.6.26-rc6: get_user_pages() goes on asking for a writable pte.

The first candidate of the thread, for which Robin Holt reported the next day that it does not help him. It was posted once more on
23 Nov 2008 as 1/8 of the series that 2.6.29 has. One hunk of mm/memory.c. It changes nothing that another patch of this family changes,
so it is a switch: each variant can be linked with it.

Without it, do_wp_page() may tell get_user_pages() that it has broken COW while it leaves the pte read-only for another reason than
maybe_mkwrite(): before the next look, another task may have write-protected the pte again. Then the pin is of a page whose pte is
read-only, and a store of the user copies the page under the pin.
"""
from vmrace.harness.kernel import BUG
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import find_extend_vma, follow_page, handle_mm_fault, use_zero_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_alloc import cond_resched
from vmrace.variants.cow_swap_2_6.types import (
    EFAULT,
    ENOMEM,
    FOLL_ANON,
    FOLL_GET,
    FOLL_TOUCH,
    FOLL_WRITE,
    PAGE_SIZE,
    PF_MEMDIE,
    VM_FAULT_ERROR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_FAULT_WRITE,
    VM_IO,
    VM_MAYREAD,
    VM_MAYWRITE,
    VM_READ,
    VM_WRITE,
)

# ---- mm/memory.c, @@ -1152,9 +1152,15 @@ -----------------------------------------------------------------------------------
__FILE__ = "mm/memory.c"


def get_user_pages(tsk, mm, start, len, write, force, pages):
    """Make pages present, and append them to the list `pages` with a reference each, if there is one. mmap_sem is held. Returns how many
    they are, or an error."""
    if len <= 0:
        return 0
    # with force, only the MAY flags are needed
    vm_flags = VM_WRITE | VM_MAYWRITE if write else VM_READ | VM_MAYREAD
    vm_flags &= VM_MAYREAD | VM_MAYWRITE if force else VM_READ | VM_WRITE
    i = 0

    while True:
        vma = find_extend_vma(mm, start)
        if not vma or vma.vm_flags & VM_IO or not vm_flags & vma.vm_flags:
            return i or -EFAULT

        foll_flags = FOLL_TOUCH
        if pages is not None:
            foll_flags |= FOLL_GET
        if not write and use_zero_page(vma):
            foll_flags |= FOLL_ANON

        while True:
            # a victim of the lack of memory gets no more of it
            if tsk.flags & PF_MEMDIE:
                return i or -ENOMEM

            if write:
                foll_flags |= FOLL_WRITE

            cond_resched()
            while True:
                page = follow_page(vma, start, foll_flags)
                if page:
                    break
                ret = handle_mm_fault(mm, vma, start, foll_flags & FOLL_WRITE)
                if ret & VM_FAULT_ERROR:
                    if ret & VM_FAULT_OOM:
                        return i or -ENOMEM
                    elif ret & VM_FAULT_SIGBUS:
                        return i or -EFAULT
                    BUG(1169)
                # VM_FAULT_WRITE: do_wp_page() has broken COW, even if maybe_mkwrite() has left the pte read-only. To look the page up as
                # for a read from now on is safe, but only right where a writable pte will never come: elsewhere the user may want to
                # write to the page too, and a read-only pte lets that store copy it once more.
                if ret & VM_FAULT_WRITE and not vma.vm_flags & VM_WRITE:
                    foll_flags &= ~FOLL_WRITE

                cond_resched()
            if pages is not None:
                pages.append(page)
            i += 1
            start += PAGE_SIZE
            len -= 1
            if not (len and start < vma.vm_end):
                break
        if not len:
            break
    return i
