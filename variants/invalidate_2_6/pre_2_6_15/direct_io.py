# SPDX-License-Identifier: GPL-2.0-only
"""fs/direct-io.c, of a synchronous request of one page and one block, for a regular file (DIO_LOCKING).

A user's buffer is a page of the process, which get_user_pages() pins, or memory that no other task accesses, which has no page. `dio`
counts the bios in flight, so that there is no list of them, nor a lock of that list. A loop over pages, blocks or bios is one turn, and
the functions that only hand a page on are part of their callers: dio_get_page(), dio_bio_add_page(), dio_new_bio(), finished_one_bio().
"""
from vmrace.harness.kernel import (
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    __set_current_state,
    add_wait_queue,
    atomic_dec_and_test,
    atomic_read,
    atomic_set,
    current,
    down,
    down_read,
    remove_wait_queue,
    set_current_state,
    up,
    up_read,
    wake_up,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import has_block
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import filemap_write_and_wait_range
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import clear_user_buffer, submit_buffer, submit_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import get_user_pages
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import i_size_read, page_cache_get, page_cache_release
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty_lock
from vmrace.variants.invalidate_2_6.types import ENOTBLK, PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, PF_SYNCWRITE, READ_BIO, WRITE_BIO
from vmrace.variants.mmu import memset_page
from vmrace.variants.wait import io_schedule


__FILE__ = "fs/direct-io.c"


def dio_refill_pages(dio):
    """Pin the page of the user's buffer. Returns 0 or an error."""
    pages = []
    down_read(current().mm.mmap_sem)
    ret = get_user_pages(current().mm, dio.buf.address, 1, dio.rw == READ_BIO, 0, pages)
    up_read(current().mm.mmap_sem)

    if ret >= 0:
        dio.page = pages[0]
        ret = 0
    # out:
    return ret


def dio_complete(dio):
    """Let truncates go on: the I/O is over."""
    up_read(dio.inode.i_alloc_sem)


def dio_bio_end_io(dio):
    """In the interrupt."""
    # left out: the list of bios, see above
    if atomic_dec_and_test(dio.bio_count):
        wake_up(dio.waiter)


def dio_bio_submit(dio):
    """Send the request off."""
    # left out: the list of bios, see above
    atomic_set(dio.bio_count, 1)
    if dio.page:
        submit_page(dio.rw, dio.inode.i_bdev, dio.cur_page_block, dio.page.data, dio_bio_end_io, dio)
    else:
        submit_buffer(dio.rw, dio.inode.i_bdev, dio.cur_page_block, dio.buf, dio_bio_end_io, dio)


def dio_bio_complete(dio):
    """Process a request that is over. No locks are held."""
    page, dio.page = dio.page, None
    if page:
        if dio.rw == READ_BIO:
            set_page_dirty_lock(page)
        page_cache_release(page)


def dio_await_completion(dio):
    """Wait for the request, and process it."""
    # left out: the list of bios, see above
    add_wait_queue(dio.waiter)
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if not atomic_read(dio.bio_count):
            break
        io_schedule()
    __set_current_state(TASK_RUNNING)
    remove_wait_queue(dio.waiter)
    dio_bio_complete(dio)


def get_more_blocks(dio):
    """Ask the file system for the block, and to allocate it where a write makes the file longer. Returns 0 for a hole."""
    create = dio.rw == WRITE_BIO
    if dio.block_in_file < i_size_read(dio.inode) >> PAGE_CACHE_SHIFT:
        create = 0
    allocated, new = has_block(dio.inode, dio.block_in_file, create)    # get_blocks(); unmap_underlying_metadata() finds no alias
    return allocated


def submit_page_section(dio, page):
    """Put a page under deferred I/O."""
    if page:
        page_cache_get(page)                        # it is in dio
    dio.cur_page = page
    dio.cur_page_block = dio.block_in_file
    dio.bio = 1


def dio_send_cur_page(dio):
    """Put the page into a bio, which has a reference of its own."""
    if dio.cur_page:
        page_cache_get(dio.cur_page)                # dio_bio_add_page()


def do_direct_IO(dio):
    """Walk the user's page and the file. i_sem is held. Returns 0 or an error."""
    page = None
    if dio.buf.address is not None:
        ret = dio_refill_pages(dio)                 # dio_get_page()
        if ret:
            return ret
        page = dio.page

    if not get_more_blocks(dio):
        # do_holes:
        if dio.rw == WRITE_BIO:
            if page:
                page_cache_release(page)
            return -ENOTBLK

        if dio.block_in_file >= i_size_read(dio.inode) >> PAGE_CACHE_SHIFT:
            # we hit the end of the file
            if page:
                page_cache_release(page)
            return 0
        if page:
            memset_page(page)                       # under kmap_atomic()
        else:
            clear_user_buffer(dio.buf)
    else:
        submit_page_section(dio, page)

    # next_block:
    dio.result = PAGE_CACHE_SIZE
    # drop the reference of get_user_pages()
    if page:
        page_cache_release(page)
    return 0


def direct_io_worker(rw, inode, index, buf):
    """Release i_sem for a read, and i_alloc_sem. Returns the bytes transferred, 0 for a write to a hole, or an error."""
    dio = current().dio
    dio.inode = inode
    dio.rw = rw
    dio.block_in_file = index
    dio.buf = buf
    dio.page = dio.cur_page = None
    dio.bio = 0
    dio.result = 0
    # left out: dio->i_size, a load that only the end of asynchronous I/O uses; the zeroing of a part of a block
    dio.moved = ()

    ret = do_direct_IO(dio)

    if ret == -ENOTBLK and rw == WRITE_BIO:
        # the rest is for the buffered path
        ret = 0

    if dio.bio:                                     # dio->cur_page
        dio_send_cur_page(dio)
        if dio.cur_page:
            page_cache_release(dio.cur_page)
        dio.cur_page = None
        dio_bio_submit(dio)

    # all blocks are looked up: a reader needs i_sem no more
    if rw == READ_BIO:
        up(inode.i_sem)

    transferred = 0
    if dio.bio:                                     # dio->bio_count
        dio_await_completion(dio)
    if dio.result:
        i_size = i_size_read(inode)
        transferred = dio.result
        # a read that crosses the end of the file
        if rw == READ_BIO and (index << PAGE_CACHE_SHIFT) + transferred > i_size:
            transferred = i_size - (index << PAGE_CACHE_SHIFT)
    dio_complete(dio)
    if ret == 0:
        ret = transferred
    return ret


def blockdev_direct_IO(rw, file, inode, index, buf):
    """__blockdev_direct_IO(), of an aligned buffer. A writer holds i_sem, a reader does not. Returns as direct_io_worker()."""
    reader_with_isem = 0
    retval = 0

    if rw & WRITE_BIO:
        current().flags |= PF_SYNCWRITE             # for the I/O scheduler

    if rw == READ_BIO:
        mapping = file.f_mapping
        down(inode.i_sem)
        reader_with_isem = 1
        offset = index << PAGE_CACHE_SHIFT
        retval = filemap_write_and_wait_range(mapping, offset, offset + PAGE_CACHE_SIZE - 1)

    if not retval:
        down_read(inode.i_alloc_sem)
        retval = direct_io_worker(rw, inode, index, buf)
        reader_with_isem = 0

    # out:
    if reader_with_isem:
        up(inode.i_sem)
    if rw & WRITE_BIO:
        current().flags &= ~PF_SYNCWRITE
    return retval


__FILE__ = "fs/ext2/inode.c"


def ext2_direct_IO(rw, file, index, buf):
    return blockdev_direct_IO(rw, file, file.f_mapping.host, index, buf)
