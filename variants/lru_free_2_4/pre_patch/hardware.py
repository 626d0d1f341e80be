# SPDX-License-Identifier: GPL-2.0-only
"""Not kernel source: what the kernel runs on. The MMU, the disk, DMA, and the slab.

The MMU. A user access is one step on its pte slot, and in that step, with nothing in between, the translation and the
access: the accessed bit is set, for a store the dirty bit too, and the word is read or written. That is sound for every pte
change that is followed by a flush: the shootdown's interrupt is answered between two instructions, so once the flush is over
each access is either complete, its bits in the pte, or will walk the new table. The pte is read from the table each time:
there is no TLB, and so no stale entry between a change and its flush (a limit, see types).

The disk. A transfer moves word 0 when the request is submitted and word 1 when it completes. A device may read or write
memory at any time between the two, so this is a legal DMA, and the worst one for whatever is stored to the page meanwhile.
The completion is an interrupt that runs the buffer's b_end_io. A device knows no lock of the kernel: what it does to memory is
marked data_race().

The slab hands out the one object that is meant for the purpose: a page's buffer, an mm's vma for an address, the mm that a
program names. So which object it is does not depend on the schedule. Its own locks are leaves nobody waits under.
"""
from vmrace.harness.kernel import BUG, READ, RMW, WRITE, current, data_race, point, raise_irq, touches
from vmrace.variants.lru_free_2_4.pre_patch.buffer import buffer_mapped
from vmrace.variants.lru_free_2_4.pre_patch.memory import do_page_fault
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import (
    pte_mkdirty,
    pte_mkold,
    pte_mkyoung,
    pte_offset,
    pte_page,
    pte_present,
    pte_write,
    pte_wrprotect,
    pte_young,
)


MMU_FAULT = "MMU_FAULT"

# ---- locked instructions on a pte, asm-i386/pgtable.h ----------------------------------------------------------------

__FILE__ = "include/asm-i386/pgtable.h"


def ptep_get_and_clear(ptep):
    """xchg"""
    point(ptep, RMW)
    pte = ptep._val
    ptep._val = None
    return pte


def ptep_test_and_clear_young(ptep):
    """lock btr"""
    point(ptep, RMW)
    pte = ptep._val
    ptep._val = pte_mkold(pte)
    return pte_young(pte)


def ptep_set_wrprotect(ptep):
    """lock btr"""
    point(ptep, RMW)
    ptep._val = pte_wrprotect(ptep._val)


# ---- the MMU ---------------------------------------------------------------------------------------------------------

__FILE__ = "hardware"


def mmu_load(mm, address, word):
    """A user load through `mm`: the word, or MMU_FAULT."""
    slot = pte_offset(mm, address)
    point(slot, RMW)
    pte = slot._val
    if not pte_present(pte):
        return MMU_FAULT
    slot._val = pte_mkyoung(pte)
    page = pte_page(pte)
    touches(READ, page, "word1" if word else "word0")
    return page._word1 if word else page._word0


def mmu_store(mm, address, word, value):
    """A user store through `mm`: None, or MMU_FAULT."""
    slot = pte_offset(mm, address)
    point(slot, RMW)
    pte = slot._val
    if not pte_present(pte) or not pte_write(pte):
        return MMU_FAULT
    slot._val = pte_mkyoung(pte_mkdirty(pte))
    page = pte_page(pte)
    touches(WRITE, page, "word1" if word else "word0")
    if word:
        page._word1 = value
    else:
        page._word0 = value
    return None


def user_load(address, word):
    """The instruction, restarted after each fault: (value, None), or (None, the signal that ended it)."""
    while True:
        value = mmu_load(current().mm, address, word)
        if value is not MMU_FAULT:
            return value, None
        signal = do_page_fault(address, 0)
        if signal:
            return None, signal


def user_store(address, word, value):
    """The instruction, restarted after each fault: None, or the signal that ended it."""
    while True:
        if mmu_store(current().mm, address, word, value) is not MMU_FAULT:
            return None
        signal = do_page_fault(address, 1)
        if signal:
            return signal


# ---- devices ---------------------------------------------------------------------------------------------------------

def dma_write(page, value):
    """A device writes both words of a page that somebody has pinned for it."""
    data_race(page).word0 = value
    data_race(page).word1 = value


def dma_read(page):
    """A device reads both words of a page that somebody has pinned for it."""
    return (data_race(page.word0), data_race(page.word1))


def disk_interrupt(rw, dev, block, page, bh):
    """The second half of the transfer, and the end of the request."""
    if rw == READ:
        data_race(page).word1 = data_race(dev.word1[block])
    else:
        data_race(dev.word1)[block] = data_race(page.word1)
    bh.b_end_io(bh, 1)


__FILE__ = "drivers/block/ll_rw_blk.c"


def __make_request(rw, bh):
    """The request queue and the driver behind it: the first half of the transfer is done at once. Returns 0: the request is theirs."""
    if not buffer_mapped(bh):
        BUG(937)

    dev = bh.b_rdev
    block = bh.b_blocknr
    page = bh.b_page
    if rw == READ:
        data_race(page).word0 = data_race(dev.word0[block])
    else:
        data_race(dev.word0)[block] = data_race(page.word0)
    raise_irq(disk_interrupt, rw, dev, block, page, bh)
    return 0


# ---- the slab, memcpy ------------------------------------------------------------------------------------------------

__FILE__ = "mm/slab.c"


def kmem_cache_alloc_bh(page):
    """kmem_cache_alloc(bh_cachep, SLAB_NOFS)"""
    return page.bh


def kmem_cache_alloc_vma(mm, address):
    """kmem_cache_alloc(vm_area_cachep, SLAB_KERNEL); address None asks for do_munmap()'s spare one."""
    vma = mm.vma_extra if address is None else (mm.vma0, mm.vma1, mm.vma2)[address >> 13]
    touches(WRITE, vma, "in_use")
    assert not vma.in_use, vma
    vma.in_use = 1
    return vma


def kmem_cache_alloc_mm(mm):
    """kmem_cache_alloc(mm_cachep, SLAB_KERNEL)"""
    touches(WRITE, mm, "in_use")
    if mm.in_use:
        return None
    mm.in_use = 1
    return mm


def kmem_cache_free(obj):
    touches(WRITE, obj, "in_use")
    obj.in_use = 0


def memset_mm(mm):
    """memset(mm, 0, sizeof(*mm)), as far as exit_mmap() has left anything."""
    mm.mmap = None
    mm.mmap_cache = None
    mm.mm_rb = None
    mm.map_count = 0
    mm.total_vm = 0
    mm.swap_address = 0


def memcpy_mm(mm, oldmm):
    """memcpy(mm, oldmm, sizeof(*mm)), as far as mm_init() and dup_mmap() do not overwrite it. No lock of oldmm is held."""
    mm.mm_rb = data_race(oldmm.mm_rb)
    mm.total_vm = oldmm.total_vm


def copy_vma(tmp, mpnt):
    """*tmp = *mpnt; the links are set afterwards."""
    tmp.vm_mm = mpnt.vm_mm
    tmp.vm_start = mpnt.vm_start
    tmp.vm_end = mpnt.vm_end
    tmp.vm_page_prot = mpnt.vm_page_prot
    tmp.vm_flags = mpnt.vm_flags
    tmp.vm_ops = mpnt.vm_ops
    tmp.vm_pgoff = mpnt.vm_pgoff
    tmp.vm_file = mpnt.vm_file
