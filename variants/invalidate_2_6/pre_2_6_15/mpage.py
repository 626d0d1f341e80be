# SPDX-License-Identifier: GPL-2.0-only
"""fs/mpage.c: pages read and written without buffers, several in one request.

A bio is a tuple (block, page, device) for each page; it goes out when the next page's block does not follow, or at the end.
"""
from vmrace.harness.kernel import BUG, BUG_ON, data_race, list_del, list_empty, list_entry
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import block_read_full_page, block_write_full_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import has_block
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import add_to_page_cache, end_page_writeback, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import submit_bio
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    PageUptodate,
    PageWriteback,
    SetPageMappedToDisk,
    SetPageUptodate,
    buffer_boundary,
    buffer_dirty,
    buffer_locked,
    buffer_mapped,
    buffer_uptodate,
    clear_buffer_dirty,
    i_size_read,
    lock_page,
    page_buffers,
    page_cache_release,
    page_has_buffers,
    pagevec_add,
    pagevec_init,
    pagevec_lru_add,
    pagevec_release,
    set_page_writeback,
    wait_on_page_writeback,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import clear_page_dirty_for_io
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import __pagevec_lru_add, pagevec_lookup_tag
from vmrace.variants.invalidate_2_6.types import (
    PAGECACHE_TAG_DIRTY,
    PAGEVEC_SIZE,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    READ_BIO,
    ULONG_MAX,
    WB_SYNC_NONE,
    WRITE_BIO,
)
from vmrace.variants.mmu import memset_page


__FILE__ = "fs/mpage.c"


def mpage_end_io_read(bio):
    """In the interrupt; from the last page to the first."""
    bvec = len(bio) - 1

    while True:
        page = bio[bvec][1]
        bvec -= 1

        SetPageUptodate(page)
        unlock_page(page)
        if bvec < 0:
            break
    return 0


def mpage_end_io_write(bio):
    """In the interrupt; from the last page to the first."""
    bvec = len(bio) - 1

    while True:
        page = bio[bvec][1]
        bvec -= 1

        end_page_writeback(page)
        if bvec < 0:
            break
    return 0


def mpage_bio_submit(rw, bio):
    """Send the pages off. Returns None, as the bio is no longer the caller's."""
    end_io = mpage_end_io_read
    if rw == WRITE_BIO:
        end_io = mpage_end_io_write
    segments = tuple([(block, page.data) for block, page, _ in bio])
    submit_bio(rw, bio[0][2], segments, end_io, bio)
    return None


def do_mpage_readpage(bio, page, nr_pages):
    """The page is locked; it is unlocked when it is read. Returns the bio, with the page in it or sent off. It is as long as it has to be,
    where C allocates one for `nr_pages`."""
    inode = page.mapping.host

    if page_has_buffers(page):
        # confused:
        if bio:
            bio = mpage_bio_submit(READ_BIO, bio)
        if not PageUptodate(page):
            block_read_full_page(page)
        else:
            unlock_page(page)
        return bio

    block_in_file = page.index
    last_block = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
    allocated = 0
    if block_in_file < last_block:
        allocated, new = has_block(inode, block_in_file, 0)     # get_block()

    if not allocated:
        # a hole
        memset_page(page)
        SetPageUptodate(page)
        unlock_page(page)
        return bio                                  # goto out
    SetPageMappedToDisk(page)

    # does it follow on what is in the bio?
    if bio and bio[-1][0] != block_in_file - 1:
        bio = mpage_bio_submit(READ_BIO, bio)
    return (*(bio or ()), (block_in_file, page, inode.i_bdev))


def mpage_readpages(mapping, pages, nr_pages):
    """New pages, each with the reference of whoever has allocated it, which becomes the pagevec's."""
    bio = None
    lru_pvec = pagevec_init()
    for page_idx in range(nr_pages):
        page = list_entry(pages.prev)

        list_del(page.lru)
        if not add_to_page_cache(page, mapping, data_race(page.index)):
            bio = do_mpage_readpage(bio, page, nr_pages - page_idx)
            if not pagevec_add(lru_pvec, page):
                __pagevec_lru_add(lru_pvec)
        else:
            page_cache_release(page)
    pagevec_lru_add(lru_pvec)
    BUG_ON(not list_empty(pages), 353)
    if bio:
        mpage_bio_submit(READ_BIO, bio)
    return 0


def mpage_readpage(page):
    bio = None

    bio = do_mpage_readpage(bio, page, 1)
    if bio:
        mpage_bio_submit(READ_BIO, bio)
    return 0


def __mpage_writepage(bio, page, wbc):
    """The page is locked, and clean since just now; it is unlocked under writeback. Returns the bio."""
    data_race(page.mapping)                         # mapping, of which only errors are told
    inode = page.mapping.host
    i_size = i_size_read(inode)
    confused = 0
    block = -1

    if page_has_buffers(page):
        bh = page_buffers(page, 416)
        # if it is mapped and dirty, do it
        if buffer_locked(bh):
            BUG(422)
        if not buffer_mapped(bh):
            confused = 1                            # dirty, or never read: either way
            buffer_dirty(bh)
        elif not buffer_dirty(bh) or not buffer_uptodate(bh):
            confused = 1
        else:
            block = bh.b_blocknr
            buffer_boundary(bh)                     # it is none
    else:
        # no buffers: map it to disk
        if not PageUptodate(page):
            BUG(468)
        block = page.index
        has_block(inode, block, 1)                  # get_block(); unmap_underlying_metadata() finds no alias

    if not confused:
        # page_is_mapped:
        end_index = i_size >> PAGE_CACHE_SHIFT
        if page.index >= end_index:
            data_race(page.index)                   # is it beyond the page that straddles the end?
            confused = 1                            # outside of the file: sizes are whole pages

    if confused:
        if bio:
            bio = mpage_bio_submit(WRITE_BIO, bio)
        block_write_full_page(page, wbc)            # writepage_fn
        return bio

    # does it follow on what is in the bio?
    if bio and bio[-1][0] != block - 1:
        bio = mpage_bio_submit(WRITE_BIO, bio)
    bio = (*(bio or ()), (block, page, inode.i_bdev))

    if page_has_buffers(page):
        bh = page_buffers(page, 551)
        clear_buffer_dirty(bh)
        # left out: buffer_heads_over_limit

    if PageWriteback(page):
        BUG(571)
    set_page_writeback(page)
    unlock_page(page)
    return bio


def mpage_writepages(mapping, wbc):
    """Write the dirty pages of a file, or of a range, if wbc->start or wbc->end says so."""
    bio = None
    done = 0
    end = ULONG_MAX                                 # inclusive
    scanned = 0
    is_range = 0

    pvec = pagevec_init()
    if wbc.sync_mode == WB_SYNC_NONE:
        index = data_race(mapping.writeback_index)  # from where the last one stopped
    else:
        index = 0                                   # the whole file
        scanned = 1
    if wbc.start or wbc.end:
        index = wbc.start >> PAGE_CACHE_SHIFT
        end = wbc.end >> PAGE_CACHE_SHIFT
        is_range = 1
        scanned = 1
    while True:
        # retry:
        while not done and index <= end:
            nr_pages, index = pagevec_lookup_tag(pvec, mapping, index, PAGECACHE_TAG_DIRTY, min(end - index, PAGEVEC_SIZE - 1) + 1)
            if nr_pages == 0:
                break

            scanned = 1
            for i in range(nr_pages):
                page = pvec[i]

                # neither lock is held: the page may be truncated or invalidated
                lock_page(page)

                if page.mapping is not mapping:
                    unlock_page(page)
                    continue

                if is_range and page.index > end:
                    done = 1
                    unlock_page(page)
                    continue

                if wbc.sync_mode != WB_SYNC_NONE:
                    wait_on_page_writeback(page)

                if PageWriteback(page) or not clear_page_dirty_for_io(page):
                    unlock_page(page)
                    continue

                data_race(page.mapping)             # its a_ops->writepage
                bio = __mpage_writepage(bio, page, wbc)
                wbc.nr_to_write -= 1
                if wbc.nr_to_write <= 0:
                    done = 1
            pagevec_release(pvec)
            cond_resched()
        if not scanned and not done:
            # the end of the file, and more to do: go on at its start
            scanned = 1
            index = 0
            continue                                # goto retry
        break
    if not is_range:
        data_race(mapping).writeback_index = index
    if bio:
        mpage_bio_submit(WRITE_BIO, bio)
    return 0
