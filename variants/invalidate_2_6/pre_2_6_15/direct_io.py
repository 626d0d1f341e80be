# SPDX-License-Identifier: GPL-2.0-only
"""fs/direct-io.c, of a synchronous request of one page and one block, for a regular file (DIO_LOCKING)."""
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
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import clear_user_buffer, submit_buffer
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import i_size_read
from vmrace.variants.invalidate_2_6.pre_2_6_15.wait import io_schedule
from vmrace.variants.invalidate_2_6.types import ENOTBLK, PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, PF_SYNCWRITE, READ_BIO, WRITE_BIO


__FILE__ = "fs/direct-io.c"


def dio_complete(dio):
    """All I/O has been completed."""
    up_read(dio.inode.i_alloc_sem)


def dio_bio_end_io(dio):
    """In the interrupt."""
    if atomic_dec_and_test(dio.bio_count):
        wake_up(dio.waiter)


def dio_bio_submit(dio, block):
    """Send the request off."""
    dio.bio = 1
    atomic_set(dio.bio_count, 1)
    submit_buffer(dio.rw, dio.inode.i_bdev, block, dio.buf, dio_bio_end_io, dio)


def dio_await_completion(dio):
    """Wait for the request, if there is one."""
    if not dio.bio:
        return
    add_wait_queue(dio.waiter)
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if not atomic_read(dio.bio_count):
            break
        io_schedule()
    __set_current_state(TASK_RUNNING)
    remove_wait_queue(dio.waiter)
    dio.bio = 0


def get_more_blocks(dio):
    """Ask the file system for the block, and to allocate it where a write makes the file longer. Returns 0 for a hole."""
    create = dio.rw == WRITE_BIO
    if dio.block_in_file < i_size_read(dio.inode) >> PAGE_CACHE_SHIFT:
        create = 0
    allocated, new = has_block(dio.inode, dio.block_in_file, create)    # get_blocks(); unmap_underlying_metadata() finds no alias
    return allocated


def do_direct_IO(dio):
    """Walk the user's page and the file. i_sem is held."""
    if not get_more_blocks(dio):
        # do_holes:
        if dio.rw == WRITE_BIO:
            return -ENOTBLK
        if dio.block_in_file >= i_size_read(dio.inode) >> PAGE_CACHE_SHIFT:
            return 0                                # we hit the end of the file
        clear_user_buffer(dio.buf)
        dio.result = PAGE_CACHE_SIZE
        return 0

    dio_bio_submit(dio, dio.block_in_file)          # by way of submit_page_section() and dio_send_cur_page()
    dio.result = PAGE_CACHE_SIZE
    return 0


def direct_io_worker(rw, inode, index, buf):
    """Release i_sem for a read, and i_alloc_sem. Returns the bytes transferred; 0 for a write to a hole."""
    dio = current().dio
    dio.inode = inode
    dio.rw = rw
    dio.block_in_file = index
    dio.buf = buf
    dio.bio = 0
    dio.result = 0

    ret = do_direct_IO(dio)

    if ret == -ENOTBLK and rw == WRITE_BIO:
        # the rest is for the buffered path
        ret = 0

    # all blocks are looked up: a reader needs i_sem no more
    if rw == READ_BIO:
        up(inode.i_sem)

    transferred = 0
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
