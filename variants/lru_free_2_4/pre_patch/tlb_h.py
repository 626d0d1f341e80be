# SPDX-License-Identifier: GPL-2.0-only
"""include/asm-generic/tlb.h, the SMP form: pages of a torn-down range are freed once no cpu can still reach them.

Fast mode, for an mm with a single user, frees each page at once; otherwise ptes are gathered and freed after the flush.
Callers hold the mm's page_table_lock throughout. A machine with one cpu runs this form too; a kernel built for one frees
each page at once even for an mm with several users.
"""
from vmrace.harness.kernel import atomic_read, smp_processor_id
from vmrace.variants.lru_free_2_4.pre_patch.hardware import ptep_get_and_clear
from vmrace.variants.lru_free_2_4.pre_patch.memory import __free_pte
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import pte_clear
from vmrace.variants.lru_free_2_4.types import FREE_PTE_NR, TLB_FAST_MODE, mmu_gathers


__FILE__ = "include/asm-generic/tlb.h"


def tlb_gather_mmu(mm):
    tlb = mmu_gathers[smp_processor_id()]
    tlb.mm = mm
    # Use fast mode if there is only one user of this mm
    tlb.nr = TLB_FAST_MODE if atomic_read(mm.mm_users) == 1 else 0
    tlb.ptes = ()                                   # only here: ptes: a tuple that grows, where C has an array
    return tlb


def tlb_remove_page(tlb, ptep, addr):
    # not here: if tlb.nr: what to flush
    # the common case first
    if tlb.nr == TLB_FAST_MODE:
        pte = ptep.val
        pte_clear(ptep)
        __free_pte(pte)
        return
    tlb.ptes += (ptep_get_and_clear(ptep),)
    tlb.nr += 1
    if tlb.nr >= FREE_PTE_NR:
        tlb_finish_mmu(tlb, 0, 0)


def tlb_finish_mmu(tlb, start, end):
    # not here: if nr: a flush
    # the fast case first
    if tlb.nr == TLB_FAST_MODE:
        return                                      # flush_tlb_range(tlb->mm, start, end)
    nr = tlb.nr
    tlb.nr = 0
    for i in range(nr):
        pte = tlb.ptes[i]
        __free_pte(pte)
