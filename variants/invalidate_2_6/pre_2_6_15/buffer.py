# SPDX-License-Identifier: GPL-2.0-only
"""fs/buffer.c: a page's buffer, of its own size. Loops over the buffers of a page are one turn."""
from vmrace.harness.kernel import (
    BUG,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    __set_current_state,
    add_wait_queue_exclusive,
    atomic_read,
    clear_bit,
    data_race,
    read_word,
    remove_wait_queue,
    set_current_state,
    smp_mb,
    smp_mb__after_clear_bit,
    spin_lock,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
    wake_up,
    waitqueue_active,
    write_word,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import ext2_get_block
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import end_page_writeback, radix_tree_tag_set, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import memset_page, submit_bio
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
    buffer_async_read,
    buffer_async_write,
    buffer_dirty,
    buffer_locked,
    buffer_mapped,
    buffer_new,
    buffer_uptodate,
    clear_buffer_async_read,
    clear_buffer_async_write,
    clear_buffer_delay,
    clear_buffer_dirty,
    clear_buffer_mapped,
    clear_buffer_new,
    clear_buffer_req,
    clear_page_dirty,
    get_bh,
    i_size_read,
    i_size_write,
    page_buffers,
    page_has_buffers,
    put_bh,
    set_buffer_async_read,
    set_buffer_async_write,
    set_buffer_dirty,
    set_buffer_req,
    set_buffer_uptodate,
    set_page_writeback,
    test_clear_buffer_dirty,
    test_set_buffer_dirty,
    test_set_buffer_locked,
    write_lock_irq,
    write_unlock_irq,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.mpage import mpage_readpage
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import __mark_inode_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import __set_page_dirty_nobuffers, redirty_page_for_writepage
from vmrace.variants.invalidate_2_6.pre_2_6_15.wait import io_schedule
from vmrace.variants.invalidate_2_6.types import (
    BH_Dirty,
    BH_Lock,
    BH_Uptodate,
    I_DIRTY_PAGES,
    PAGECACHE_TAG_DIRTY,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    READ_BIO,
    WB_SYNC_NONE,
    WRITE_BIO,
    page_uptodate_lock,
)


__FILE__ = "fs/buffer.c"


def lock_buffer(bh):
    """Asleep if need be: __wait_on_bit_lock(), on the buffer's bit."""
    if test_set_buffer_locked(bh):
        add_wait_queue_exclusive(bh.b_wait)
        while True:
            set_current_state(TASK_UNINTERRUPTIBLE)
            if buffer_locked(bh):
                smp_mb()                            # sync_buffer()
                io_schedule()
            if not test_set_buffer_locked(bh):
                break
        __set_current_state(TASK_RUNNING)
        remove_wait_queue(bh.b_wait)


def unlock_buffer(bh):
    clear_bit(BH_Lock, bh.b_state)                  # clear_buffer_locked()
    smp_mb__after_clear_bit()
    if waitqueue_active(bh.b_wait):                 # wake_up_bit()
        wake_up(bh.b_wait)


def end_buffer_async_read(bh):
    """In the interrupt, or where the buffer was uptodate already. No I/O fails."""
    if not buffer_async_read(bh):
        BUG(547)

    page = bh.b_page
    set_buffer_uptodate(bh)

    # of several buffers the last one would find that it is
    flags = spin_lock_irqsave(page_uptodate_lock)
    clear_buffer_async_read(bh)
    unlock_buffer(bh)
    page_uptodate = buffer_uptodate(bh)
    buffer_async_read(bh)                           # of this one: no longer
    spin_unlock_irqrestore(page_uptodate_lock, flags)

    if page_uptodate:
        SetPageUptodate(page)
    unlock_page(page)


def end_buffer_async_write(bh):
    """In the interrupt."""
    if not buffer_async_write(bh):
        BUG(605)

    page = bh.b_page
    set_buffer_uptodate(bh)

    flags = spin_lock_irqsave(page_uptodate_lock)
    clear_buffer_async_write(bh)
    unlock_buffer(bh)
    spin_unlock_irqrestore(page_uptodate_lock, flags)
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
        set_buffer_dirty(page_buffers(page))
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


def alloc_page_buffers(page):
    """The slab's object for this page; its state is 0."""
    bh = page.bh
    write_word(bh.b_state, 0)
    bh.b_bdev = None
    bh.b_blocknr = -1
    bh.b_end_io = None
    return bh


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
        BUG(1591)
    if PageWriteback(page):
        return 0
    return try_to_free_buffers(page)


def block_invalidatepage(page, offset):
    """The page is locked, and invalidated as a whole."""
    ret = 1

    if not PageLocked(page):
        BUG(1622)
    if page_has_buffers(page):
        discard_buffer(page_buffers(page))
        ret = try_to_release_page(page, 0)
    # out:
    return ret


def create_empty_buffers(page, b_state):
    """The page is locked. Attached and dirtied under private_lock: see __set_page_dirty_buffers()."""
    bh = alloc_page_buffers(page)
    if b_state:
        write_word(bh.b_state, read_word(bh.b_state) | b_state)

    mapping = page.mapping
    spin_lock(mapping.private_lock)
    if PageUptodate(page) or PageDirty(page):
        if PageDirty(page):
            set_buffer_dirty(bh)
        if PageUptodate(page):
            set_buffer_uptodate(bh)
    attach_page_buffers(page, bh)
    spin_unlock(mapping.private_lock)


def __block_write_full_page(inode, page, wbc):
    """The page is locked; it is unlocked under writeback. Nothing keeps its buffer from being dirtied meanwhile."""
    nr_underway = 0

    if not PageLocked(page):
        BUG(1754)

    last_block = i_size_read(inode) - 1 >> PAGE_CACHE_SHIFT

    if not page_has_buffers(page):
        create_empty_buffers(page, 1 << BH_Dirty | 1 << BH_Uptodate)

    block = page.index
    bh = page_buffers(page)

    # where does it go?
    if block > last_block:
        # a truncate is in progress
        clear_buffer_dirty(bh)
        set_buffer_uptodate(bh)
    elif not buffer_mapped(bh) and buffer_dirty(bh):
        ext2_get_block(inode, block, bh, 1)
        if buffer_new(bh):
            clear_buffer_new(bh)                    # unmap_underlying_metadata() finds no alias

    get_bh(bh)
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

    # PG_writeback keeps the buffer from now on
    if PageWriteback(page):
        BUG(1836)
    set_page_writeback(page)
    unlock_page(page)

    if buffer_async_write(bh):
        submit_bh(WRITE_BIO, bh)
        nr_underway += 1
    put_bh(bh)

    # done:
    if nr_underway == 0:
        # the buffer was clean: somebody has written it by hand
        if buffer_uptodate(bh):
            SetPageUptodate(page)
        end_page_writeback(page)
    return 0


def block_prepare_write(file, page, start, to):
    """The page is locked and will be written as a whole, so it need not be read."""
    inode = page.mapping.host

    if not PageLocked(page):
        BUG(1925)

    if not page_has_buffers(page):
        create_empty_buffers(page, 0)
    bh = page_buffers(page)

    if buffer_new(bh):
        clear_buffer_new(bh)
    if not buffer_mapped(bh):
        ext2_get_block(inode, page.index, bh, 1)
        if buffer_new(bh):
            clear_buffer_new(bh)                    # unmap_underlying_metadata() finds no alias
            if PageUptodate(page):
                set_buffer_uptodate(bh)
            return 0
    if PageUptodate(page) and not buffer_uptodate(bh):
        set_buffer_uptodate(bh)
    return 0


def __block_commit_write(page):
    bh = page_buffers(page)
    set_buffer_uptodate(bh)
    mark_buffer_dirty(bh)
    SetPageUptodate(page)                           # it was written as a whole


def generic_commit_write(file, page, start, to):
    """The page is locked, and i_sem is held."""
    inode = page.mapping.host
    pos = (page.index << PAGE_CACHE_SHIFT) + to
    __block_commit_write(page)
    # no i_size_read(): i_sem is held
    if pos > data_race(inode.i_size):
        i_size_write(inode, pos)
        # left out: mark_inode_dirty(), of the inode itself
    return 0


def block_read_full_page(page):
    """The page is locked; it is unlocked when it is read."""
    inode = page.mapping.host
    nr = 0

    if not PageLocked(page):
        BUG(2080)
    if not page_has_buffers(page):
        create_empty_buffers(page, 0)
    bh = page_buffers(page)

    iblock = page.index
    lblock = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
    fully_mapped = 1
    if not buffer_uptodate(bh):
        nr = 1
        if not buffer_mapped(bh):
            fully_mapped = 0
            if iblock < lblock:
                ext2_get_block(inode, iblock, bh, 0)
            if not buffer_mapped(bh):
                memset_page(page)
                set_buffer_uptodate(bh)
                nr = 0

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


def block_write_full_page(page, wbc):
    """writepage of ext2. The page is locked."""
    inode = page.mapping.host
    i_size = i_size_read(inode)
    end_index = i_size >> PAGE_CACHE_SHIFT

    # inside the file?
    if page.index < end_index:
        return __block_write_full_page(inode, page, wbc)

    # outside: a truncate is in progress. Sizes are whole pages, so no page straddles the end.
    block_invalidatepage(page, 0)
    unlock_page(page)
    return 0


def end_bio_bh_io_sync(bh):
    bh.b_end_io(bh)


def submit_bh(rw, bh):
    if not buffer_locked(bh):
        BUG(2759)
    if not buffer_mapped(bh):
        BUG(2760)
    if not bh.b_end_io:
        BUG(2761)

    set_buffer_req(bh)
    submit_bio(rw, bh.b_bdev, ((bh.b_blocknr, bh.b_page.data),), end_bio_bh_io_sync, bh)


def buffer_busy(bh):
    return atomic_read(bh.b_count) | (data_race(read_word(bh.b_state)) & (1 << BH_Dirty | 1 << BH_Lock))


def drop_buffers(page):
    """The page is locked, and private_lock held unless it has no mapping. Returns 1 if its buffer is gone."""
    bh = page_buffers(page)
    if buffer_busy(bh):
        return 0                                    # goto failed
    __clear_page_buffers(page)
    return 1


def try_to_free_buffers(page):
    """The page is locked. Does not block."""
    mapping = page.mapping

    if not PageLocked(page):
        BUG(2945)
    if PageWriteback(page):
        return 0

    if mapping is None:
        # can this still happen?
        return drop_buffers(page)

    spin_lock(mapping.private_lock)
    ret = drop_buffers(page)
    if ret:
        # clean buffers on a dirty page: buffers attached to it later must not be found dirty and not uptodate
        clear_page_dirty(page)
    spin_unlock(mapping.private_lock)
    return ret


__FILE__ = "fs/ext2/inode.c"


def ext2_readpage(file, page):
    return mpage_readpage(page)
