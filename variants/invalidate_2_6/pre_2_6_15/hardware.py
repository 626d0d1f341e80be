# SPDX-License-Identifier: GPL-2.0-only
"""Not kernel source: what the kernel runs on. The MMU, memory, the disk, and the slab.

The MMU. A user access is two steps: on the pte slot, where the accessed bit is set and for a store the dirty bit too, and on the
word. If the pte no longer leads to that word when it is its turn, the instruction starts again. That is sound for every
pte change that is followed by a flush: the flush's interrupt is answered between two instructions, so once it is over each
access is either complete, its bits in the pte, or will walk the new table. There is no TLB, and so no stale entry between a
change and its flush (a limit, see types).

Memory. What several may reach is read and written a word at a time, each access a point on the frame; a page that only the
caller knows of is copied or cleared at once.

The disk. A transfer moves word 0 of each page when the request is submitted and word 1 when it completes. A device may read or
write memory at any time between the two, so this is a legal DMA, and the worst one for whatever is stored meanwhile. The
completion is an interrupt.

The slab hands out the one object that is meant for the purpose: a page's buffer, an mm's vma for an address, the mm that a
program names. So which object it is does not depend on the schedule.
"""
from vmrace.harness.kernel import READ, RMW, WRITE, current, data_race, now, point, raise_irq, touches
from vmrace.variants.invalidate_2_6.pre_2_6_15.fault import do_page_fault
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import pte_mkdirty, pte_mkyoung, pte_offset, pte_page, pte_present, pte_write
from vmrace.variants.invalidate_2_6.ops import copied_from_user
from vmrace.variants.invalidate_2_6.types import PAGE_CACHE_SHIFT, READ_BIO, THE_DEVICE


__FILE__ = "hardware"

MMU_FAULT = "MMU_FAULT"

# ---- memory ------------------------------------------------------------------------------------------------------------


def read_word_of(frame, word):
    point(frame, READ)
    return frame.word1 if word else frame.word0


def write_word_of(frame, word, value):
    point(frame, WRITE)
    if word:
        frame.word1 = value
    else:
        frame.word0 = value


def copy_to_new_page(new, old):
    """copy_user_highpage(): nobody else knows of the new page yet."""
    new.data.word0 = read_word_of(old.data, 0)
    new.data.word1 = read_word_of(old.data, 1)


def clear_new_page(page):
    """clear_user_highpage(), of a page that nobody else knows of"""
    page.data.word0 = 0
    page.data.word1 = 0


def memset_page(page):
    """memset(kaddr, 0, PAGE_CACHE_SIZE)"""
    write_word_of(page.data, 0, 0)
    write_word_of(page.data, 1, 0)


# ---- the MMU -----------------------------------------------------------------------------------------------------------


def still_maps(slot, page, store):
    touches(WRITE if store else READ, slot)
    pte = slot._val
    return pte_present(pte) and pte[0] is page and (pte[1] or not store)


def mmu_load(mm, address, word):
    """A user load through `mm`: the word, or MMU_FAULT."""
    slot = pte_offset(mm, address)
    while True:
        point(slot, RMW)
        pte = slot._val
        if not pte_present(pte):
            return MMU_FAULT
        slot._val = pte_mkyoung(pte)
        page = pte_page(pte)
        data = page.data
        point(data, READ)
        if still_maps(slot, page, 0):
            return data.word1 if word else data.word0


def mmu_store(mm, address, word, value):
    """A user store through `mm`: None, or MMU_FAULT."""
    slot = pte_offset(mm, address)
    while True:
        point(slot, RMW)
        pte = slot._val
        if not pte_present(pte) or not pte_write(pte):
            return MMU_FAULT
        slot._val = pte_mkyoung(pte_mkdirty(pte))
        page = pte_page(pte)
        data = page.data
        point(data, WRITE)
        if still_maps(slot, page, 1):
            slot._val = pte_mkdirty(slot._val)      # who took the bit meanwhile has flushed before this instruction or after it
            if word:
                data.word1 = value
            else:
                data.word0 = value
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


def load_from_user(buf, word):
    """A load of the kernel's from a user buffer: the word, or MMU_FAULT where the exception table leads elsewhere."""
    if buf.address is None:
        return buf.value
    while True:
        value = mmu_load(current().mm, buf.address, word)
        if value is not MMU_FAULT or do_page_fault(buf.address, 0, 0):
            return value


def copy_word_from_user(frame, buf, word):
    """movs: load it, store it. Returns 1 if it cannot be loaded."""
    since = now()
    value = load_from_user(buf, word)
    if value is MMU_FAULT:
        return 1
    copied_from_user(buf, word, value, since)
    write_word_of(frame, word, value)
    return 0


# ---- the disk ----------------------------------------------------------------------------------------------------------


def disk_block(bdev, block):
    return bdev.block1 if block else bdev.block0


def transfer(rw, bdev, block, data, word):
    """Move a word. Returns its value."""
    source, target = (disk_block(bdev, block), data) if rw == READ_BIO else (data, disk_block(bdev, block))
    value = read_word_of(source, word)
    write_word_of(target, word, value)
    return value


def disk_interrupt(rw, bdev, segments, end_io, private):
    """The second half of the transfer, and the end of the request."""
    for block, data in segments:
        transfer(rw, bdev, block, data, 1)
    end_io(private)


def submit_bio(rw, bdev, segments, end_io, private):
    """`segments` are blocks and the frames they go to or come from; end_io(private) runs in the interrupt."""
    for block, data in segments:
        transfer(rw, bdev, block, data, 0)
        if rw == READ_BIO:
            data.struct.locker = THE_DEVICE         # its completion unlocks the page
    raise_irq(disk_interrupt, rw, bdev, segments, end_io, private)


def value_interrupt(bdev, block, value, end_io, private):
    write_word_of(disk_block(bdev, block), 1, value)
    end_io(private)


def submit_buffer(rw, bdev, block, buf, end_io, private):
    """Read into a user buffer that no other task accesses, or write from it: both its words hold `buf.value` then."""
    if rw == READ_BIO:
        transfer(rw, bdev, block, buf.data, 0)
        raise_irq(disk_interrupt, rw, bdev, ((block, buf.data),), end_io, private)
    else:
        write_word_of(disk_block(bdev, block), 0, buf.value)
        raise_irq(value_interrupt, bdev, block, buf.value, end_io, private)


def page_interrupt(rw, bdev, block, data, end_io, dio):
    dio.moved += (transfer(rw, bdev, block, data, 1),)
    end_io(dio)


def submit_page(rw, bdev, block, data, end_io, dio):
    """Read into a page that is not locked, or write from it, for direct I/O. `dio` notes the words that were moved."""
    dio.moved += (transfer(rw, bdev, block, data, 0),)
    raise_irq(page_interrupt, rw, bdev, block, data, end_io, dio)


def server_write(inode, index, value):
    """Another client writes a page of the file on the server. Returns 0 if the file has no such page, or no block for it."""
    if index >= data_race(inode.i_size) >> PAGE_CACHE_SHIFT or not data_race(inode.i_block[index]):
        return 0
    write_word_of(disk_block(inode.i_bdev, index), 0, value)
    write_word_of(disk_block(inode.i_bdev, index), 1, value)
    return 1


def clear_user_buffer(buf):
    """memset(kaddr, 0, PAGE_SIZE), of such a buffer"""
    write_word_of(buf.data, 0, 0)
    write_word_of(buf.data, 1, 0)


def device_write(page, value):
    """A device that a driver has given the page to writes it."""
    write_word_of(page.data, 0, value)
    write_word_of(page.data, 1, value)


def device_read(page):
    """A device that a driver has given the page to reads it: both words."""
    return read_word_of(page.data, 0), read_word_of(page.data, 1)


# ---- the slab ----------------------------------------------------------------------------------------------------------


def kmem_cache_alloc_vma(mm, address):
    """kmem_cache_alloc(vm_area_cachep, SLAB_KERNEL)"""
    vma = mm.vma0 if address < 0x2000 else mm.vma1 if address < 0x4000 else mm.vma2
    touches(WRITE, vma, "in_use")
    assert not vma.in_use, vma
    vma.in_use = 1
    return vma


def kmem_cache_alloc_mm(mm):
    """kmem_cache_alloc(mm_cachep, SLAB_KERNEL)"""
    touches(WRITE, mm, "in_use")
    mm.in_use = 1


def kmem_cache_free(obj):
    touches(WRITE, obj, "in_use")
    obj.in_use = 0
