# SPDX-License-Identifier: GPL-2.0-only
"""fs/buffer.c, with the accessors of fs.h and locks.h, submit_bh(), ll_rw_block() and the methods of a block file system.

Lock order: lru_list_lock, then hash_table_lock, then unused_list_lock.
"""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    READ,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    WRITE,
    __set_current_state,
    add_wait_queue,
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_set,
    clear_bit,
    current,
    data_race,
    down,
    list_add,
    list_del,
    list_empty,
    list_entry,
    printk,
    read_lock,
    read_unlock,
    read_word,
    remove_wait_queue,
    schedule,
    set_bit,
    set_task_state,
    smp_mb__after_clear_bit,
    spin_lock,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
    unlikely,
    up,
    waitqueue_active,
    wake_up,
    write_lock,
    write_unlock,
    write_word,
)
from vmrace.variants.lru_free_2_4.pre_patch.filemap import a_ops_releasepage, filemap_fdatasync, filemap_fdatawait, mark_inode_dirty
from vmrace.variants.lru_free_2_4.pre_patch.hardware import __make_request, kmem_cache_alloc_bh
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import (
    PageError,
    PageHighMem,
    PageLocked,
    Page_Uptodate,
    SetPageError,
    SetPageUptodate,
    UnlockPage,
    clear_user_highpage,
    pf_gfp_mask,
)
from vmrace.variants.lru_free_2_4.pre_patch.page_alloc import nr_free_buffer_pages
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import page_cache_get, page_cache_release
from vmrace.variants.lru_free_2_4.types import (
    BH_Async,
    BH_Dirty,
    BH_Launder,
    BH_Lock,
    BH_Mapped,
    BH_New,
    BH_Req,
    BH_Uptodate,
    BH_Wait_IO,
    BUFFER_BUSY_BITS,
    BUF_CLEAN,
    BUF_DIRTY,
    BUF_LOCKED,
    B_FREE,
    EAGAIN,
    EIO,
    FILE_PAGES,
    I_DIRTY,
    I_DIRTY_DATASYNC,
    NODEV,
    NRSYNC,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_SHIFT,
    PAGE_SIZE,
    PF_NOIO,
    __GFP_HIGHIO,
    __GFP_IO,
    bdflush_ndirty,
    bdflush_wait,
    buffer_wait,
    hash_table_lock,
    lru_list,
    lru_list_lock,
    nfract,
    nfract_stop_bdflush,
    nfract_sync,
    page_uptodate_lock,
    unused_list_lock,
)


__FILE__ = "include/linux/fs.h"


def buffer_uptodate(bh):
    return test_bit(BH_Uptodate, bh.b_state)


def buffer_dirty(bh):
    return test_bit(BH_Dirty, bh.b_state)


def buffer_locked(bh):
    return test_bit(BH_Lock, bh.b_state)


def buffer_mapped(bh):
    return test_bit(BH_Mapped, bh.b_state)


def buffer_new(bh):
    return test_bit(BH_New, bh.b_state)


def buffer_async(bh):
    return test_bit(BH_Async, bh.b_state)


def buffer_launder(bh):
    return test_bit(BH_Launder, bh.b_state)


def get_bh(bh):
    atomic_inc(bh.b_count)


def put_bh(bh):
    atomic_dec(bh.b_count)                          # smp_mb__before_atomic_dec() is for the compiler on i386


def mark_buffer_uptodate(bh, on):
    if on:
        set_bit(BH_Uptodate, bh.b_state)
    else:
        clear_bit(BH_Uptodate, bh.b_state)


def atomic_set_buffer_clean(bh):
    return test_and_clear_bit(BH_Dirty, bh.b_state)


def __mark_buffer_clean(bh):
    refile_buffer(bh)


def mark_buffer_clean(bh):
    if atomic_set_buffer_clean(bh):
        __mark_buffer_clean(bh)


def mark_buffer_async(bh, on):
    if on:
        set_bit(BH_Async, bh.b_state)
    else:
        clear_bit(BH_Async, bh.b_state)


def atomic_set_buffer_dirty(bh):
    return test_and_set_bit(BH_Dirty, bh.b_state)


def brelse(buf):
    if buf:
        __brelse(buf)


def fsync_inode_buffers(inode):
    return fsync_buffers_list(inode.i_dirty_buffers)


def fsync_inode_data_buffers(inode):
    return fsync_buffers_list(inode.i_dirty_data_buffers)


def block_flushpage(page, offset):
    return discard_bh_page(page, offset, 1)


def block_invalidate_page(page):
    return discard_bh_page(page, 0, 0)


__FILE__ = "include/linux/locks.h"


def wait_on_buffer(bh):
    if test_bit(BH_Lock, bh.b_state):
        __wait_on_buffer(bh)


def lock_buffer(bh):
    while test_and_set_bit(BH_Lock, bh.b_state):
        __wait_on_buffer(bh)


__FILE__ = "fs/buffer.c"


def unlock_buffer(bh):
    clear_bit(BH_Wait_IO, bh.b_state)
    clear_bit(BH_Launder, bh.b_state)
    # so that nobody sees Launder on an unlocked buffer and waits for it
    smp_mb__after_clear_bit()
    clear_bit(BH_Lock, bh.b_state)
    smp_mb__after_clear_bit()
    if waitqueue_active(bh.b_wait):
        wake_up(bh.b_wait)


def __wait_on_buffer(bh):
    get_bh(bh)
    add_wait_queue(bh.b_wait)
    while True:
        set_task_state(TASK_UNINTERRUPTIBLE)
        if not buffer_locked(bh):
            break
        schedule()
        if not buffer_locked(bh):
            break
    __set_current_state(TASK_RUNNING)
    remove_wait_queue(bh.b_wait)
    put_bh(bh)


def end_buffer_io_sync(bh, uptodate):
    mark_buffer_uptodate(bh, uptodate)
    unlock_buffer(bh)
    put_bh(bh)


def __hash_unlink(bh):
    """The buffers of this family are never hashed."""
    # not here: bh.b_pprev.next_hash = bh.b_next: no chain of the hash table has a buffer in it
    # not here: if bh.b_next: as above
    if bh.b_pprev:
        bh.b_pprev = None


def __insert_into_lru_list(bh, blist):
    """lru_list_lock is held."""
    head = lru_list[blist]

    if bh.b_prev_free or bh.b_next_free:
        BUG(509)

    if not head.first:
        head.first = bh
        bh.b_prev_free = bh
    bh.b_next_free = head.first
    bh.b_prev_free = head.first.b_prev_free
    head.first.b_prev_free.b_next_free = bh
    head.first.b_prev_free = bh
    head.nr += 1                                    # nr_buffers_type[blist]
    head.size += bh.b_size                          # size_buffers_type[blist]


def __remove_from_lru_list(bh):
    """lru_list_lock is held. A buffer that was never dirty is on no list."""
    next = bh.b_next_free
    if next:
        prev = bh.b_prev_free
        blist = bh.b_list

        prev.b_next_free = next
        next.b_prev_free = prev
        head = lru_list[blist]
        if head.first is bh:
            if next is bh:
                next = None
            head.first = next
        bh.b_next_free = None
        bh.b_prev_free = None
        head.nr -= 1
        head.size -= bh.b_size


def __remove_from_queues(bh):
    """lru_list_lock and hash_table_lock are held."""
    __hash_unlink(bh)
    __remove_from_lru_list(bh)


def remove_from_queues(bh):
    spin_lock(lru_list_lock)
    write_lock(hash_table_lock)
    __remove_from_queues(bh)
    write_unlock(hash_table_lock)
    spin_unlock(lru_list_lock)


def get_hash_table(dev, block, size):
    """The buffer cache's buffer for a block. There is no buffer cache here, so the chain is empty."""
    read_lock(hash_table_lock)
    bh = None
    read_unlock(hash_table_lock)
    return bh


def __remove_inode_queue(bh):
    """lru_list_lock is held."""
    bh.b_inode = None
    list_del(bh.b_inode_buffers)


def remove_inode_queue(bh):
    """lru_list_lock is held."""
    if bh.b_inode:
        __remove_inode_queue(bh)


def end_buffer_io_async(bh, uptodate):
    """The end of a page's I/O, in an interrupt: the last of its buffers unlocks the page."""
    fullup = 1

    mark_buffer_uptodate(bh, uptodate)

    page = bh.b_page

    if not uptodate:
        SetPageError(page)

    # Two buffers may end at the same time, and only one of them is the last.
    flags = spin_lock_irqsave(page_uptodate_lock)
    mark_buffer_async(bh, 0)
    unlock_buffer(bh)
    tmp = bh.b_this_page
    while tmp is not bh:
        if buffer_locked(tmp):
            if buffer_async(tmp):
                # still_busy:
                spin_unlock_irqrestore(page_uptodate_lock, flags)
                return
        elif not buffer_uptodate(tmp):
            fullup = 0
        tmp = tmp.b_this_page

    # the page's I/O is complete
    spin_unlock_irqrestore(page_uptodate_lock, flags)

    if fullup and not PageError(page):
        SetPageUptodate(page)

    UnlockPage(page)


def set_buffer_async_io(bh):
    bh.b_end_io = end_buffer_io_async
    mark_buffer_async(bh, 1)


def __refile_buffer(bh):
    """lru_list_lock is held."""
    dispose = BUF_CLEAN
    if buffer_locked(bh):
        dispose = BUF_LOCKED
    if buffer_dirty(bh):
        dispose = BUF_DIRTY
    if dispose != bh.b_list:
        __remove_from_lru_list(bh)
        bh.b_list = dispose
        if dispose == BUF_CLEAN:
            remove_inode_queue(bh)
        __insert_into_lru_list(bh, dispose)


def refile_buffer(bh):
    spin_lock(lru_list_lock)
    __refile_buffer(bh)
    spin_unlock(lru_list_lock)


def __brelse(buf):
    if atomic_read(buf.b_count):
        put_bh(buf)
        return
    printk("VFS: brelse: Trying to free free buffer")


def __put_unused_buffer_head(bh):
    """unused_list_lock is held."""
    if bh.b_inode:
        BUG(1142)
    # not here: nr_unused_buffer_heads: the reserve of unused buffers (see types): the page's buffer goes back to the page
    # not here: bh.b_next_free = unused_list: as above
    # not here: unused_list = bh: as above
    bh.b_dev = B_FREE
    bh.b_blocknr = -1
    bh.b_this_page = None


def get_unused_buffer_head(page):
    """From the slab: the buffer it has for this page."""
    # not here: if NR_RESERVED < nr_unused_buffer_heads: the reserve of unused buffers (see types)
    # not here: if page: C asks whether async, and then has a second try, after the slab has refused
    spin_lock(unused_list_lock)
    spin_unlock(unused_list_lock)

    # Left out: kmem_cache_grow(), if the slab is full. It allocates a page with GFP_NOFS, below the lock of `page` and, in write(2), below
    # i_sem. Such a reclaim waits for I/O on buffers at most, and the end of I/O needs neither. The operation reclaim_nofs makes it.
    bh = kmem_cache_alloc_bh(page)
    if bh:
        bh.b_blocknr = -1
        bh.b_this_page = None
        return bh
    return None


def set_bh_page(bh, page, offset):
    if offset >= PAGE_SIZE:
        BUG(1215)
    # not here: bh.b_data = (page_address() + offset): a page has one buffer, and the disk finds the words through b_page
    # not here: page_address(page): as above
    bh.b_page = page


def create_buffers(page, size, async_):
    """The page's buffers, not linked to it yet."""
    # not here: if bh: the slab does not refuse, so nothing is undone and nobody waits for buffers
    head = None
    offset = PAGE_SIZE
    while (offset := offset - size) >= 0:
        bh = get_unused_buffer_head(page)

        bh.b_dev = NODEV
        bh.b_this_page = head
        head = bh

        write_word(bh.b_state, 0)
        # not here: bh.b_next_free = 0: NULL already: __remove_from_lru_list() has left it so, and there is no list of unused buffers
        bh.b_pprev = None
        atomic_set(bh.b_count, 0)
        bh.b_size = size

        set_bh_page(bh, page, offset)

        bh.b_list = BUF_CLEAN
        bh.b_end_io = None
    return head


def discard_buffer(bh):
    if buffer_mapped(bh):
        mark_buffer_clean(bh)
        lock_buffer(bh)
        clear_bit(BH_Uptodate, bh.b_state)
        clear_bit(BH_Mapped, bh.b_state)
        clear_bit(BH_Req, bh.b_state)
        clear_bit(BH_New, bh.b_state)
        remove_from_queues(bh)
        unlock_buffer(bh)


def try_to_release_page(page, gfp_mask):
    """The page is locked."""
    if not PageLocked(page):
        BUG(1326)

    if page.mapping:
        if a_ops_releasepage(page.mapping.a_ops) and not a_ops_releasepage(page.mapping.a_ops)(page, gfp_mask):
            return 0
    # try_to_free:
    return try_to_free_buffers(page, gfp_mask)


def discard_bh_page(page, offset, drop_pagecache):
    """Forget the disk blocks of a page that is being truncated, and drop its buffers if offset is 0. The page is locked.

    Returns 0 if the buffers are busy: then they stay, as anonymous ones.
    """
    if not PageLocked(page):
        BUG(1356)
    if not page.buffers:
        return 1

    curr_off = 0
    head = page.buffers
    bh = head
    while True:
        next_off = curr_off + bh.b_size
        next = bh.b_this_page

        # wholly beyond the offset?
        if offset <= curr_off:
            discard_buffer(bh)
        curr_off = next_off
        bh = next
        if bh is head:
            break

    if not offset:
        if not try_to_release_page(page, 0):
            return 0

    return 1


def create_empty_buffers(page, dev, blocksize):
    """Give the page buffers, and them a reference to it. The page is locked."""
    head = create_buffers(page, blocksize, 1)
    if page.buffers:
        BUG(1400)

    bh = head
    while True:
        bh.b_dev = dev
        bh.b_blocknr = 0
        bh.b_end_io = None
        tail = bh
        bh = bh.b_this_page
        if not bh:
            break
    tail.b_this_page = head
    page.buffers = head
    page_cache_get(page)


def unmap_underlying_metadata(bh):
    old_bh = get_hash_table(bh.b_dev, bh.b_blocknr, bh.b_size)
    if old_bh:
        mark_buffer_clean(old_bh)
        wait_on_buffer(old_bh)
        clear_bit(BH_Req, old_bh.b_state)
        __brelse(old_bh)


def __block_write_full_page(inode, page, get_block):
    """Start writing a locked page of a file; the end of the I/O unlocks it."""
    # not here: if get_block(): the disk is not full and does not fail
    if not PageLocked(page):
        BUG(1465)

    if not page.buffers:
        create_empty_buffers(page, inode.i_dev, PAGE_SIZE)
    head = page.buffers

    block = page.index

    bh = head

    # stage 1: all buffers have a block
    while True:
        if not buffer_mapped(bh):
            get_block(inode, block, bh, 1)
            if buffer_new(bh):
                unmap_underlying_metadata(bh)
        bh = bh.b_this_page
        block += 1
        if bh is head:
            break

    # stage 2: lock them, mark them clean
    while True:
        lock_buffer(bh)
        set_buffer_async_io(bh)
        set_bit(BH_Uptodate, bh.b_state)
        clear_bit(BH_Dirty, bh.b_state)
        bh = bh.b_this_page
        if bh is head:
            break

    # stage 3: submit them
    while True:
        next = bh.b_this_page
        submit_bh(WRITE, bh)
        bh = next
        if bh is head:
            break

    SetPageUptodate(page)
    return 0


def block_read_full_page(page, get_block):
    """Start reading a locked page of a file; the end of the I/O unlocks it."""
    inode = page.mapping.host

    if not PageLocked(page):
        BUG(1710)
    blocksize = PAGE_SIZE
    if not page.buffers:
        create_empty_buffers(page, inode.i_dev, blocksize)
    head = page.buffers

    iblock = page.index
    lblock = data_race(inode.i_size) + blocksize - 1 >> PAGE_SHIFT
    bh = head
    nr = 0
    i = 0
    arr = []                                        # only here: arr: a list that grows, where C has an array

    while True:
        if not buffer_uptodate(bh):
            wanted = True
            if not buffer_mapped(bh):
                if iblock < lblock and get_block(inode, iblock, bh, 0):
                    wanted = False
                elif not buffer_mapped(bh):
                    # a hole
                    clear_user_highpage(page, 0)    # memset(kmap(page) + i*blocksize, 0, blocksize)
                    set_bit(BH_Uptodate, bh.b_state)
                    wanted = False
                elif buffer_uptodate(bh):           # get_block() may have read it
                    wanted = False
            if wanted:
                arr.append(bh)
                nr += 1
        i += 1
        iblock += 1
        bh = bh.b_this_page
        if bh is head:
            break

    if not nr:
        # every buffer is uptodate, and so the page
        SetPageUptodate(page)
        UnlockPage(page)
        return 0

    # stage 2: lock the buffers
    for i in range(nr):
        bh = arr[i]
        lock_buffer(bh)
        set_buffer_async_io(bh)

    # stage 3: start the I/O
    for i in range(nr):
        bh = arr[i]
        if buffer_uptodate(bh):
            end_buffer_io_async(bh, 1)
        else:
            submit_bh(READ, bh)

    return 0


def block_write_full_page(page, get_block):
    """The size of a file is a whole number of pages, so a page is inside it or outside, never partly so."""
    inode = page.mapping.host
    end_index = data_race(inode.i_size) >> PAGE_CACHE_SHIFT

    # easy case
    if page.index < end_index:
        return __block_write_full_page(inode, page, get_block)

    offset = data_race(inode.i_size) & PAGE_CACHE_SIZE - 1
    assert not offset, "a file that ends in the middle of a page"
    # not here: if page.index < (end_index + 1): the page is outside in any case, since offset is 0; no page is partly inside
    UnlockPage(page)
    return -EIO


def brw_page(rw, page, dev, b, size):
    """Start I/O on a locked page; its end unlocks the page."""
    BUG_ON(not PageLocked(page), 2365)              # panic("brw_page: page not locked for I/O")

    if not page.buffers:
        create_empty_buffers(page, dev, size)
    head = bh = page.buffers

    # stage 1: lock all the buffers
    # only here: i += 1: what C reads as *(b++) is b[i]
    # only here: bh.b_blocknr = b[0]: as above
    # not here: b += 1: as above
    # not here: bh.b_blocknr = post(b): as above
    i = 0
    while True:
        lock_buffer(bh)
        bh.b_blocknr = b[i]
        i += 1
        set_bit(BH_Mapped, bh.b_state)
        set_buffer_async_io(bh)
        bh = bh.b_this_page
        if bh is head:
            break

    # stage 2: start the I/O
    while True:
        next = bh.b_this_page
        submit_bh(rw, bh)
        bh = next
        if bh is head:
            break
    return 0


def sync_page_buffers(head):
    """A page that is to be freed has busy buffers. The first visit marks them, the second waits for their I/O if that is safe.

    Returns 1 if it is worth another try at freeing them.
    """
    bh = head
    tryagain = 1

    while True:
        if buffer_dirty(bh) or buffer_locked(bh):
            # no I/O the first time round
            if not test_and_set_bit(BH_Wait_IO, bh.b_state):
                tryagain = 0

            # the second time, write it
            elif test_and_set_bit(BH_Lock, bh.b_state):
                if unlikely(not buffer_launder(bh)):
                    tryagain = 0
                else:
                    wait_on_buffer(bh)
                    tryagain = 1

            elif not atomic_set_buffer_clean(bh):
                unlock_buffer(bh)

            else:
                __mark_buffer_clean(bh)
                get_bh(bh)
                bh.b_end_io = end_buffer_io_sync
                submit_bh(WRITE, bh)
                tryagain = 0
        bh = bh.b_this_page
        if bh is head:
            break

    return tryagain


def buffer_busy(bh):
    """Is it in use? The end of its I/O clears the bits in an interrupt, which no lock holds off: hence the data_race()."""
    return atomic_read(bh.b_count) | data_race(read_word(bh.b_state)) & BUFFER_BUSY_BITS


def try_to_free_buffers(page, gfp_mask):
    """Drop a locked page's buffers, and their reference to it, if none is in use. Returns success."""
    bh = page.buffers

    while True:
        # cleaned_buffers_try_again:
        spin_lock(lru_list_lock)
        write_lock(hash_table_lock)
        busy_buffer_page = False
        tmp = bh
        while True:
            if buffer_busy(tmp):
                busy_buffer_page = True
                break
            tmp = tmp.b_this_page
            if tmp is bh:
                break

        if not busy_buffer_page:
            spin_lock(unused_list_lock)
            tmp = bh

            # not here: if bh.b_pprev: no buffer is hashed, so the page is not one of buffermem_pages
            while True:
                p = tmp
                tmp = tmp.b_this_page

                if p.b_dev == B_FREE:
                    BUG(2666)

                remove_inode_queue(p)
                __remove_from_queues(p)
                __put_unused_buffer_head(p)
                if tmp is bh:
                    break
            spin_unlock(unused_list_lock)

            # somebody may be waiting for buffer heads
            wake_up(buffer_wait)

            # and the page loses its buffers
            page.buffers = None
            page_cache_release(page)
            write_unlock(hash_table_lock)
            spin_unlock(lru_list_lock)
            return 1

        # busy_buffer_page:
        write_unlock(hash_table_lock)
        spin_unlock(lru_list_lock)
        gfp_mask = pf_gfp_mask(gfp_mask)
        if gfp_mask & __GFP_IO:
            if gfp_mask & __GFP_HIGHIO or not PageHighMem(page):
                if sync_page_buffers(bh):
                    # neither I/O nor waiting the next time
                    gfp_mask = 0
                    continue                        # goto cleaned_buffers_try_again
        if balance_dirty_state() >= 0:
            wakeup_bdflush()
        return 0


def block_sync_page(page):
    """run_task_queue(&tq_disk): there is nothing plugged."""
    return 0


__FILE__ = "fs/ext2/inode.c"


def ext2_get_block(inode, iblock, bh, create):
    """Say where on disk a block of a file is. An inode has a pointer for each of its pages, so the branch is one step long.

    Left out with the big kernel lock: lock_kernel(), under which ext2_truncate() runs too. Neither sleeps between its reads
    and its stores of direct blocks but to free or allocate one, and then looks again (verify_chain()); hence the data_race()s.
    """
    while not data_race(inode.i_block[iblock]):
        # reread:
        if not create:
            return 0                                # a hole: the buffer stays unmapped
        # ext2_alloc_branch(); then ext2_splice_branch(), which looks whether the place is still vacant
        if data_race(inode.i_block[iblock]):
            continue
        data_race(inode.i_block)[iblock] = 1
        mark_inode_dirty(inode)
        write_word(bh.b_state, read_word(bh.b_state) | 1 << BH_New)
        break
    # got_it:
    bh.b_dev = inode.i_dev
    bh.b_blocknr = iblock
    # not atomic: a load and a store of the whole word
    write_word(bh.b_state, read_word(bh.b_state) | 1 << BH_Mapped)
    return 0


def ext2_readpage(file, page):
    return block_read_full_page(page, ext2_get_block)


def ext2_writepage(page):
    return block_write_full_page(page, ext2_get_block)


def ext2_truncate(inode):
    """Free the blocks beyond the end. The last block is whole, so block_truncate_page() has nothing to clear."""
    iblock = data_race(inode.i_size) + PAGE_SIZE - 1 >> PAGE_SHIFT
    ext2_free_data(inode, iblock, FILE_PAGES)
    # do_indirects: left out, as a file this short has no trees of indirect blocks
    mark_inode_dirty(inode)


def ext2_free_data(inode, p, q):
    """The pointers p to q - 1. A file's blocks lie one behind the other on disk: they are freed in one go, after the last pointer
    is gone."""
    # not here: if nr == (nr - 1): is block_to_free == nr - count? always so, as above
    # not here: ext2_free_blocks(inode, nr, count): under the superblock's lock, a leaf
    count = 0
    while p < q:
        nr = data_race(inode.i_block[p])
        if nr:
            data_race(inode.i_block)[p] = 0
            if count == 0:
                count = 1                           # free_this
            else:
                count += 1
        p += 1
    if count > 0:
        mark_inode_dirty(inode)


__FILE__ = "drivers/block/ll_rw_blk.c"


def submit_bh(rw, bh):
    count = bh.b_size >> 9

    if not test_bit(BH_Lock, bh.b_state):
        BUG(1189)

    set_bit(BH_Req, bh.b_state)
    set_bit(BH_Launder, bh.b_state)

    bh.b_rdev = bh.b_dev
    bh.b_rsector = bh.b_blocknr * count

    # not here: if rw == WRITE: kstat.pgpgout and kstat.pgpgin, statistics
    generic_make_request(rw, bh)


def generic_make_request(rw, bh):
    if not bh.b_end_io:
        BUG(1120)

    # the device is as big as it should be, and is itself, not a part of another
    while __make_request(rw, bh):
        pass


def ll_rw_block(rw, nr, bhs):
    """Start I/O on buffers, unless another task has started it."""
    # not here: i += 1: the loop that compares each buffer's size with the block size of its device: they are the same
    # not here: if i < nr: as above
    # not here: if 0 < nr: as above
    # not here: bh = bhs[0]: as above
    # not here: if rw & WRITE: no device is read-only
    if not nr:
        return

    for i in range(nr):
        bh = bhs[i]

        # only one task can submit the I/O
        if test_and_set_bit(BH_Lock, bh.b_state):
            continue

        # we have the buffer lock
        atomic_inc(bh.b_count)
        bh.b_end_io = end_buffer_io_sync

        if rw == WRITE:
            end_io = not atomic_set_buffer_clean(bh)            # nothing to write
            if not end_io:
                __mark_buffer_clean(bh)
        else:
            # not here: if rw == READA: nobody reads ahead with it
            end_io = buffer_uptodate(bh)                        # already have it
        if end_io:
            # end_io:
            bh.b_end_io(bh, test_bit(BH_Uptodate, bh.b_state))
            continue

        submit_bh(rw, bh)


__FILE__ = "fs/buffer.c"


# ---- writing dirty buffers: bdflush, and whoever dirties too much ------------------------------------------------------

def write_locked_buffers(array, count):
    """The buffers are clean and locked: submit them."""
    # not here: bh = array[i]: the first is array[0]
    i = 0
    while True:
        bh = array[i]
        i += 1
        bh.b_end_io = end_buffer_io_sync
        submit_bh(WRITE, bh)
        count -= 1
        if not count:
            break


def write_some_buffers(dev):
    """Write NRSYNC buffers from the head of the dirty list. Called with lru_list_lock held, returns without it."""
    # only here: array: a Python list
    array = []

    next = lru_list[BUF_DIRTY].first
    nr = lru_list[BUF_DIRTY].nr
    count = 0
    while next:
        nr -= 1
        if nr < 0:
            break
        bh = next
        next = bh.b_next_free

        if dev != NODEV and bh.b_dev != dev:
            continue
        if test_and_set_bit(BH_Lock, bh.b_state):
            continue
        if atomic_set_buffer_clean(bh):
            __refile_buffer(bh)
            get_bh(bh)
            array.append(bh)
            count += 1
            if count < NRSYNC:
                continue

            spin_unlock(lru_list_lock)
            write_locked_buffers(array, count)
            return -EAGAIN
        unlock_buffer(bh)
        __refile_buffer(bh)
    spin_unlock(lru_list_lock)

    if count:
        write_locked_buffers(array, count)
    return 0


def balance_dirty_state():
    """-1: no need to write; 0: bdflush should; 1: the caller should, too. Dirty buffers are counted without a lock."""
    dirty = data_race(lru_list[BUF_DIRTY].size) >> PAGE_SHIFT
    tot = nr_free_buffer_pages()

    dirty *= 100
    soft_dirty_limit = tot * nfract
    hard_dirty_limit = tot * nfract_sync

    # First, check for the "real" dirty limit.
    if dirty > soft_dirty_limit:
        if dirty > hard_dirty_limit and not current().flags & PF_NOIO:
            return 1
        return 0

    return -1


def bdflush_stop():
    dirty = data_race(lru_list[BUF_DIRTY].size) >> PAGE_SHIFT
    tot = nr_free_buffer_pages()

    dirty *= 100
    dirty_limit = tot * nfract_stop_bdflush

    if dirty > dirty_limit:
        return 0
    return 1


def balance_dirty():
    """A writer that has dirtied too much writes some buffers itself."""
    state = balance_dirty_state()

    if state < 0:
        return

    wakeup_bdflush()

    if state > 0:
        spin_lock(lru_list_lock)
        write_some_buffers(NODEV)


def wakeup_bdflush():
    wake_up(bdflush_wait)                           # wake_up_interruptible(): nobody sleeps there, see bdflush()


def bdflush():
    """Do the work of one wake-up of bdflush. Then it sleeps, and here it returns."""
    # not here: current.session = 1: the life of the thread before its loop
    # not here: current.pgrp = 1: as above
    # not here: strcpy(current.comm, "bdflush"): as above
    # not here: spin_lock_irq(current.sigmask_lock): as above
    # not here: spin_unlock_irq(current.sigmask_lock): as above
    # not here: flush_signals: as above
    # not here: sigfillset(current.blocked): as above
    # not here: recalc_sigpending(current): as above
    # not here: complete(startup): as above
    while True:
        ndirty = bdflush_ndirty

        while ndirty > 0:
            spin_lock(lru_list_lock)
            if not write_some_buffers(NODEV):
                break
            ndirty -= NRSYNC
        if ndirty > 0 or bdflush_stop():
            return                                  # interruptible_sleep_on(&bdflush_wait)


# ---- dirtying a buffer ---------------------------------------------------------------------------------------------------

def buffer_insert_inode_data_queue(bh, inode):
    spin_lock(lru_list_lock)
    if bh.b_inode:
        list_del(bh.b_inode_buffers)
    bh.b_inode = inode
    list_add(bh.b_inode_buffers, inode.i_dirty_data_buffers)
    spin_unlock(lru_list_lock)


def __mark_dirty(bh):
    # not here: bh.b_flushtime = (jiffies + bdf_prm.b_un.age_buffer): the time of day stands still
    refile_buffer(bh)


def __block_prepare_write(inode, page, from_, to, get_block):
    """The page is locked and will be written from `from_` to `to`: here a whole page, so nothing of it is read or cleared."""
    # not here: if get_block(): it does not fail
    # not here: block = (page.index << (PAGE_CACHE_SHIFT - PAGE_SHIFT)): a block is a page
    blocksize = PAGE_SIZE
    if not page.buffers:
        create_empty_buffers(page, inode.i_dev, blocksize)
    head = page.buffers

    block = page.index

    bh = head
    block_start = 0
    while bh is not head or not block_start:
        if not bh:
            BUG(1570)
        block_end = block_start + blocksize
        if block_end > from_:
            if block_start >= to:
                break
            clear_bit(BH_New, bh.b_state)
            if not buffer_mapped(bh):
                get_block(inode, block, bh, 1)
                if buffer_new(bh):
                    unmap_underlying_metadata(bh)
            # not here: if to < block_end: the write is of a whole block
            # not here: if block_start < from: as block_end
            # not here: buffer_uptodate(bh): as block_end
            # not here: if buffer_uptodate(): as above
            # not here: if wait < wait: as block_end
            if Page_Uptodate(page):
                set_bit(BH_Uptodate, bh.b_state)
        block += 1
        block_start = block_end
        bh = bh.b_this_page
    return 0


def __block_commit_write(inode, page, from_, to):
    partial = 0
    need_balance_dirty = 0

    blocksize = PAGE_SIZE

    bh = head = page.buffers
    block_start = 0
    while bh is not head or not block_start:
        block_end = block_start + blocksize
        if block_end <= from_ or block_start >= to:
            if not buffer_uptodate(bh):
                partial = 1
        else:
            set_bit(BH_Uptodate, bh.b_state)
            if not atomic_set_buffer_dirty(bh):
                __mark_dirty(bh)
                buffer_insert_inode_data_queue(bh, inode)
                need_balance_dirty = 1
        block_start = block_end
        bh = bh.b_this_page

    if need_balance_dirty:
        balance_dirty()
    if not partial:
        SetPageUptodate(page)
    return 0


def block_prepare_write(page, from_, to, get_block):
    inode = page.mapping.host
    # not here: if err: __block_prepare_write() does not fail
    err = __block_prepare_write(inode, page, from_, to, get_block)
    return err


def generic_commit_write(file, page, from_, to):
    """The page is locked, and the file's i_sem is held."""
    inode = page.mapping.host
    pos = (page.index << PAGE_CACHE_SHIFT) + to
    __block_commit_write(inode, page, from_, to)
    if pos > inode.i_size:
        inode.i_size = pos
        mark_inode_dirty(inode)
    return 0


# ---- fsync ---------------------------------------------------------------------------------------------------------------

def fsync_buffers_list(list):
    """Write the dirty buffers of an inode, and wait for those that were dirty at the start.

    Those are put on a list of the caller's own, where they may get dirty again and then go back to the inode's.
    """
    tmp = current().tmp
    err = 0

    # not here: INIT_LIST_HEAD(tmp.i_dirty_buffers): the list is empty from the last time
    # only here: tmp = current.tmp: it is on the stack in C
    # not here: ll_rw_block(WRITE, 1, bh): its buffers are a tuple of one
    spin_lock(lru_list_lock)

    while not list_empty(list):
        bh = list_entry(list.next)
        list_del(bh.b_inode_buffers)
        if not buffer_dirty(bh) and not buffer_locked(bh):
            bh.b_inode = None
        else:
            bh.b_inode = tmp
            list_add(bh.b_inode_buffers, tmp.i_dirty_buffers)
            if buffer_dirty(bh):
                get_bh(bh)
                spin_unlock(lru_list_lock)
                # wait for I/O that is under way with the old data, or else ll_rw_block() would do nothing
                wait_on_buffer(bh)
                ll_rw_block(WRITE, 1, (bh,))
                brelse(bh)
                spin_lock(lru_list_lock)

    while not list_empty(tmp.i_dirty_buffers):
        bh = list_entry(tmp.i_dirty_buffers.prev)
        remove_inode_queue(bh)
        get_bh(bh)
        spin_unlock(lru_list_lock)
        wait_on_buffer(bh)
        if not buffer_uptodate(bh):
            err = -EIO
        brelse(bh)
        spin_lock(lru_list_lock)

    spin_unlock(lru_list_lock)
    err2 = osync_buffers_list(list)

    if err:
        return err
    return err2


def osync_buffers_list(list):
    """Wait for the buffers of an inode that are being written."""
    err = 0

    spin_lock(lru_list_lock)

    # repeat:
    p = list.prev
    while p is not list:
        bh = list_entry(p)
        if buffer_locked(bh):
            get_bh(bh)
            spin_unlock(lru_list_lock)
            wait_on_buffer(bh)
            if not buffer_uptodate(bh):
                err = -EIO
            brelse(bh)
            spin_lock(lru_list_lock)
            p = list.prev                           # goto repeat
            continue
        p = p.prev

    spin_unlock(lru_list_lock)
    return err


def sys_fsync(file):
    # not here: file = fd: the file is given, and stays open
    # not here: if file: as above
    dentry = file.f_dentry
    inode = dentry.d_inode

    # protect against other writers
    down(inode.i_sem)
    ret = filemap_fdatasync(inode.i_mapping)
    err = ext2_sync_file(file, dentry, 0)           # file->f_op->fsync
    if err and not ret:
        ret = err
    err = filemap_fdatawait(inode.i_mapping)
    if err and not ret:
        ret = err
    up(inode.i_sem)

    return ret


__FILE__ = "fs/ext2/fsync.c"


def ext2_sync_file(file, dentry, datasync):
    inode = dentry.d_inode
    return ext2_fsync_inode(inode, datasync)


def ext2_fsync_inode(inode, datasync):
    err = fsync_inode_buffers(inode)
    err |= fsync_inode_data_buffers(inode)
    if not data_race(inode.i_state) & I_DIRTY:
        return err
    if datasync and not data_race(inode.i_state) & I_DIRTY_DATASYNC:
        return err

    # not here: err |= ext2_sync_inode(): it writes the block of the inode, which is left out
    # not here: ext2_sync_inode(inode): as above
    return -EIO if err else 0


__FILE__ = "fs/ext2/inode.c"


def ext2_prepare_write(file, page, from_, to):
    return block_prepare_write(page, from_, to, ext2_get_block)
