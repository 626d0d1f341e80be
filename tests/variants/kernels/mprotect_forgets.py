# SPDX-License-Identifier: MIT
"""mprotect_fixup_all() of 2.4 that takes rights away and never gives them back, although the call returns 0."""
from vmrace.harness.kernel import spin_lock, spin_unlock


def mprotect_fixup_all(vma, newflags, prot):
    mm = vma.vm_mm
    spin_lock(mm.page_table_lock)
    vma.vm_flags = vma.vm_flags & newflags
    vma.vm_page_prot = prot
    spin_unlock(mm.page_table_lock)
    return 0
