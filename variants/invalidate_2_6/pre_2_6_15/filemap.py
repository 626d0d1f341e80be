# SPDX-License-Identifier: GPL-2.0-only
"""mm/filemap.c: the page cache: into it, out of it, looking up, waiting for a page, reading, writing and mapping a file.

The order its head states: i_sem, or mmap_sem, then i_mmap_lock, then page_table_lock, then tree_lock.
"""
from vmrace.harness.kernel import (
    BUG,
    current,
    data_race,
    down,
    likely,
    smp_mb,
    smp_mb__after_clear_bit,
    smp_mb__before_clear_bit,
    test_bit,
    unlikely,
    up,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import block_prepare_write, ext2_readpage, generic_commit_write
from vmrace.variants.invalidate_2_6.pre_2_6_15.direct_io import ext2_direct_IO
from vmrace.variants.invalidate_2_6.pre_2_6_15.fremap import install_file_pte, install_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import unmap_mapping_range
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageError,
    PageLocked,
    PageUptodate,
    SetPageLocked,
    TestClearPageLocked,
    TestClearPageReclaim,
    TestSetPageLocked,
    fault_in_pages_readable,
    i_size_read,
    i_size_write,
    kmap_atomic,
    kunmap_atomic,
    lock_page,
    mapping_mapped,
    page_cache_alloc,
    page_cache_alloc_cold,
    page_cache_get,
    page_cache_release,
    page_mapping,
    pagevec_add,
    pagevec_init,
    pagevec_lru_add,
    pagevec_release,
    wait_on_page_locked,
    wait_on_page_writeback,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import do_writepages, test_clear_page_writeback
from vmrace.variants.invalidate_2_6.pre_2_6_15.readahead import force_page_cache_readahead, max_sane_readahead
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import (
    __pagevec_lru_add,
    lru_cache_add,
    mark_page_accessed,
    pagevec_lookup_tag,
    rotate_reclaimable_page,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import invalidate_inode_pages2_range
from vmrace.variants.invalidate_2_6.pre_2_6_15.usercopy import __copy_from_user, __copy_from_user_inatomic
from vmrace.variants.invalidate_2_6.types import (
    EEXIST,
    EFAULT,
    EINVAL,
    EIO,
    ENOMEM,
    FILE_PAGES,
    NOPAGE_OOM,
    PAGECACHE_TAG_DIRTY,
    PAGECACHE_TAG_WRITEBACK,
    PAGEVEC_SIZE,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_SIZE,
    PG_locked,
    PG_writeback,
    READ_BIO,
    VM_NONLINEAR,
    WB_SYNC_ALL,
    WRITE_BIO,
    generic_file_vm_ops,
)
from vmrace.variants.mmu import read_word_of
from vmrace.variants.spinlock_h import read_lock_irq, read_unlock_irq, write_lock_irq, write_unlock_irq
from vmrace.variants.wait import __wait_on_bit, __wait_on_bit_lock, __wake_up_bit, io_schedule


# ---- lib/radix-tree.c: one array of slots and one of each tag ---------------------------------------------------------------

__FILE__ = "lib/radix-tree.c"


def radix_tree_lookup(mapping, index):
    """tree_lock is held."""
    return mapping.page_tree[index] if index < FILE_PAGES else None


def radix_tree_insert(mapping, index, page):
    """tree_lock is held for writing."""
    if mapping.page_tree[index] is not None:
        return -EEXIST
    mapping.page_tree[index] = page
    return 0


def radix_tree_delete(mapping, index):
    """tree_lock is held for writing. The tags go with the slot."""
    mapping.page_tree[index] = None
    mapping.tag_dirty[index] = 0
    mapping.tag_writeback[index] = 0


def radix_tree_tag_set(mapping, index, tag):
    """tree_lock is held for writing."""
    if tag == PAGECACHE_TAG_DIRTY:
        mapping.tag_dirty[index] = 1
    else:
        mapping.tag_writeback[index] = 1


def radix_tree_tag_clear(mapping, index, tag):
    """tree_lock is held for writing."""
    if tag == PAGECACHE_TAG_DIRTY:
        mapping.tag_dirty[index] = 0
    else:
        mapping.tag_writeback[index] = 0


def tag_get(mapping, index, tag):
    """tree_lock is held."""
    return mapping.tag_dirty[index] if tag == PAGECACHE_TAG_DIRTY else mapping.tag_writeback[index]


def radix_tree_tagged(mapping, tag):
    """tree_lock is held. True if any page of the file has that tag."""
    return any([tag_get(mapping, index, tag) for index in range(FILE_PAGES)])


def radix_tree_gang_lookup(mapping, pages, start, nr_pages):
    """tree_lock is held. Adds at most nr_pages pages from an offset on to the list `pages`; returns how many."""
    for index in range(start, FILE_PAGES):
        page = mapping.page_tree[index]
        if page is not None and len(pages) < nr_pages:
            pages.append(page)
    return len(pages)


def radix_tree_gang_lookup_tag(mapping, pages, start, nr_pages, tag):
    """Collect pages as radix_tree_gang_lookup() does, but only those with a tag. tree_lock is held."""
    for index in range(start, FILE_PAGES):
        page = mapping.page_tree[index]
        if page is not None and len(pages) < nr_pages and tag_get(mapping, index, tag):
            pages.append(page)
    return len(pages)


__FILE__ = "mm/filemap.c"


def __remove_from_page_cache(page):
    """tree_lock is held for writing, the page is locked; the caller knows that nobody else uses it, or that it does no harm."""
    mapping = page.mapping

    radix_tree_delete(mapping, page.index)
    page.mapping = None
    mapping.nrpages -= 1


def remove_from_page_cache(page):
    mapping = page.mapping

    if not PageLocked(page):
        BUG(125)

    write_lock_irq(mapping.tree_lock)
    __remove_from_page_cache(page)
    write_unlock_irq(mapping.tree_lock)


def sync_page(page):
    """What a sleeper does: the device is never plugged here, so it only sleeps."""
    smp_mb()
    page_mapping(page)
    io_schedule()
    return 0


def __filemap_fdatawrite_range(mapping, start, end, sync_mode):
    wbc = current().wbc
    wbc.sync_mode = sync_mode
    wbc.nr_to_write = data_race(mapping.nrpages) * 2
    wbc.nonblocking = 0
    wbc.for_reclaim = 0
    wbc.start = start
    wbc.end = end
    return do_writepages(mapping, wbc)


def __filemap_fdatawrite(mapping, sync_mode):
    return __filemap_fdatawrite_range(mapping, 0, 0, sync_mode)


def filemap_fdatawrite(mapping):
    return __filemap_fdatawrite(mapping, WB_SYNC_ALL)


def wait_on_page_writeback_range(mapping, start, end):
    ret = 0

    if end < start:
        return 0

    pvec = pagevec_init()
    index = start
    while index <= end:
        nr_pages, index = pagevec_lookup_tag(pvec, mapping, index, PAGECACHE_TAG_WRITEBACK, min(end - index, PAGEVEC_SIZE - 1) + 1)
        if nr_pages == 0:
            break

        for i in range(nr_pages):
            page = pvec[i]

            # until the lookup takes an end
            if data_race(page.index) > end:
                continue

            wait_on_page_writeback(page)
        pagevec_release(pvec)
        cond_resched()

    return ret


def filemap_fdatawait(mapping):
    i_size = i_size_read(mapping.host)

    if i_size == 0:
        return 0
    return wait_on_page_writeback_range(mapping, 0, i_size - 1 >> PAGE_CACHE_SHIFT)


def filemap_write_and_wait(mapping):
    retval = 0

    if data_race(mapping.nrpages):
        retval = filemap_fdatawrite(mapping)
        if retval == 0:
            retval = filemap_fdatawait(mapping)
    return retval


def filemap_write_and_wait_range(mapping, lstart, lend):
    retval = 0

    if data_race(mapping.nrpages):
        retval = __filemap_fdatawrite_range(mapping, lstart, lend, WB_SYNC_ALL)
        if retval == 0:
            retval = wait_on_page_writeback_range(mapping, lstart >> PAGE_CACHE_SHIFT, lend >> PAGE_CACHE_SHIFT)
    return retval


def add_to_page_cache(page, mapping, offset):
    """A new page, which becomes locked. Not onto the LRU: that is for the caller."""
    write_lock_irq(mapping.tree_lock)
    error = radix_tree_insert(mapping, offset, page)
    if not error:
        page_cache_get(page)
        SetPageLocked(page)
        page.mapping = mapping
        page.index = offset
        mapping.nrpages += 1
    write_unlock_irq(mapping.tree_lock)
    return error


def add_to_page_cache_lru(page, mapping, offset):
    ret = add_to_page_cache(page, mapping, offset)
    if ret == 0:
        lru_cache_add(page)
    return ret


def page_waitqueue(page, bit):
    return page.wait_locked if bit == PG_locked else page.wait_writeback


def wake_up_page(page, bit):
    __wake_up_bit(page_waitqueue(page, bit))


def wait_on_page_bit(page, bit_nr):
    if test_bit(bit_nr, page.flags):
        __wait_on_bit(page_waitqueue(page, bit_nr), bit_nr, page, sync_page)


def unlock_page(page):
    smp_mb__before_clear_bit()
    if not TestClearPageLocked(page):
        BUG(463)
    smp_mb__after_clear_bit()
    wake_up_page(page, PG_locked)


def end_page_writeback(page):
    if not TestClearPageReclaim(page) or rotate_reclaimable_page(page):
        if not test_clear_page_writeback(page):
            BUG(476)
    smp_mb__after_clear_bit()
    wake_up_page(page, PG_writeback)


def __lock_page(page):
    __wait_on_bit_lock(page_waitqueue(page, PG_locked), PG_locked, page, sync_page)


def find_get_page(mapping, offset):
    read_lock_irq(mapping.tree_lock)
    page = radix_tree_lookup(mapping, offset)
    if page:
        page_cache_get(page)
    read_unlock_irq(mapping.tree_lock)
    return page


def find_lock_page(mapping, offset):
    """Locked and with a reference, or None. May sleep."""
    read_lock_irq(mapping.tree_lock)
    while True:
        # repeat:
        page = radix_tree_lookup(mapping, offset)
        if page:
            page_cache_get(page)
            if TestSetPageLocked(page):
                read_unlock_irq(mapping.tree_lock)
                lock_page(page)
                read_lock_irq(mapping.tree_lock)

                # was it truncated while we slept?
                if data_race(page.mapping) is not mapping or data_race(page.index) != offset:
                    unlock_page(page)
                    page_cache_release(page)
                    continue
        break
    read_unlock_irq(mapping.tree_lock)
    return page


def find_get_pages(mapping, start, nr_pages, pages):
    read_lock_irq(mapping.tree_lock)
    ret = radix_tree_gang_lookup(mapping, pages, start, nr_pages)
    for i in range(ret):
        page_cache_get(pages[i])
    read_unlock_irq(mapping.tree_lock)
    return ret


def find_get_pages_tag(mapping, index, tag, nr_pages, pages):
    """Returns how many there are, and the index to go on with."""
    read_lock_irq(mapping.tree_lock)
    ret = radix_tree_gang_lookup_tag(mapping, pages, index, nr_pages, tag)
    for i in range(ret):
        page_cache_get(pages[i])
    if ret:
        index = data_race(pages[ret - 1].index) + 1
    read_unlock_irq(mapping.tree_lock)
    return ret, index


def file_read_actor(page):
    """Copy the page to a user buffer that is always present, which is here the pair that is returned."""
    kaddr = kmap_atomic(page)
    words = (read_word_of(kaddr, 0), read_word_of(kaddr, 1))    # __copy_to_user_inatomic()
    kunmap_atomic()
    return words


def do_generic_mapping_read(mapping, index, filp):
    """One page: its two words, None beyond the end of the file, or desc->error. Readahead is switched off, and each read has opened
    the file anew: so no page is the one that was read before."""
    inode = mapping.host
    cached_page = None
    copied = None

    isize = i_size_read(inode)
    if not isize:
        return None                                 # goto out

    end_index = isize - 1 >> PAGE_CACHE_SHIFT
    while True:
        if index > end_index:
            break                                   # goto out
        cond_resched()

        again = 0
        while True:
            # find_page:
            page = find_get_page(mapping, index)
            read = 0
            if page is None:
                # no_cached_page:
                if not cached_page:
                    cached_page = page_cache_alloc_cold(mapping)
                    if not cached_page:
                        copied = -ENOMEM
                        break                       # goto out
                error = add_to_page_cache_lru(cached_page, mapping, index)
                if error:
                    if error == -EEXIST:
                        continue                    # goto find_page
                    copied = error
                    break                           # goto out
                page = cached_page
                cached_page = None
                read = 1                            # goto readpage
            elif not PageUptodate(page):
                # page_not_up_to_date:
                lock_page(page)

                # did it get unhashed before we got the lock?
                if data_race(page.mapping) is None:
                    unlock_page(page)
                    page_cache_release(page)
                    again = 1                       # continue: isize is as it was
                    break

                # did somebody else fill it already?
                if PageUptodate(page):
                    unlock_page(page)
                else:
                    read = 1                        # goto readpage

            if read:
                # readpage:
                error = ext2_readpage(filp, page)   # mapping->a_ops->readpage: unlocks the page
                if error:
                    copied = error
                    page_cache_release(page)        # goto readpage_error
                    break

                if not PageUptodate(page):
                    lock_page(page)
                    if not PageUptodate(page):
                        if data_race(page.mapping) is None:
                            # invalidate_inode_pages got it
                            unlock_page(page)
                            page_cache_release(page)
                            continue                # goto find_page
                        unlock_page(page)
                        copied = -EIO
                        page_cache_release(page)    # goto readpage_error
                        break
                    unlock_page(page)

                # the size after the read: what is beyond it must not get to user space
                isize = i_size_read(inode)
                end_index = isize - 1 >> PAGE_CACHE_SHIFT
                if not isize or index > end_index:
                    page_cache_release(page)
                    break                           # goto out

            # page_ok:
            mark_page_accessed(page)
            copied = file_read_actor(page)
            page_cache_release(page)
            break                                   # goto out
        if not again:
            break

    # out:
    if cached_page:
        page_cache_release(cached_page)
    return copied


def __generic_file_aio_read(filp, index, buf):
    """Read one page of a file that is open with O_DIRECT. Returns the bytes read, 0 at the end of the file."""
    mapping = filp.f_mapping
    inode = mapping.host
    retval = 0
    size = i_size_read(inode)
    if index << PAGE_CACHE_SHIFT < size:
        retval = generic_file_direct_IO(READ_BIO, filp, index, buf)
    # left out: file_accessed()
    # out:
    return retval


def do_readahead(mapping, filp, index, nr):
    force_page_cache_readahead(mapping, filp, index, max_sane_readahead(nr))
    return 0


def sys_readahead(file, offset, count):
    """Start to read a range of a file that is open for reading."""
    mapping = file.f_mapping
    start = offset >> PAGE_CACHE_SHIFT
    end = offset + count - 1 >> PAGE_CACHE_SHIFT
    len = end - start + 1
    return do_readahead(mapping, file, start, len)


def page_cache_read(file, offset):
    """Start reading a page into the cache, unless somebody has put one there."""
    mapping = file.f_mapping

    page = page_cache_alloc_cold(mapping)
    if not page:
        return -ENOMEM

    error = add_to_page_cache_lru(page, mapping, offset)
    if not error:
        error = ext2_readpage(file, page)           # mapping->a_ops->readpage
        page_cache_release(page)
        return error

    page_cache_release(page)
    return 0 if error == -EEXIST else error


def filemap_nopage(area, address):
    """The page for a fault, with a reference, not locked: its mapping is not looked at again. With readahead off, the size is
    looked at first and then the cache, and a page that is not there is read by page_cache_read()."""
    file = area.vm_file
    mapping = file.f_mapping
    inode = mapping.host

    pgoff = (address - area.vm_start >> PAGE_CACHE_SHIFT) + area.vm_pgoff

    while True:
        # retry_all:
        size = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
        if pgoff >= size:
            return None                             # outside_data_content: the faulting task is no ptracer

        while True:
            # retry_find:
            page = find_get_page(mapping, pgoff)
            if page:
                break
            # left out: do_page_cache_readahead(), of no pages
            page = find_get_page(mapping, pgoff)
            if page:
                break
            # no_cached_page:
            error = page_cache_read(file, pgoff)
            if error >= 0:
                continue                            # it may have been removed in the meantime
            if error == -ENOMEM:
                return NOPAGE_OOM
            return None

        if not PageUptodate(page):
            # page_not_uptodate:
            lock_page(page)

            # did it get unhashed while we waited for it?
            if data_race(page.mapping) is None:
                unlock_page(page)
                page_cache_release(page)
                continue                            # goto retry_all

            # did somebody else get it up-to-date?
            if PageUptodate(page):
                unlock_page(page)
            else:
                again = 1
                if not ext2_readpage(file, page):
                    wait_on_page_locked(page)
                    if PageUptodate(page):
                        again = 0

                if again:
                    # once more, to see whether it was an error
                    lock_page(page)

                    # somebody truncated the page on us?
                    if data_race(page.mapping) is None:
                        unlock_page(page)
                        page_cache_release(page)
                        continue                    # goto retry_all

                    # somebody else has read it in?
                    if PageUptodate(page):
                        unlock_page(page)
                    else:
                        ClearPageError(page)
                        failed = 1
                        if not ext2_readpage(file, page):
                            wait_on_page_locked(page)
                            if PageUptodate(page):
                                failed = 0
                        if failed:
                            page_cache_release(page)
                            return None

        # success:
        mark_page_accessed(page)
        return page


def filemap_getpage(file, pgoff, nonblock):
    """As filemap_nopage(), for filemap_populate(): the size is its to look at, and a page that was taken away is an error."""
    mapping = file.f_mapping

    while True:
        # retry_find:
        page = find_get_page(mapping, pgoff)
        if page:
            break
        if nonblock:
            return None
        # no_cached_page:
        error = page_cache_read(file, pgoff)
        if error >= 0:
            continue
        return None

    if not PageUptodate(page):
        if nonblock:
            page_cache_release(page)
            return None
        # page_not_uptodate:
        lock_page(page)

        if data_race(page.mapping) is None:
            unlock_page(page)
            page_cache_release(page)                # err:
            return None

        if PageUptodate(page):
            unlock_page(page)
        else:
            again = 1
            if not ext2_readpage(file, page):
                wait_on_page_locked(page)
                if PageUptodate(page):
                    again = 0

            if again:
                lock_page(page)

                if data_race(page.mapping) is None:
                    unlock_page(page)
                    page_cache_release(page)        # err:
                    return None
                if PageUptodate(page):
                    unlock_page(page)
                else:
                    ClearPageError(page)
                    failed = 1
                    if not ext2_readpage(file, page):
                        wait_on_page_locked(page)
                        if PageUptodate(page):
                            failed = 0
                    if failed:
                        page_cache_release(page)    # err:
                        return None

    # success:
    mark_page_accessed(page)
    return page


def filemap_populate(vma, addr, len, prot, pgoff, nonblock):
    """mmap_sem is held. Here len is one page."""
    file = vma.vm_file
    mapping = file.f_mapping
    inode = mapping.host
    mm = vma.vm_mm

    if not nonblock:
        force_page_cache_readahead(mapping, file, pgoff, len >> PAGE_CACHE_SHIFT)

    while True:
        # repeat:
        size = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
        if pgoff + (len >> PAGE_CACHE_SHIFT) > size:
            return -EINVAL

        page = filemap_getpage(file, pgoff, nonblock)
        if not page and not nonblock:
            return -ENOMEM
        if page:
            err = install_page(mm, vma, addr, page, prot)
            if err:
                page_cache_release(page)
                return err
        elif vma.vm_flags & VM_NONLINEAR:
            err = install_file_pte(mm, vma, addr, pgoff, prot)
            if err:
                return err

        len -= PAGE_SIZE
        addr += PAGE_SIZE
        pgoff += 1
        if not len:
            return 0


def generic_file_mmap(file, vma):
    vma.vm_ops = generic_file_vm_ops
    return 0


def __grab_cache_page(mapping, index, cached_page, lru_pvec):
    """The page, locked, and the spare page that was not used. A new page goes onto the caller's pagevec."""
    while True:
        # repeat:
        page = find_lock_page(mapping, index)
        if page:
            return page, cached_page
        if not cached_page:
            cached_page = page_cache_alloc(mapping)
            if not cached_page:
                return None, None
        err = add_to_page_cache(cached_page, mapping, index)
        if err == -EEXIST:
            continue
        page = cached_page
        page_cache_get(page)
        if not pagevec_add(lru_pvec, page):
            __pagevec_lru_add(lru_pvec)
        return page, None


__FILE__ = "mm/filemap.h"


def filemap_copy_from_user(page, buf):
    """The page is locked, here as a whole. Returns the bytes copied; what was not copied is zero."""
    kaddr = kmap_atomic(page)
    left = __copy_from_user_inatomic(kaddr, buf)
    kunmap_atomic()

    if left != 0:
        # the slow way, which may fault, with the page locked
        kaddr = page.data                           # kmap(page)
        left = __copy_from_user(kaddr, buf)
    return PAGE_CACHE_SIZE - left


__FILE__ = "mm/filemap.c"


def generic_file_direct_write(file, index, buf):
    """i_sem is held. Returns the bytes written; 0 for a hole, which is left to the buffered path."""
    inode = file.f_mapping.host

    written = generic_file_direct_IO(WRITE_BIO, file, index, buf)
    if written > 0:
        end = index + 1 << PAGE_CACHE_SHIFT
        if end > i_size_read(inode):
            i_size_write(inode, end)
            # left out: mark_inode_dirty(), of the inode itself
    return written


def generic_file_buffered_write(file, index, buf, direct):
    """i_sem is held. One whole page; `direct` if O_DIRECT has left it to us. Returns the bytes written, or an error."""
    mapping = file.f_mapping
    written = 0
    status = 0

    lru_pvec = pagevec_init()

    # The user's page first: it may be the page that is locked below, and a fault on it then waits for itself if it is not uptodate.
    # It need not stay present.
    fault_in_pages_readable(buf)

    cached_page = None
    page, cached_page = __grab_cache_page(mapping, index, cached_page, lru_pvec)
    if not page:
        status = -ENOMEM
    else:
        block_prepare_write(file, page, 0, PAGE_CACHE_SIZE)     # a_ops->prepare_write: cannot fail here
        copied = filemap_copy_from_user(page, buf)
        status = generic_commit_write(file, page, 0, PAGE_CACHE_SIZE)   # a_ops->commit_write, also of what is not copied
        if likely(copied > 0):
            if not status:
                status = copied
            if status >= 0:
                written += status
        if unlikely(copied != PAGE_CACHE_SIZE):
            if status >= 0:
                status = -EFAULT
        unlock_page(page)
        mark_page_accessed(page)
        page_cache_release(page)
        if status >= 0:
            cond_resched()                          # balance_dirty_pages_ratelimited(): below its limit

    if cached_page:
        page_cache_release(cached_page)

    # who asked for O_DIRECT expects the data on disk
    if direct and written:
        status = filemap_write_and_wait(mapping)

    pagevec_lru_add(lru_pvec)
    return written if written else status


def __generic_file_aio_write_nolock(file, index, buf, direct):
    """i_sem is held. The limits of a file's size are left out."""
    count = PAGE_CACHE_SIZE
    written = 0
    err = 0                                         # generic_write_checks(), remove_suid()

    if direct:
        written = generic_file_direct_write(file, index, buf)
        if written < 0 or written == count:
            return written or err                   # goto out
        # a hole: go on with buffered I/O

    written = generic_file_buffered_write(file, index, buf, direct)
    # out:
    return written or err


def __generic_file_write_nolock(file, index, buf, direct):
    ret = __generic_file_aio_write_nolock(file, index, buf, direct)
    return ret


def generic_file_write(file, index, buf, direct):
    inode = file.f_mapping.host

    down(inode.i_sem)
    ret = __generic_file_write_nolock(file, index, buf, direct)
    up(inode.i_sem)
    return ret


def generic_file_direct_IO(rw, file, index, buf):
    """i_sem is held for a write. Returns the bytes transferred, or -EIO if the page cache could not be shot down after a write."""
    mapping = file.f_mapping

    # a write unmaps the range first, so that dirty bits of ptes get to the pages before these are written
    if rw == WRITE_BIO:
        if mapping_mapped(mapping):
            unmap_mapping_range(mapping, index << PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, 0)

    retval = filemap_write_and_wait(mapping)
    if retval == 0:
        retval = ext2_direct_IO(rw, file, buf, index << PAGE_CACHE_SHIFT)      # mapping->a_ops->direct_IO
        if rw == WRITE_BIO and data_race(mapping.nrpages):
            err = invalidate_inode_pages2_range(mapping, index, index)
            if err:
                retval = err
    return retval
