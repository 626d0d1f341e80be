# SPDX-License-Identifier: GPL-2.0-only
"""fs/direct-io.c, of a synchronous write of one page from a user's buffer that nobody else touches."""
from vmrace.harness.kernel import (
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    __set_current_state,
    add_wait_queue,
    atomic_dec_and_test,
    atomic_read,
    atomic_set,
    current,
    remove_wait_queue,
    set_current_state,
    wake_up,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import has_block
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import submit_value
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import i_size_read
from vmrace.variants.invalidate_2_6.pre_2_6_15.wait import io_schedule
from vmrace.variants.invalidate_2_6.types import PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE


__FILE__ = "fs/direct-io.c"


def dio_bio_end_io(dio):
    """In the interrupt."""
    if atomic_dec_and_test(dio.bio_count):
        wake_up(dio.waiter)


def dio_await_completion(dio):
    add_wait_queue(dio.waiter)
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if not atomic_read(dio.bio_count):
            break
        io_schedule()
    __set_current_state(TASK_RUNNING)
    remove_wait_queue(dio.waiter)


def blockdev_direct_IO(rw, inode, index, value):
    """i_sem is held. Returns the bytes transferred: 0 for a hole inside the file, which may not be allocated here."""
    create = index >= i_size_read(inode) >> PAGE_CACHE_SHIFT
    allocated, new = has_block(inode, index, create)
    if not allocated:
        return 0
    dio = current().dio
    atomic_set(dio.bio_count, 1)
    submit_value(inode.i_bdev, index, value, dio_bio_end_io, dio)
    dio_await_completion(dio)
    return PAGE_CACHE_SIZE


__FILE__ = "fs/ext2/inode.c"


def ext2_direct_IO(rw, file, index, value):
    return blockdev_direct_IO(rw, file.f_mapping.host, index, value)
