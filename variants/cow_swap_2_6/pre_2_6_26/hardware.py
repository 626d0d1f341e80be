# SPDX-License-Identifier: GPL-2.0-only
"""Not kernel source: the disk and the slab that the kernel runs on. variants/mmu.py has memory and the MMU.

The disk. A transfer moves word 0 of a page when the request is submitted and word 1 when it completes. A device may read or
write memory at any time between the two, so this is a legal DMA, and the worst one for a store meanwhile. The completion is an
interrupt.

The slab hands out the vma that an mm has for an address, and the first free anon_vma of an address. Two tasks that want an anon_vma at
the same address, in whatever mm, conflict. No other slab object depends on the schedule.
"""
from vmrace.harness.kernel import RMW, WRITE, raise_irq, touches
from vmrace.variants.cow_swap_2_6.types import READ_BIO, THE_DEVICE, anon_vma_cachep
from vmrace.variants.mmu import read_word_of, write_word_of


__FILE__ = "hardware"

# ---- the disk ----------------------------------------------------------------------------------------------------------


def slot_of(bdev, slot):
    return bdev.slot1 if slot == 1 else bdev.slot2 if slot == 2 else bdev.slot3 if slot == 3 else bdev.slot4


def transfer(rw, bio, word):
    slot, bdev, page, end_io = bio
    if rw == READ_BIO:
        write_word_of(page.data, word, read_word_of(slot_of(bdev, slot), word))
    else:
        write_word_of(slot_of(bdev, slot), word, read_word_of(page.data, word))


def disk_interrupt(rw, bio):
    """The second half of the transfer, and the end of the request."""
    transfer(rw, bio, 1)
    slot, bdev, page, end_io = bio
    bdev.busy = tuple(each for each in bdev.busy if each != slot)
    end_io(bio, 0)


def submit_bio(rw, bio):
    """Start a request for one page: bio is (slot, device, page, end_io), and the interrupt calls end_io(bio, error)."""
    transfer(rw, bio, 0)
    slot, bdev, page, end_io = bio
    bdev.overlapped |= slot in bdev.busy
    bdev.busy += (slot,)
    if rw == READ_BIO:
        page.locker = THE_DEVICE                    # its completion unlocks the page
    raise_irq(disk_interrupt, rw, bio)


# ---- the slab ----------------------------------------------------------------------------------------------------------


def kmem_cache_alloc_vma(mm, address):
    """kmem_cache_alloc(vm_area_cachep, GFP_KERNEL)"""
    vma = mm.vma0 if address < 0x2000 else mm.vma1 if address < 0x4000 else mm.vma2
    touches(WRITE, vma, "in_use")
    assert not vma.in_use, vma
    vma.in_use = 1
    return vma


def kmem_cache_alloc_mm(mm):
    """kmem_cache_alloc(mm_cachep, GFP_KERNEL)"""
    touches(WRITE, mm, "in_use")
    mm.in_use = 1


def kmem_cache_free(obj):
    touches(WRITE, obj, "in_use")
    obj.in_use = 0


def kmem_cache_alloc_anon_vma(address):
    """kmem_cache_alloc(anon_vma_cachep, GFP_KERNEL): one that was free before is as its constructor, or its last user, left it."""
    pool = anon_vma_cachep[0 if address < 0x2000 else 1 if address < 0x4000 else 2]
    touches(RMW, pool[0])
    free = [each for each in pool if not each.in_use]
    assert free, pool
    free[0].in_use = 1
    return free[0]


def kmem_cache_free_anon_vma(anon_vma):
    """The memory stays an anon_vma: SLAB_DESTROY_BY_RCU."""
    for pool in anon_vma_cachep:
        if anon_vma in pool:
            touches(WRITE, pool[0])
    anon_vma.in_use = 0
