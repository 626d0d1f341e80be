# SPDX-License-Identifier: GPL-2.0-only
"""Not kernel source: the disk, the slab and the scheduler that the kernel runs on. variants/mmu.py has memory and the MMU.

The disk. A transfer moves word 0 of each page when the request is submitted and word 1 when it completes. A device may read or
write memory at any time between the two, so this is a legal DMA, and the worst one for whatever is stored meanwhile. The
completion is an interrupt.

The slab hands out the one object that is meant for the purpose: a page's buffer, an mm's vma for an address, the mm that a
program names, a task's dio and bio, the bio of a pin. A schedule therefore does not change which object it is.
"""
from vmrace.harness.kernel import WRITE, current, data_race, now, raise_irq, touches, wake_up
from vmrace.variants.invalidate_2_6.pre_2_6_15.bio import bio_endio
from vmrace.variants.invalidate_2_6.pre_2_6_15.fault import do_page_fault
from vmrace.variants.invalidate_2_6.ops import copied_from_user
from vmrace.variants.invalidate_2_6.types import BIO_UPTODATE, PAGE_CACHE_SHIFT, READ_BIO, THE_DEVICE
from vmrace.variants.mmu import MMU_FAULT, mmu_load, read_word_of, write_word_of


__FILE__ = "hardware"

# ---- user buffers ------------------------------------------------------------------------------------------------------


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


def transfer_of_memory(rw, bdev, block, buf, word):
    if rw == READ_BIO:
        transfer(rw, bdev, block, buf.data, word)
    else:
        write_word_of(disk_block(bdev, block), word, buf.value)


def memory_interrupt(bio, rw, bdev, block, buf):
    transfer_of_memory(rw, bdev, block, buf, 1)
    bio_endio(bio, bio.bi_size, 0)


def page_interrupt(bio, rw, bdev, block, data):
    bio.bi_private.buf.moved += (transfer(rw, bdev, block, data, 1),)
    bio_endio(bio, bio.bi_size, 0)


def submit_user_bio(rw, bio):
    """submit_bio(), of direct I/O: read into memory whose page, if it has one, is not locked, or write from it.

    `bv_page` is a page, or the user_buffer of memory without one: a write then stores its `value` in both words. The user_buffer of a page
    notes the words that were moved.
    """
    bdev = bio.bi_bdev
    block = bio.bi_sector >> PAGE_CACHE_SHIFT - 9
    page = bio.bi_io_vec[0].bv_page
    buf = bio.bi_private.buf
    if page is buf:
        transfer_of_memory(rw, bdev, block, buf, 0)
        raise_irq(memory_interrupt, bio, rw, bdev, block, buf)
    else:
        buf.moved += (transfer(rw, bdev, block, page.data, 0),)
        raise_irq(page_interrupt, bio, rw, bdev, block, page.data)


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


def kmalloc_dio():
    """kmalloc(sizeof(*dio), GFP_KERNEL)"""
    dio = current().dio
    touches(WRITE, dio, "in_use")
    assert not dio.in_use, dio
    dio.in_use = 1
    return dio


def bio_alloc(bio, nr_iovecs):
    """bio_alloc(GFP_KERNEL, nr_iovecs), which waits for memory and does not fail: `bio` is the one that is meant for the purpose."""
    touches(WRITE, bio, "in_use")
    assert not bio.in_use, bio
    bio.in_use = 1
    bio.bi_flags.word = 1 << BIO_UPTODATE           # bio_init(): nobody else knows of it yet
    bio.bi_rw = bio.bi_vcnt = bio.bi_phys_segments = bio.bi_hw_segments = bio.bi_size = 0
    bio.bi_end_io = bio.bi_private = None
    bio.bi_io_vec = (bio.vec,)
    return bio


def bio_put(bio):
    """Drop the only reference."""
    kmem_cache_free(bio)


def kmem_cache_free(obj):
    touches(WRITE, obj, "in_use")
    obj.in_use = 0


# ---- the scheduler -----------------------------------------------------------------------------------------------------


def wake_up_process(p):
    """The machine wakes tasks through wait queues. `p` is alone on its own one while it sleeps, if another task can wake it so."""
    wake_up(p.wait)
