# SPDX-License-Identifier: GPL-2.0-only
"""fs/direct-io.c, of a synchronous request of one page and one block, for a regular file (DIO_LOCKING).

A user's buffer is a page of the process, which get_user_pages() pins, or memory that no other task accesses, which has no page. There the
user_buffer stands for the page: it goes through the request as a page does, without references, and is not marked dirty.

No request is asynchronous. Each is aligned to the block size of the file system, so blkfactor is 0, and no part of a block is zeroed.
"""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    add_wait_queue,
    current,
    down,
    down_read,
    remove_wait_queue,
    set_current_state,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
    test_bit,
    up,
    up_read,
    write_word,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.bio import bio_add_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import ext2_get_block
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_write_and_wait_range
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import (
    bio_alloc,
    bio_put,
    clear_user_buffer,
    kmalloc_dio,
    kmem_cache_free,
    submit_user_bio,
    wake_up_process,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import get_user_pages
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    buffer_boundary,
    buffer_mapped,
    buffer_new,
    i_size_read,
    kmap_atomic,
    kunmap_atomic,
    page_cache_get,
    page_cache_release,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty_lock
from vmrace.variants.invalidate_2_6.types import (
    BIO_MAX_PAGES,
    BIO_UPTODATE,
    DIO_PAGES,
    EIO,
    ENOTBLK,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_MASK,
    PAGE_SIZE,
    PF_SYNCWRITE,
    READ_BIO,
    WRITE_BIO,
)
from vmrace.variants.mmu import memset_page
from vmrace.variants.wait import io_schedule


__FILE__ = "fs/direct-io.c"


def dio_pages_present(dio):
    """How many pages are in the queue?"""
    return dio.tail - dio.head


def dio_refill_pages(dio):
    """Pin the page of the user's buffer. Returns 0 or an error."""
    nr_pages = min(dio.total_pages - dio.curr_page, DIO_PAGES)
    pages = []
    # not here: get_user_pages(current.mm, dio.curr_user_address, nr_pages, 1, 0, pages): `pages` is a list, which is new here
    # not here: get_user_pages(current.mm, dio.curr_user_address, nr_pages, 0, 0, pages): as above
    # not here: if dio.blocks_available: the page is pinned before its block is looked up
    # only here: tuple(): C has passed the array in the dio
    # only here: dio = tuple(): as above
    # only here: if dio.buf.address: memory without a page is not pinned: the user_buffer stands for its page
    if dio.buf.address is None:
        pages.append(dio.buf)
        ret = 1
    else:
        down_read(current().mm.mmap_sem)
        ret = get_user_pages(current().mm, dio.curr_user_address, nr_pages, dio.rw == READ_BIO, 0, pages)
        up_read(current().mm.mmap_sem)

    if ret >= 0:
        dio.pages = tuple(pages)
        dio.curr_user_address += ret * PAGE_SIZE
        dio.curr_page += ret
        dio.head = 0
        dio.tail = ret
        ret = 0
    # out:
    return ret


def dio_get_page(dio):
    """Take another page of the user's buffer from the queue. Returns it or an error."""
    if dio_pages_present(dio) == 0:
        ret = dio_refill_pages(dio)
        if ret:
            return ret                              # ERR_PTR()
        BUG_ON(dio_pages_present(dio) == 0, 206)
    # not here: return dio[post(dio.head)]: Python has no post-increment
    page = dio.pages[dio.head]
    dio.head += 1
    return page


def dio_complete(dio, offset, bytes):
    """Let truncates go on: the I/O is over."""
    # not here: if dio.end_io: ext2 passes none
    up_read(dio.inode.i_alloc_sem)


def finished_one_bio(dio):
    flags = spin_lock_irqsave(dio.bio_lock)
    # not here: if dio.bio_count == 1: only of an asynchronous request
    dio.bio_count -= 1
    spin_unlock_irqrestore(dio.bio_lock, flags)


def dio_bio_end_io(bio, bytes_done, error):
    """In the interrupt: queue the bio for the process. bi_private points at the dio during I/O, and then to the next bio that is over."""
    dio = bio.bi_private

    if bio.bi_size:
        return 1

    flags = spin_lock_irqsave(dio.bio_lock)
    bio.bi_private = dio.bio_list
    dio.bio_list = bio
    dio.bios_in_flight -= 1
    if dio.waiter and dio.bios_in_flight == 0:
        wake_up_process(dio.waiter)
    spin_unlock_irqrestore(dio.bio_lock, flags)
    return 0


def dio_bio_alloc(dio, bdev, first_sector, nr_vecs):
    bio = bio_alloc(current().bio, nr_vecs)
    # not here: if bio: a mempool does not fail
    # not here: if dio.is_async: a request is synchronous
    bio.bi_bdev = bdev
    bio.bi_sector = first_sector
    bio.bi_end_io = dio_bio_end_io

    dio.bio = bio
    return 0


def dio_bio_submit(dio):
    bio = dio.bio

    bio.bi_private = dio
    flags = spin_lock_irqsave(dio.bio_lock)
    dio.bio_count += 1
    dio.bios_in_flight += 1
    spin_unlock_irqrestore(dio.bio_lock, flags)
    # not here: if dio.is_async: a request is synchronous
    submit_user_bio(dio.rw, bio)

    dio.bio = None
    dio.boundary = 0


def dio_cleanup(dio):
    """Release what is left of the queue."""
    while dio_pages_present(dio):
        page_cache_release(dio_get_page(dio))


def dio_await_one(dio):
    """Wait for the next bio to complete. Remove it and return it."""
    flags = spin_lock_irqsave(dio.bio_lock)
    while dio.bio_list is None:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if dio.bio_list is None:
            dio.waiter = current()
            # only here: add_wait_queue(current.wait): what wake_up_process() wakes the task through; bio_lock is held
            add_wait_queue(current().wait)
            spin_unlock_irqrestore(dio.bio_lock, flags)
            # not here: blk_run_address_space(dio.inode.i_mapping): without a queue of requests nothing is plugged
            io_schedule()
            flags = spin_lock_irqsave(dio.bio_lock)
            # only here: remove_wait_queue(current.wait): as above
            remove_wait_queue(current().wait)
            dio.waiter = None
        set_current_state(TASK_RUNNING)
    bio = dio.bio_list
    dio.bio_list = bio.bi_private
    spin_unlock_irqrestore(dio.bio_lock, flags)
    return bio


def dio_bio_complete(dio, bio):
    """Process one bio that is over. No locks are held."""
    uptodate = test_bit(BIO_UPTODATE, bio.bi_flags)
    bvec = bio.bi_io_vec

    if not uptodate:
        dio.result = -EIO

    # not here: if dio.is_async: a request is synchronous
    # only here: if bvec[0].bv_page == dio.buf: memory without a page has no reference to drop, and is no page that gets dirty
    if bvec[0].bv_page is not dio.buf:
        for page_no in range(bio.bi_vcnt):
            page = bvec[page_no].bv_page

            if dio.rw == READ_BIO:
                set_page_dirty_lock(page)
            page_cache_release(page)
    bio_put(bio)
    finished_one_bio(dio)
    return 0 if uptodate else -EIO


def dio_await_completion(dio):
    """Wait for all bios in flight, and process them. Returns 0 or an error."""
    ret = 0

    # not here: if dio.bio: it was submitted
    # without bio_lock: it is dio_bio_complete() that changes bio_count
    while dio.bio_count:
        bio = dio_await_one(dio)
        ret2 = dio_bio_complete(dio, bio)
        if ret == 0:
            ret = ret2
    return ret


def dio_bio_reap(dio):
    """Process bios that are over, from time to time: with one bio, never."""
    ret = 0
    # not here: dio.reap_counter += 1: one bio does not make it 64
    # not here: if post(dio.reap_counter) < 64: as above
    return ret


def get_more_blocks(dio):
    """Ask the file system for the block, and to allocate it where a write makes the file longer. Returns 0, also for a hole."""
    map_bh = dio.map_bh

    ret = dio.page_errors
    if ret == 0:
        write_word(map_bh.b_state, 0)
        map_bh.b_size = 0
        BUG_ON(dio.block_in_file >= dio.final_block_in_request, 524)
        fs_startblk = dio.block_in_file >> dio.blkfactor
        dio_count = dio.final_block_in_request - dio.block_in_file
        fs_count = dio_count >> dio.blkfactor
        # not here: if dio_count & ((1 << dio.blkfactor) - 1): a block of the file system is a block of the request

        create = dio.rw == WRITE_BIO
        if dio.block_in_file < i_size_read(dio.inode) >> dio.blkbits:
            create = 0
        ret = dio.get_blocks(dio.inode, fs_startblk, fs_count, map_bh, create)
    return ret


def dio_new_bio(dio, start_sector):
    """There is no bio. Make one now."""
    ret = dio_bio_reap(dio)
    # not here: if ret: it has reaped nothing
    sector = start_sector << dio.blkbits - 9
    nr_pages = min(dio.pages_in_io, BIO_MAX_PAGES)
    BUG_ON(nr_pages <= 0, 565)
    ret = dio_bio_alloc(dio, dio.map_bh.b_bdev, sector, nr_pages)
    dio.boundary = 0
    return ret


def dio_bio_add_page(dio):
    """Put the page into the bio, which has a reference of its own. Returns 0; more if there is no room in the bio."""
    ret = bio_add_page(dio.bio, dio.cur_page, dio.cur_page_len, dio.cur_page_offset)
    if ret == dio.cur_page_len:
        if dio.cur_page_len + dio.cur_page_offset == PAGE_SIZE:
            dio.pages_in_io -= 1
        # only here: if dio.cur_page == dio.buf: memory without a page has no references
        if dio.cur_page is not dio.buf:
            page_cache_get(dio.cur_page)
        dio.final_block_in_bio = dio.cur_page_block + (dio.cur_page_len >> dio.blkbits)
        ret = 0
    else:
        ret = 1
    return ret


def dio_send_cur_page(dio):
    """Put cur_page under I/O. The caller drops the reference of cur_page. Returns 0."""
    # not here: if dio.bio: no other page was put into a bio before
    ret = dio_new_bio(dio, dio.cur_page_block)
    if not ret:
        # not here: if dio_bio_add_page(): there is room in a new bio
        dio_bio_add_page(dio)
    # out:
    return ret


def submit_page_section(dio, page, offset, len, blocknr):
    """Put a part of a page under deferred I/O: it starts on disk at `blocknr`. Returns 0."""
    ret = 0

    # not here: if dio.cur_page == page: the page is the first, and submitted as a whole
    # not here: if dio.cur_page: as above
    # only here: if page == dio.buf: memory without a page has no references
    if page is not dio.buf:
        page_cache_get(page)                        # it is in dio
    dio.cur_page = page
    dio.cur_page_offset = offset
    dio.cur_page_len = len
    dio.cur_page_block = blocknr
    # out:
    return ret


def clean_blockdev_aliases(dio):
    """Clean buffers of the block device that alias new blocks: none, since the page cache of the device is left out."""
    nblocks = dio.map_bh.b_size >> PAGE_CACHE_SHIFT

    for i in range(nblocks):
        pass                                        # unmap_underlying_metadata()


def dio_zero_block(dio, end):
    """Zero the rest of a block that the request covers in part: there is none."""
    # not here: if dio.blkfactor: a request is whole blocks
    dio.start_zero_done = 1


def do_direct_IO(dio):
    """Walk the user's pages and the file. i_sem is held. Returns 0 or an error."""
    blkbits = dio.blkbits
    blocks_per_page = PAGE_SIZE >> blkbits
    map_bh = dio.map_bh
    ret = 0

    block_in_page = dio.first_block_in_page

    while dio.block_in_file < dio.final_block_in_request:
        page = dio_get_page(dio)
        if isinstance(page, int):                   # IS_ERR()
            ret = page
            return ret                              # goto out

        while block_in_page < blocks_per_page:
            offset_in_page = block_in_page << blkbits

            if dio.blocks_available == 0:
                # map some more disk
                # not here: if ret: ext2_get_blocks() does not fail (the disk is not full), nor does submit_page_section() of the first page
                ret = get_more_blocks(dio)
                if buffer_mapped(map_bh):
                    dio.blocks_available = map_bh.b_size >> dio.blkbits
                    dio.next_block_for_io = map_bh.b_blocknr << dio.blkfactor
                    if buffer_new(map_bh):
                        clean_blockdev_aliases(dio)
                    # not here: if dio.blkfactor: a request is whole blocks
            # do_holes:
            # only here: if page == dio.buf: memory without a page has no references, and is cleared by its address
            if not buffer_mapped(map_bh):
                if dio.rw == WRITE_BIO:
                    if page is not dio.buf:
                        page_cache_release(page)
                    return -ENOTBLK

                if dio.block_in_file >= i_size_read(dio.inode) >> blkbits:
                    # we hit the end of the file
                    if page is not dio.buf:
                        page_cache_release(page)
                    return ret                      # goto out
                if page is not dio.buf:
                    kmap_atomic(page)
                    memset_page(page)
                    kunmap_atomic()
                else:
                    clear_user_buffer(page)
                dio.block_in_file += 1
                block_in_page += 1
                # goto next_block
            else:
                this_chunk_blocks = dio.blocks_available
                u = PAGE_SIZE - offset_in_page >> blkbits
                if this_chunk_blocks > u:
                    this_chunk_blocks = u
                u = dio.final_block_in_request - dio.block_in_file
                if this_chunk_blocks > u:
                    this_chunk_blocks = u
                this_chunk_bytes = this_chunk_blocks << blkbits
                BUG_ON(this_chunk_bytes == 0, 903)

                dio.boundary = buffer_boundary(map_bh)
                ret = submit_page_section(dio, page, offset_in_page, this_chunk_bytes, dio.next_block_for_io)
                dio.next_block_for_io += this_chunk_blocks

                dio.block_in_file += this_chunk_blocks
                block_in_page += this_chunk_blocks
                dio.blocks_available -= this_chunk_blocks
            # next_block:
            if dio.block_in_file > dio.final_block_in_request:
                BUG(919)
            if dio.block_in_file == dio.final_block_in_request:
                break

        # drop the reference of get_user_pages()
        if page is not dio.buf:
            page_cache_release(page)
        block_in_page = 0
    # out:
    return ret


def direct_io_worker(rw, inode, buf, offset, blkbits, get_blocks, dio):
    """Release i_sem for a read, and i_alloc_sem. Returns the bytes transferred, 0 for a write to a hole, or an error."""
    ret = 0

    dio.bio = None
    dio.inode = inode
    dio.rw = rw
    dio.blkbits = blkbits
    dio.blkfactor = PAGE_CACHE_SHIFT - blkbits
    dio.start_zero_done = 0
    dio.size = 0
    dio.block_in_file = offset >> blkbits
    dio.blocks_available = 0
    dio.cur_page = None

    dio.boundary = 0
    # not here: dio.reap_counter = 0: one bio does not make it 64
    dio.get_blocks = get_blocks
    # not here: dio.end_io = end_io: ext2 passes none
    # not here: dio.map_bh.b_private = 0: it is for end_io()
    dio.final_block_in_bio = -1
    dio.next_block_for_io = -1

    dio.page_errors = 0
    dio.result = 0
    # not here: dio.iocb = iocb: only an asynchronous request needs it
    dio.i_size = i_size_read(inode)

    # nobody else knows of the request yet. One bio is counted until all are submitted: one that is over soon must not end the request
    dio._bio_count = 1
    dio._bios_in_flight = 0
    # not here: spin_lock_init(dio.bio_lock): nobody holds the lock of a new dio
    dio._bio_list = None
    dio._waiter = None

    # not here: if dio.blkfactor: a request is whole blocks
    dio.pages_in_io = 0
    # not here: user_addr = buf.address: C has two loops over the buffers
    # only here: if buf.address: memory without a page is aligned, too
    user_addr = buf.address or 0
    dio.pages_in_io += (user_addr + PAGE_SIZE + PAGE_SIZE - 1) // PAGE_SIZE - user_addr // PAGE_SIZE

    bytes = PAGE_SIZE
    dio.size += bytes
    dio.first_block_in_page = (user_addr & ~PAGE_MASK) >> blkbits
    dio.final_block_in_request = dio.block_in_file + (bytes >> blkbits)
    # page fetching state
    # only here: dio.buf = buf: the memory without a page
    dio.buf = buf
    dio.head = 0
    dio.tail = 0
    dio.curr_page = 0
    # not here: if user_addr & (PAGE_SIZE - 1): a request is aligned
    dio.total_pages = 0
    dio.total_pages += (bytes + PAGE_SIZE - 1) // PAGE_SIZE
    dio.curr_user_address = user_addr

    ret = do_direct_IO(dio)

    dio.result += PAGE_SIZE - (dio.final_block_in_request - dio.block_in_file << blkbits)

    if ret:
        dio_cleanup(dio)

    if ret == -ENOTBLK and rw == WRITE_BIO:
        # the rest is for the buffered path
        ret = 0
    dio_zero_block(dio, 1)

    if dio.cur_page:
        ret2 = dio_send_cur_page(dio)
        if ret == 0:
            ret = ret2
        # only here: if dio.cur_page == dio.buf: memory without a page has no references
        if dio.cur_page is not dio.buf:
            page_cache_release(dio.cur_page)
        dio.cur_page = None
    if dio.bio:
        dio_bio_submit(dio)

    dio_cleanup(dio)

    # all blocks are looked up: a reader needs i_sem no more
    if rw == READ_BIO:
        up(dio.inode.i_sem)

    # all bios are submitted: count those that are to be processed
    # not here: if dio.is_async: a request is synchronous
    transferred = 0

    finished_one_bio(dio)
    ret2 = dio_await_completion(dio)
    if ret == 0:
        ret = ret2
    if ret == 0:
        ret = dio.page_errors
    if dio.result:
        i_size = i_size_read(inode)

        transferred = dio.result
        # a read that crosses the end of the file
        if rw == READ_BIO and offset + transferred > i_size:
            transferred = i_size - offset
    dio_complete(dio, offset, transferred)
    if ret == 0:
        ret = transferred
    kmem_cache_free(dio)
    return ret


def __blockdev_direct_IO(rw, file, inode, buf, offset, get_blocks):
    """A writer holds i_sem, a reader does not. Returns as direct_io_worker()."""
    blkbits = PAGE_CACHE_SHIFT
    end = offset
    reader_with_isem = 0

    if rw & WRITE_BIO:
        current().flags |= PF_SYNCWRITE             # for the I/O scheduler

    # not here: if bdev: how fine the device is matters to a request that is not aligned
    # not here: if offset & ((1 << PAGE_CACHE_SHIFT) - 1): a request is aligned
    # not here: if buf.address & ((1 << PAGE_CACHE_SHIFT) - 1): as above
    # not here: if PAGE_SIZE & ((1 << PAGE_CACHE_SHIFT) - 1): as above
    end += PAGE_SIZE
    # not here: if dio: there is memory for it
    dio = kmalloc_dio()

    # not here: dio.lock_type = dio_lock_type: it is DIO_LOCKING
    # not here: dio.is_async = 0: as it is in every request
    retval = 0
    if rw == READ_BIO and end > offset:
        mapping = file.f_mapping
        down(inode.i_sem)
        reader_with_isem = 1

        retval = filemap_write_and_wait_range(mapping, offset, end - 1)
        if retval:
            kmem_cache_free(dio)
    if not retval:
        down_read(inode.i_alloc_sem)
        retval = direct_io_worker(rw, inode, buf, offset, blkbits, get_blocks, dio)
        if rw == READ_BIO:
            reader_with_isem = 0

    # out:
    if reader_with_isem:
        up(inode.i_sem)
    if rw & WRITE_BIO:
        current().flags &= ~PF_SYNCWRITE
    return retval


__FILE__ = "include/linux/fs.h"


def blockdev_direct_IO(rw, file, inode, buf, offset, get_blocks):
    return __blockdev_direct_IO(rw, file, inode, buf, offset, get_blocks)


__FILE__ = "fs/ext2/inode.c"


def ext2_get_blocks(inode, iblock, max_blocks, bh_result, create):
    ret = ext2_get_block(inode, iblock, bh_result, create)
    if ret == 0:
        bh_result.b_size = PAGE_CACHE_SIZE
    return ret


def ext2_direct_IO(rw, file, buf, offset):
    # not here: file = iocb.ki_filp: the file is the argument
    inode = file.f_mapping.host

    return blockdev_direct_IO(rw, file, inode, buf, offset, ext2_get_blocks)
