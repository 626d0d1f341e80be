# SPDX-License-Identifier: GPL-2.0-only
"""fs/buffer.c: a page's buffer, of its own size. Loops over the buffers of a page are one turn."""
from vmrace.harness.kernel import (
    BUG,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    __set_current_state,
    add_wait_queue_exclusive,
    atomic_read,
    atomic_set,
    data_race,
    local_irq_restore,
    local_irq_save,
    read_word,
    remove_wait_queue,
    set_current_state,
    smp_mb,
    smp_mb__after_clear_bit,
    spin_lock,
    spin_unlock,
    test_and_set_bit,
    test_bit,
    write_word,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import ext2_get_block
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import end_page_writeback, radix_tree_tag_set, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import submit_bio
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    PageDirty,
    PageLocked,
    PageUptodate,
    PageWriteback,
    SetPageMappedToDisk,
    SetPageUptodate,
    TestSetPageDirty,
    __clear_page_buffers,
    attach_page_buffers,
    bit_spin_lock,
    bit_spin_unlock,
    buffer_async_read,
    buffer_async_write,
    buffer_delay,
    buffer_dirty,
    buffer_locked,
    buffer_mapped,
    buffer_new,
    buffer_ordered,
    buffer_uptodate,
    buffer_write_io_error,
    clear_buffer_async_read,
    clear_buffer_async_write,
    clear_buffer_delay,
    clear_buffer_dirty,
    clear_buffer_locked,
    clear_buffer_mapped,
    clear_buffer_new,
    clear_buffer_req,
    clear_buffer_write_io_error,
    clear_page_dirty,
    i_size_read,
    i_size_write,
    page_buffers,
    page_has_buffers,
    set_buffer_async_read,
    set_buffer_async_write,
    set_buffer_dirty,
    set_buffer_uptodate,
    set_page_writeback,
    test_clear_buffer_dirty,
    test_set_buffer_dirty,
    test_set_buffer_locked,
    test_set_buffer_req,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.mpage import mpage_readpage
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import __mark_inode_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import __set_page_dirty_nobuffers, redirty_page_for_writepage
from vmrace.variants.invalidate_2_6.types import (
    BH_Dirty,
    BH_Lock,
    BH_Uptodate,
    BH_Uptodate_Lock,
    I_DIRTY_PAGES,
    PAGECACHE_TAG_DIRTY,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_SIZE,
    READ_BIO,
    WB_SYNC_NONE,
    WRITE_BARRIER,
    WRITE_BIO,
)
from vmrace.variants.mmu import memset_page
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq
from vmrace.variants.wait import __wake_up_bit, io_schedule


__FILE__ = "fs/buffer.c"


def sync_buffer(word):
    """Sleep until the buffer is unlocked. The request queue, which C starts, is left out."""
    smp_mb()
    io_schedule()
    return 0


__FILE__ = "kernel/wait.c"


def bit_waitqueue(word, bit):
    """The queue of a buffer's lock; C has a hash of queues."""
    return word.struct.b_wait


def __wait_on_buffer_lock(wq, word, bit, action):
    """__wait_on_bit_lock(), of a buffer: until it was us who set the bit. action(word) sleeps once. See variants/wait.py."""
    add_wait_queue_exclusive(wq)                    # prepare_to_wait_exclusive()
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if test_bit(bit, word):
            action(word)
        if not test_and_set_bit(bit, word):
            break
    __set_current_state(TASK_RUNNING)               # finish_wait()
    remove_wait_queue(wq)
    return 0


def out_of_line_wait_on_bit_lock(word, bit, action):
    wq = bit_waitqueue(word, bit)

    return __wait_on_buffer_lock(wq, word, bit, action)


__FILE__ = "include/linux/wait.h"


def wait_on_bit_lock(word, bit, action):
    if not test_and_set_bit(bit, word):
        return 0
    return out_of_line_wait_on_bit_lock(word, bit, action)


__FILE__ = "fs/buffer.c"


def __lock_buffer(bh):
    wait_on_bit_lock(bh.b_state, BH_Lock, sync_buffer)


def unlock_buffer(bh):
    clear_buffer_locked(bh)
    smp_mb__after_clear_bit()
    __wake_up_bit(bh.b_wait)                        # wake_up_bit()


def end_buffer_async_read(bh):
    """In the interrupt, or where the buffer was uptodate already. No I/O fails."""
    page_uptodate = 1

    if not buffer_async_read(bh):
        BUG(523)

    page = bh.b_page
    set_buffer_uptodate(bh)

    # of several buffers the last one would find that it is
    first = page_buffers(page, 540)
    flags = local_irq_save()
    bit_spin_lock(BH_Uptodate_Lock, first.b_state)
    clear_buffer_async_read(bh)
    unlock_buffer(bh)
    if not buffer_uptodate(bh):
        page_uptodate = 0
    if buffer_async_read(bh):
        if not buffer_locked(bh):
            BUG(550)
        # still_busy:
        bit_spin_unlock(BH_Uptodate_Lock, first.b_state)
        local_irq_restore(flags)
        return
    bit_spin_unlock(BH_Uptodate_Lock, first.b_state)
    local_irq_restore(flags)

    if page_uptodate:
        SetPageUptodate(page)
    unlock_page(page)


def end_buffer_async_write(bh):
    """In the interrupt."""
    if not buffer_async_write(bh):
        BUG(585)

    page = bh.b_page
    set_buffer_uptodate(bh)

    first = page_buffers(page, 602)
    flags = local_irq_save()
    bit_spin_lock(BH_Uptodate_Lock, first.b_state)

    clear_buffer_async_write(bh)
    unlock_buffer(bh)
    bit_spin_unlock(BH_Uptodate_Lock, first.b_state)
    local_irq_restore(flags)
    end_page_writeback(page)


def mark_buffer_async_read(bh):
    bh.b_end_io = end_buffer_async_read
    set_buffer_async_read(bh)


def mark_buffer_async_write(bh):
    bh.b_end_io = end_buffer_async_write
    set_buffer_async_write(bh)


def __set_page_dirty_buffers(page):
    """Buffers first, the page after them: whoever writes the page in between finds them dirty, and it stays dirty.

    The page need not be locked. private_lock is against try_to_free_buffers(), and against clean buffers attached to the page.
    """
    mapping = data_race(page.mapping)

    spin_lock(mapping.private_lock)
    if page_has_buffers(page):
        bh = page_buffers(page, 852)
        set_buffer_dirty(bh)
    spin_unlock(mapping.private_lock)

    if not TestSetPageDirty(page):
        write_lock_irq(mapping.tree_lock)
        if data_race(page.mapping) is not None:     # it may have been truncated
            radix_tree_tag_set(mapping, data_race(page.index), PAGECACHE_TAG_DIRTY)
        write_unlock_irq(mapping.tree_lock)
        __mark_inode_dirty(mapping.host, I_DIRTY_PAGES)
    return 0


def mark_buffer_dirty(bh):
    if not buffer_dirty(bh) and not test_set_buffer_dirty(bh):
        __set_page_dirty_nobuffers(bh.b_page)


def alloc_page_buffers(page, size, retry):
    """Returns the buffer of a page, which is as big as the page. The slab has one object for each page, so it cannot fail."""
    head = None
    offset = PAGE_SIZE
    while True:
        offset -= size
        if offset < 0:
            break
        bh = page.bh                                # alloc_buffer_head()

        bh.b_bdev = None
        bh.b_blocknr = -1
        head = bh

        write_word(bh.b_state, 0)
        atomic_set(bh.b_count, 0)
        bh.b_size = size

        # left out: set_bh_page(): b_page is constant

        bh.b_end_io = None
    return head


def discard_buffer(bh):
    """Of a page that is truncated."""
    lock_buffer(bh)
    clear_buffer_dirty(bh)
    bh.b_bdev = None
    clear_buffer_mapped(bh)
    clear_buffer_req(bh)
    clear_buffer_new(bh)
    clear_buffer_delay(bh)
    unlock_buffer(bh)


def try_to_release_page(page, gfp_mask):
    """The page is locked. ext2 has no releasepage of its own. Returns 1 if its buffers are gone."""
    data_race(page.mapping)                         # is there an operation for it?

    if not PageLocked(page):
        BUG(1580)
    if PageWriteback(page):
        return 0
    return try_to_free_buffers(page)


def block_invalidatepage(page, offset):
    """The page is locked, and invalidated as a whole."""
    ret = 1

    if not PageLocked(page):
        BUG(1611)
    if page_has_buffers(page):
        bh = page_buffers(page, 1615)
        discard_buffer(bh)

        # only if the entire page is invalidated
        if offset == 0:
            ret = try_to_release_page(page, 0)
    # out:
    return ret


def do_invalidatepage(page, offset):
    """ext2 has no invalidatepage of its own."""
    data_race(page.mapping)                         # is there an operation for it?
    return block_invalidatepage(page, offset)


def create_empty_buffers(page, b_state):
    """The page is locked. Attached and dirtied under private_lock: see __set_page_dirty_buffers()."""
    bh = alloc_page_buffers(page, PAGE_SIZE, 1)
    write_word(bh.b_state, read_word(bh.b_state) | b_state)

    spin_lock(page.mapping.private_lock)
    if PageUptodate(page) or PageDirty(page):
        if PageDirty(page):
            set_buffer_dirty(bh)
        if PageUptodate(page):
            set_buffer_uptodate(bh)
    attach_page_buffers(page, bh)
    spin_unlock(page.mapping.private_lock)


def __block_write_full_page(inode, page, wbc):
    """The page is locked; it is unlocked under writeback. Nothing keeps its buffer from being dirtied meanwhile."""
    nr_underway = 0

    if not PageLocked(page):
        BUG(1752)

    last_block = i_size_read(inode) - 1 >> PAGE_CACHE_SHIFT

    if not page_has_buffers(page):
        create_empty_buffers(page, 1 << BH_Dirty | 1 << BH_Uptodate)

    block = page.index
    bh = page_buffers(page, 1772)

    # where does it go?
    if block > last_block:
        # a truncate is in progress
        clear_buffer_dirty(bh)
        set_buffer_uptodate(bh)
    elif not buffer_mapped(bh) and buffer_dirty(bh):
        ext2_get_block(inode, block, bh, 1)
        if buffer_new(bh):
            clear_buffer_new(bh)                    # unmap_underlying_metadata() finds no alias

    if buffer_mapped(bh):
        locked = 1
        # if it must not block it redirties the page instead, and somebody else will write it
        if wbc.sync_mode != WB_SYNC_NONE or not wbc.nonblocking:
            lock_buffer(bh)
        elif test_set_buffer_locked(bh):
            redirty_page_for_writepage(wbc, page)
            locked = 0
        if locked:
            if test_clear_buffer_dirty(bh):
                mark_buffer_async_write(bh)
            else:
                unlock_buffer(bh)

    # PG_writeback keeps the page and its buffer from now on
    if PageWriteback(page):
        BUG(1833)
    set_page_writeback(page)

    if buffer_async_write(bh):
        submit_bh(WRITE_BIO, bh)
        nr_underway += 1
    unlock_page(page)

    # done:
    if nr_underway == 0:
        # the buffer was clean: somebody has written it by hand
        uptodate = 1
        if not buffer_uptodate(bh):
            uptodate = 0
        if uptodate:
            SetPageUptodate(page)
        end_page_writeback(page)
    return 0


def __block_prepare_write(inode, page, from_, to):
    """The page is locked and will be written as a whole, or, where a file ends, not at all: so it need not be read."""
    if not PageLocked(page):
        BUG(1919)

    if not page_has_buffers(page):
        create_empty_buffers(page, 0)
    head = page_buffers(page, 1927)

    block = page.index

    bh = head
    block_start = 0
    done = 0
    if block_start >= to:
        # nothing of it is written
        if PageUptodate(page):
            if not buffer_uptodate(bh):
                set_buffer_uptodate(bh)
        done = 1                                    # continue
    else:
        if buffer_new(bh):
            clear_buffer_new(bh)
        if not buffer_mapped(bh):
            ext2_get_block(inode, block, bh, 1)
            if buffer_new(bh):
                # unmap_underlying_metadata() finds no alias
                if PageUptodate(page):
                    set_buffer_uptodate(bh)
                done = 1                            # continue
    if not done:
        if PageUptodate(page):
            if not buffer_uptodate(bh):
                set_buffer_uptodate(bh)
        elif not buffer_uptodate(bh):
            buffer_delay(bh)

    if buffer_new(bh):
        clear_buffer_new(bh)
    return 0


def __block_commit_write(inode, page, from_, to):
    partial = 0

    bh = page_buffers(page, 2039)
    block_start = 0
    if block_start >= to:
        if not buffer_uptodate(bh):
            partial = 1
    else:
        set_buffer_uptodate(bh)
        mark_buffer_dirty(bh)

    if not partial:
        SetPageUptodate(page)
    return 0


def block_read_full_page(page):
    """The page is locked; it is unlocked when it is read."""
    inode = page.mapping.host

    if not PageLocked(page):
        BUG(2079)
    if not page_has_buffers(page):
        create_empty_buffers(page, 0)
    head = page_buffers(page, 2083)

    iblock = page.index
    lblock = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
    bh = head
    nr = 0
    fully_mapped = 1

    if not buffer_uptodate(bh):
        hole = 0
        if not buffer_mapped(bh):
            fully_mapped = 0
            if iblock < lblock:
                ext2_get_block(inode, iblock, bh, 0)
            if not buffer_mapped(bh):
                memset_page(page)                   # kmap_atomic()
                set_buffer_uptodate(bh)
                hole = 1                            # continue
            # get_block() might have updated the buffer synchronously
            elif buffer_uptodate(bh):
                hole = 1                            # continue
        if not hole:
            nr = 1

    if fully_mapped:
        SetPageMappedToDisk(page)

    if not nr:
        SetPageUptodate(page)
        unlock_page(page)
        return 0

    # stage two: lock the buffer
    lock_buffer(bh)
    mark_buffer_async_read(bh)

    # stage three: start the I/O, unless it became uptodate
    if buffer_uptodate(bh):
        end_buffer_async_read(bh)
    else:
        submit_bh(READ_BIO, bh)
    return 0


def block_prepare_write(file, page, from_, to):
    inode = page.mapping.host
    return __block_prepare_write(inode, page, from_, to)


def generic_commit_write(file, page, from_, to):
    """The page is locked, and i_sem is held."""
    inode = page.mapping.host
    pos = (page.index << PAGE_CACHE_SHIFT) + to
    __block_commit_write(inode, page, from_, to)
    # no i_size_read(): i_sem is held
    if pos > data_race(inode.i_size):
        i_size_write(inode, pos)
        # left out: mark_inode_dirty(), of the inode itself
    return 0


def block_write_full_page(page, wbc):
    """writepage of ext2. The page is locked."""
    inode = page.mapping.host
    i_size = i_size_read(inode)
    end_index = i_size >> PAGE_CACHE_SHIFT

    # inside the file?
    if page.index < end_index:
        return __block_write_full_page(inode, page, wbc)

    # outside: a truncate is in progress. Sizes are whole pages, so no page straddles the end.
    data_race(page.index)                           # is it beyond the page that straddles the end?
    do_invalidatepage(page, 0)
    unlock_page(page)
    return 0


def end_bio_bh_io_sync(bh):
    """The end of a request of one buffer, in the interrupt."""
    bh.b_end_io(bh)
    return 0


def submit_bh(rw, bh):
    if not buffer_locked(bh):
        BUG(2762)
    if not buffer_mapped(bh):
        BUG(2763)
    if not bh.b_end_io:
        BUG(2764)

    if buffer_ordered(bh) and rw == WRITE_BIO:
        rw = WRITE_BARRIER

    # a write error goes when the buffer is written again
    if test_set_buffer_req(bh) and (rw == WRITE_BIO or rw == WRITE_BARRIER):
        clear_buffer_write_io_error(bh)

    submit_bio(rw, bh.b_bdev, ((bh.b_blocknr, bh.b_page.data),), end_bio_bh_io_sync, bh)
    return 0


def buffer_busy(bh):
    return atomic_read(bh.b_count) | (data_race(read_word(bh.b_state)) & (1 << BH_Dirty | 1 << BH_Lock))


def drop_buffers(page):
    """The page is locked, and private_lock held unless it has no mapping. Returns 1 if its buffer is gone."""
    bh = page_buffers(page, 2919)
    buffer_write_io_error(bh)                       # no I/O fails
    if buffer_busy(bh):
        return 0                                    # goto failed
    __clear_page_buffers(page)
    return 1


def try_to_free_buffers(page):
    """The page is locked. Does not block."""
    mapping = page.mapping

    if not PageLocked(page):
        BUG(2951)
    if PageWriteback(page):
        return 0

    if mapping is None:
        # can this still happen?
        ret = drop_buffers(page)
        return ret                                  # goto out

    spin_lock(mapping.private_lock)
    ret = drop_buffers(page)
    if ret:
        # clean buffers on a dirty page: buffers attached to it later must not be found dirty and not uptodate
        clear_page_dirty(page)
    spin_unlock(mapping.private_lock)
    # out: the slab's object of a buffer is its page's
    return ret


__FILE__ = "include/linux/buffer_head.h"


def lock_buffer(bh):
    """Asleep if need be."""
    if test_set_buffer_locked(bh):
        __lock_buffer(bh)


__FILE__ = "fs/ext2/inode.c"


def ext2_readpage(file, page):
    return mpage_readpage(page)
