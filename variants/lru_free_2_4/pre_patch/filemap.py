# SPDX-License-Identifier: GPL-2.0-only
"""mm/filemap.c: the page cache: into it, out of it, looking up, waiting for a page, reading a file, mapping a file.

The lock order its head states: swaplock, then pagemap_lru_lock, then pagecache_lock.
"""
from vmrace.harness.kernel import (
    BUG,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    __set_current_state,
    __set_task_state,
    add_wait_queue,
    add_wait_queue_exclusive,
    atomic_dec,
    atomic_inc,
    current,
    data_race,
    down,
    down_write,
    likely,
    list_add,
    list_add_tail,
    list_del,
    list_empty,
    list_entry,
    need_resched,
    read_word,
    remove_wait_queue,
    schedule,
    set_task_state,
    smp_mb__after_clear_bit,
    smp_mb__before_clear_bit,
    spin_lock,
    spin_unlock,
    test_and_clear_bit,
    test_and_set_bit,
    up,
    up_write,
    waitqueue_active,
    wake_up_all,
    write_word,
)
from vmrace.variants.lru_free_2_4.pre_patch.buffer import (
    block_flushpage,
    block_invalidate_page,
    block_sync_page,
    ext2_prepare_write,
    ext2_readpage,
    ext2_truncate,
    ext2_writepage,
    generic_commit_write,
    try_to_free_buffers,
)
from vmrace.variants.lru_free_2_4.pre_patch.memory import zap_page_range
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import (
    ClearPageDirty,
    ClearPageError,
    ClearPageLaunder,
    ClearPageReferenced,
    ClearPageUptodate,
    PageActive,
    PageDirty,
    PageError,
    PageLaunder,
    PageLocked,
    PageReferenced,
    PageSwapCache,
    Page_Uptodate,
    SetPageDirty,
    SetPageReferenced,
    TryLockPage,
    UnlockPage,
    alloc_page,
    page_count,
)
from vmrace.variants.lru_free_2_4.pre_patch.mmap import find_vma
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import page_cache_alloc, page_cache_get, page_cache_release, page_hash, wait_on_page
from vmrace.variants.lru_free_2_4.pre_patch.shmem import shmem_mmap, shmem_nopage, shmem_truncate, shmem_writepage
from vmrace.variants.lru_free_2_4.pre_patch.swap import __lru_cache_del, activate_page, lru_cache_add, lru_cache_del
from vmrace.variants.lru_free_2_4.pre_patch.swap_state import swap_writepage
from vmrace.variants.lru_free_2_4.types import (
    CLUSTER_PAGES,
    EBADF,
    EINVAL,
    EIO,
    ENOMEM,
    I_DIRTY,
    I_DIRTY_PAGES,
    I_DIRTY_SYNC,
    MADV_DONTNEED,
    NOPAGE_OOM,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_MASK,
    PG_arch_1,
    PG_checked,
    PG_dirty,
    PG_error,
    PG_locked,
    PG_referenced,
    PG_uptodate,
    VM_LOCKED,
    generic_file_vm_ops,
    inode_lock,
    page_cluster,
    pagecache_lock,
    pagemap_lru_lock,
    shmem_aops,
    shmem_vm_ops,
    swap_aops,
    vm,
)


__FILE__ = "mm/filemap.c"


def add_page_to_hash_queue(page, p):
    """pagecache_lock is held. `p` is the bucket: what the kernel writes as *p is its next_hash."""
    next = p.next_hash

    p.next_hash = page
    page.next_hash = next
    page.pprev_hash = p
    if next:
        next.pprev_hash = page
    if page.buffers:
        BUG(81)
    atomic_inc(vm.page_cache_size)


def add_page_to_inode_queue(mapping, page):
    """pagecache_lock is held."""
    head = mapping.clean_pages

    mapping.nrpages += 1
    list_add(page.list, head)
    page.mapping = mapping


def remove_page_from_inode_queue(page):
    mapping = page.mapping

    mapping.nrpages -= 1
    list_del(page.list)
    page.mapping = None


def remove_page_from_hash_queue(page):
    """next_hash is left as it is: a lookup that slept with this page in its hand goes on from it."""
    next = page.next_hash
    pprev = page.pprev_hash

    if next:
        next.pprev_hash = pprev
    pprev.next_hash = next
    page.pprev_hash = None
    atomic_dec(vm.page_cache_size)


def __remove_inode_page(page):
    """pagecache_lock is held, the page is locked and nobody else uses it, or may go on doing so."""
    if PageDirty(page) and not PageSwapCache(page):
        BUG(123)
    remove_page_from_inode_queue(page)
    remove_page_from_hash_queue(page)


def remove_inode_page(page):
    if not PageLocked(page):
        BUG(131)

    spin_lock(pagecache_lock)
    __remove_inode_page(page)
    spin_unlock(pagecache_lock)


def sync_page(page):
    mapping = data_race(page.mapping)

    # not here: if mapping.a_ops.sync_page: both kinds have one
    if mapping and mapping.a_ops:
        return block_sync_page(page)                # mapping->a_ops->sync_page, the same for both
    return 0


def set_page_dirty(page):
    if not test_and_set_bit(PG_dirty, page.flags):
        mapping = data_race(page.mapping)

        if mapping:
            spin_lock(pagecache_lock)
            mapping = page.mapping
            if mapping:                             # it may have been truncated
                list_del(page.list)
                list_add(page.list, mapping.dirty_pages)
            spin_unlock(pagecache_lock)

            if mapping and mapping.host:
                mark_inode_dirty_pages(mapping.host)


def invalidate_inode_pages(inode):
    """Drop the file's clean pages that nobody uses. Locked pages stay."""
    head = inode.i_mapping.clean_pages

    spin_lock(pagemap_lru_lock)
    spin_lock(pagecache_lock)
    curr = head.next

    while curr is not head:
        page = list_entry(curr)
        curr = curr.next

        # nothing that is dirty
        if PageDirty(page):
            continue

        # nor locked
        if TryLockPage(page):
            continue

        unlock = page.buffers and not try_to_free_buffers(page, 0)
        if not unlock:
            unlock = page_count(page) != 1
        if unlock:
            # unlock:
            UnlockPage(page)
            continue

        __lru_cache_del(page)
        __remove_inode_page(page)
        UnlockPage(page)
        page_cache_release(page)

    spin_unlock(pagecache_lock)
    spin_unlock(pagemap_lru_lock)


def do_flushpage(page, offset):
    flushpage = a_ops_flushpage(page.mapping.a_ops)
    if flushpage:
        return flushpage(page, offset)
    return block_flushpage(page, offset)


def truncate_complete_page(page):
    """The page is locked and the caller has a reference of its own."""
    # with buffers that will not go it stays on the LRU, as anonymous buffers
    if not page.buffers or do_flushpage(page, 0):
        lru_cache_del(page)

    # Out of the page cache only after its buffers are gone, or else a buffer cache alias of it could appear.
    ClearPageDirty(page)
    ClearPageUptodate(page)
    remove_inode_page(page)
    page_cache_release(page)


def truncate_list_pages(head, start):
    """pagecache_lock is held, and dropped for each page. Returns whether it was dropped.

    The list is turned so that its head stands where to go on. C's third parameter says where the first page of the range begins to
    go, if not at its beginning. Here it always does.
    """
    unlocked = 0

    # restart:
    curr = head.prev
    while curr is not head:
        page = list_entry(curr)
        offset = page.index

        # is it one to truncate?
        if offset >= start:
            page_cache_get(page)
            failed = TryLockPage(page)

            list_del(head)
            if not failed:
                # go on behind this page
                list_add_tail(head, curr)
            else:
                # go on with this page
                list_add(head, curr)

            spin_unlock(pagecache_lock)
            unlocked = 1

            if not failed:
                truncate_complete_page(page)

                UnlockPage(page)
            else:
                wait_on_page(page)

            page_cache_release(page)

            if need_resched():
                __set_current_state(TASK_RUNNING)
                schedule()

            spin_lock(pagecache_lock)
            curr = head.prev                        # goto restart
            continue
        curr = curr.prev
    return unlocked


def truncate_inode_pages(mapping, lstart):
    """Drop every page from an offset on, waiting for those that are locked."""
    start = lstart + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
    partial = lstart & PAGE_CACHE_SIZE - 1
    assert not partial, "a truncate in the middle of a page"

    spin_lock(pagecache_lock)
    while True:
        unlocked = truncate_list_pages(mapping.clean_pages, start)
        unlocked |= truncate_list_pages(mapping.dirty_pages, start)
        unlocked |= truncate_list_pages(mapping.locked_pages, start)
        if not unlocked:
            break
    # all three lists without dropping the lock
    spin_unlock(pagecache_lock)


def invalidate_this_page2(page, curr, head):
    """pagecache_lock is held and the page locked, so that neither its count nor its buffers change.

    Returns whether pagecache_lock was dropped; then the caller has a reference to drop too.
    """
    unlocked = 1

    if page_count(page) == 1 + bool(page.buffers):
        # go on behind this page
        list_del(head)
        list_add_tail(head, curr)

        page_cache_get(page)
        spin_unlock(pagecache_lock)
        truncate_complete_page(page)
    else:
        if page.buffers:
            # go on behind this page
            list_del(head)
            list_add_tail(head, curr)

            page_cache_get(page)
            spin_unlock(pagecache_lock)
            block_invalidate_page(page)
        else:
            unlocked = 0

        ClearPageDirty(page)
        ClearPageUptodate(page)

    return unlocked


def invalidate_list_pages2(head):
    """pagecache_lock is held, and may be dropped. Returns whether it was."""
    unlocked = 0

    # restart:
    curr = head.prev
    while curr is not head:
        page = list_entry(curr)

        if not TryLockPage(page):
            __unlocked = invalidate_this_page2(page, curr, head)
            UnlockPage(page)
            unlocked |= __unlocked
            if not __unlocked:
                curr = curr.prev
                continue
        else:
            # go on with this page
            list_del(head)
            list_add(head, curr)

            page_cache_get(page)
            spin_unlock(pagecache_lock)
            unlocked = 1
            wait_on_page(page)

        page_cache_release(page)
        if need_resched():
            __set_current_state(TASK_RUNNING)
            schedule()

        spin_lock(pagecache_lock)
        curr = head.prev                            # goto restart
    return unlocked


def invalidate_inode_pages2(mapping):
    """Drop every page that nobody uses; those that are mapped become clean and not uptodate."""
    spin_lock(pagecache_lock)
    while True:
        unlocked = invalidate_list_pages2(mapping.clean_pages)
        unlocked |= invalidate_list_pages2(mapping.dirty_pages)
        unlocked |= invalidate_list_pages2(mapping.locked_pages)
        if not unlocked:
            break
    spin_unlock(pagecache_lock)


def __find_page_nolock(mapping, offset, page):
    """pagecache_lock is held in spite of the name. `page` is where in a chain to start."""
    while page:
        if page.mapping is mapping and page.index == offset:
            break
        page = page.next_hash
    # not_found:
    return page


def add_to_page_cache_locked(page, mapping, index):
    """The page is locked and its flags are as they should be."""
    if not PageLocked(page):
        BUG(635)

    page.index = index
    page_cache_get(page)
    spin_lock(pagecache_lock)
    add_page_to_inode_queue(mapping, page)
    add_page_to_hash_queue(page, page_hash(mapping, index))
    spin_unlock(pagecache_lock)

    lru_cache_add(page)


def __add_to_page_cache(page, mapping, offset, hash):
    """pagecache_lock is held. The page becomes locked, and clean: by a load and a store of its flags, not atomically."""
    flags = read_word(page.flags) & ~(
        1 << PG_uptodate | 1 << PG_error | 1 << PG_dirty | 1 << PG_referenced | 1 << PG_arch_1 | 1 << PG_checked)
    write_word(page.flags, flags | 1 << PG_locked)
    page_cache_get(page)
    page.index = offset
    add_page_to_inode_queue(mapping, page)
    add_page_to_hash_queue(page, hash)


def add_to_page_cache(page, mapping, offset):
    spin_lock(pagecache_lock)
    __add_to_page_cache(page, mapping, offset, page_hash(mapping, offset))
    spin_unlock(pagecache_lock)
    lru_cache_add(page)


def add_to_page_cache_unique(page, mapping, offset, hash):
    """Returns 0, or 1 if there is a page at that offset already."""
    spin_lock(pagecache_lock)
    alias = __find_page_nolock(mapping, offset, hash.next_hash)

    err = 1
    if not alias:
        __add_to_page_cache(page, mapping, offset, hash)
        err = 0

    spin_unlock(pagecache_lock)
    if not err:
        lru_cache_add(page)
    return err


def page_cache_read(file, offset):
    """Start reading a page into the cache, unless it is there."""
    mapping = file.f_dentry.d_inode.i_mapping
    hash = page_hash(mapping, offset)

    spin_lock(pagecache_lock)
    page = __find_page_nolock(mapping, offset, hash.next_hash)
    spin_unlock(pagecache_lock)
    if page:
        return 0

    page = page_cache_alloc(mapping)
    if not page:
        return -ENOMEM

    if not add_to_page_cache_unique(page, mapping, offset, hash):
        error = ext2_readpage(file, page)           # mapping->a_ops->readpage
        page_cache_release(page)
        return error
    # somebody else was faster
    page_cache_release(page)
    return 0


def read_cluster_nonblocking(file, offset, filesize):
    pages = CLUSTER_PAGES

    offset = offset >> page_cluster << page_cluster             # CLUSTER_OFFSET(offset)
    while (pages := pages - 1) >= 0 and offset < filesize:
        error = page_cache_read(file, offset)
        if error < 0:
            return error
        offset += 1

    return 0


def page_waitqueue(page):
    """The page's own queue, where the kernel hashes pages to queues."""
    # not here: hash >>= page_zone().wait_table_shift: see types
    # not here: page_zone(page): as above
    # not here: return page_zone().wait_table[hash]: as above
    # not here: hash *= GOLDEN_RATIO_PRIME: as above
    # only here: return page_zone().wait_table[hash]: as above
    return page.wait


def ___wait_on_page(page):
    """Sleep until the page is unlocked. The caller has a reference to it."""
    waitqueue = page_waitqueue(page)

    add_wait_queue(waitqueue)
    while True:
        set_task_state(TASK_UNINTERRUPTIBLE)
        if not PageLocked(page):
            break
        sync_page(page)
        schedule()
        if not PageLocked(page):
            break
    __set_task_state(TASK_RUNNING)
    remove_wait_queue(waitqueue)


def unlock_page(page):
    """Any context: the end of an I/O unlocks its page in an interrupt."""
    waitqueue = page_waitqueue(page)
    ClearPageLaunder(page)
    smp_mb__before_clear_bit()
    if not test_and_clear_bit(PG_locked, page.flags):
        BUG(864)
    smp_mb__after_clear_bit()

    if waitqueue_active(waitqueue):
        wake_up_all(waitqueue)


def __lock_page(page):
    waitqueue = page_waitqueue(page)

    add_wait_queue_exclusive(waitqueue)
    while True:
        set_task_state(TASK_UNINTERRUPTIBLE)
        if PageLocked(page):
            sync_page(page)
            schedule()
        if not TryLockPage(page):
            break
    __set_task_state(TASK_RUNNING)
    remove_wait_queue(waitqueue)


def lock_page(page):
    if TryLockPage(page):
        __lock_page(page)


def __find_get_page(mapping, offset, hash):
    """The page at an offset, with a reference."""
    spin_lock(pagecache_lock)
    page = __find_page_nolock(mapping, offset, hash.next_hash)
    if page:
        page_cache_get(page)
    spin_unlock(pagecache_lock)
    return page


def find_trylock_page(mapping, offset):
    """The page at an offset, locked but without a reference; None if that would mean waiting."""
    hash = page_hash(mapping, offset)

    spin_lock(pagecache_lock)
    page = __find_page_nolock(mapping, offset, hash.next_hash)
    if page:
        if TryLockPage(page):
            page = None
    spin_unlock(pagecache_lock)
    return page


def __find_lock_page_helper(mapping, offset, hash):
    """pagecache_lock is held, and dropped to wait for the page. `hash` is the first page of the chain, as it was at the start."""
    while True:
        # repeat:
        page = __find_page_nolock(mapping, offset, hash)
        if page:
            page_cache_get(page)
            if TryLockPage(page):
                spin_unlock(pagecache_lock)
                lock_page(page)
                spin_lock(pagecache_lock)

                # was it reused while we slept?
                if page.mapping is not mapping or page.index != offset:
                    UnlockPage(page)
                    page_cache_release(page)
                    continue                        # goto repeat
        return page


def __find_lock_page(mapping, offset, hash):
    spin_lock(pagecache_lock)
    page = __find_lock_page_helper(mapping, offset, hash.next_hash)
    spin_unlock(pagecache_lock)
    return page


def find_or_create_page(mapping, index, gfp_mask):
    """The page at an offset, locked and with a reference, new if need be."""
    hash = page_hash(mapping, index)

    spin_lock(pagecache_lock)
    page = __find_lock_page_helper(mapping, index, hash.next_hash)
    spin_unlock(pagecache_lock)
    if not page:
        newpage = alloc_page(gfp_mask)
        if newpage:
            spin_lock(pagecache_lock)
            page = __find_lock_page_helper(mapping, index, hash.next_hash)
            if likely(not page):
                page = newpage
                __add_to_page_cache(page, mapping, index, hash)
                newpage = None
            spin_unlock(pagecache_lock)
            if newpage is None:
                lru_cache_add(page)
            else:
                page_cache_release(newpage)
    return page


def mark_page_accessed(page):
    """Inactive and unreferenced -> referenced -> active, one step at a time."""
    if not PageActive(page) and PageReferenced(page):
        activate_page(page)
        ClearPageReferenced(page)
    else:
        SetPageReferenced(page)


def do_generic_file_read(filp, index):
    """read(2) of one whole page. Returns its two words, an error, or None at the end of the file.

    Left out: generic_file_readahead() and the fields of the file it keeps; f_reada is as after an lseek().
    """
    # not here: if (index + filp.f_rawin) < filp.f_raend: the readahead state of the file (see types)
    # not here: if filp.f_raend < index: as above
    # not here: filp.f_ramax = 0: as above
    # not here: filp.f_reada = 1: as above
    # not here: generic_file_readahead(1, filp, inode, page): as above
    # not here: if index: as above
    # not here: index = (ppos >> PAGE_CACHE_SHIFT): a parameter; it is not moved on, as this reads one page
    # not here: nr -= 0: as above
    # not here: if file_read_actor() == nr: as above
    # not here: if mapping.i_mmap_shared.vm_next_share: for caches that i386 does not have
    # not here: if (PAGE_CACHE_SIZE >> 1) < (0 + desc.count): as above
    mapping = filp.f_dentry.d_inode.i_mapping
    inode = mapping.host
    cached_page = None
    result = None

    while True:
        end_index = data_race(inode.i_size) >> PAGE_CACHE_SHIFT
        if index > end_index:
            break
        if index == end_index:
            nr = data_race(inode.i_size) & ~PAGE_MASK
            if nr <= 0:
                break

        hash = page_hash(mapping, index)
        goto = "found_page"

        # is it in the cache?
        spin_lock(pagecache_lock)
        page = __find_page_nolock(mapping, index, hash.next_hash)
        if not page:
            # no_cached_page: with pagecache_lock held
            if not cached_page:
                spin_unlock(pagecache_lock)
                cached_page = page_cache_alloc(mapping)
                if not cached_page:
                    result = -ENOMEM
                    break

                # somebody else may have added it meanwhile
                spin_lock(pagecache_lock)
                page = __find_page_nolock(mapping, index, hash.next_hash)
            if not page:                            # else goto found_page
                page = cached_page
                __add_to_page_cache(page, mapping, index, hash)
                spin_unlock(pagecache_lock)
                lru_cache_add(page)
                cached_page = None
                goto = "readpage"

        if goto == "found_page":
            # found_page:
            page_cache_get(page)
            spin_unlock(pagecache_lock)

            goto = "page_ok"
            if not Page_Uptodate(page):
                # page_not_up_to_date: there is a readahead in between, hence the second look
                if not Page_Uptodate(page):
                    # get the page to ourselves
                    lock_page(page)

                    # was it truncated before we got it?
                    if not page.mapping:
                        UnlockPage(page)
                        page_cache_release(page)
                        continue

                    # did somebody else read it?
                    if Page_Uptodate(page):
                        UnlockPage(page)
                    else:
                        goto = "readpage"

        if goto == "readpage":
            # readpage: the end of the read unlocks the page
            error = ext2_readpage(filp, page)       # mapping->a_ops->readpage

            goto = "page_ok"
            if not error:
                if not Page_Uptodate(page):
                    wait_on_page(page)
                    if not Page_Uptodate(page):
                        error = -EIO

            if error:
                # a synchronous read error
                page_cache_release(page)
                result = error
                break

        # page_ok:
        mark_page_accessed(page)
        result = file_read_actor(page)
        page_cache_release(page)
        break

    if cached_page:
        page_cache_release(cached_page)
    return result


def file_read_actor(page):
    """Copies the page to the reader, who is outside the machine."""
    # not here: desc: the reader's buffer has room for one page
    # not here: __copy_to_user(desc.buf, (0 + offset), desc.count): the reader is outside the machine, and does not fault
    # not here: if __copy_to_user(): as above
    # only here: return desc.count: both words
    return (data_race(page.word0), data_race(page.word1))


def filemap_nopage(area, address, unused):
    """The page cache page for a fault, with a reference. None: beyond the end of the file, or an error. NOPAGE_OOM."""
    file = area.vm_file
    mapping = file.f_dentry.d_inode.i_mapping
    inode = mapping.host

    pgoff = (address - area.vm_start >> PAGE_CACHE_SHIFT) + area.vm_pgoff
    endoff = (area.vm_end - area.vm_start >> PAGE_CACHE_SHIFT) + area.vm_pgoff

    while True:
        # retry_all:
        size = data_race(inode.i_size) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
        if pgoff >= size and area.vm_mm is current().mm:
            return None

        # so far as mmap is concerned, the file ends with the mapping
        if size > endoff:
            size = endoff

        hash = page_hash(mapping, pgoff)
        while True:
            # retry_find:
            page = __find_get_page(mapping, pgoff, hash)
            if page:
                break
            # no_cached_page: read the cluster it is in
            if pgoff < size:
                error = read_cluster_nonblocking(file, pgoff, size)
            else:
                error = page_cache_read(file, pgoff)

            # It is there now, or was truncated again: look once more.
            if error >= 0:
                continue

            if error == -ENOMEM:
                return NOPAGE_OOM
            return None

        if Page_Uptodate(page):
            mark_page_accessed(page)
            return page

        # page_not_uptodate:
        lock_page(page)

        # was it truncated while we waited?
        if not page.mapping:
            UnlockPage(page)
            page_cache_release(page)
            continue                                # goto retry_all

        # did somebody else read it?
        if Page_Uptodate(page):
            UnlockPage(page)
            mark_page_accessed(page)
            return page

        if not ext2_readpage(file, page):           # mapping->a_ops->readpage
            wait_on_page(page)
            if Page_Uptodate(page):
                mark_page_accessed(page)
                return page

        # Not uptodate: read it once more, to see whether there is an error.
        lock_page(page)

        if not page.mapping:
            UnlockPage(page)
            page_cache_release(page)
            continue                                # goto retry_all

        if Page_Uptodate(page):
            UnlockPage(page)
            mark_page_accessed(page)
            return page
        ClearPageError(page)
        if not ext2_readpage(file, page):
            wait_on_page(page)
            if Page_Uptodate(page):
                mark_page_accessed(page)
                return page

        # give up
        page_cache_release(page)
        return None


def generic_file_mmap(file, vma):
    """UPDATE_ATIME() finds that no second has passed (see types)."""
    # not here: if vma.vm_flags & VM_SHARED: a file can be written by page
    # not here: if file.f_dentry.d_inode.i_mapping.a_ops.readpage: and read by page
    vma.vm_ops = generic_file_vm_ops
    return 0


__FILE__ = "fs/inode.c"


def __mark_inode_dirty(inode, flags):
    # not here: if flags & (I_DIRTY_SYNC | I_DIRTY_DATASYNC): then C calls dirty_inode() of the superblock, and ext2 has none
    # not here: if inode.i_state & I_LOCK: on to the superblock's list of dirty inodes, which kupdate walks
    # avoid the lock if we can
    if data_race(inode.i_state) & flags == flags:
        return

    spin_lock(inode_lock)
    if inode.i_state & flags != flags:
        inode.i_state |= flags
    spin_unlock(inode_lock)


__FILE__ = "include/linux/fs.h"


def mark_inode_dirty(inode):
    __mark_inode_dirty(inode, I_DIRTY)


def mark_inode_dirty_pages(inode):
    __mark_inode_dirty(inode, I_DIRTY_PAGES)


# The methods of the three kinds of mapping, looked up when they are called, so that a patch can replace one.
def a_ops_writepage(a_ops):
    return swap_writepage if a_ops == swap_aops else shmem_writepage if a_ops == shmem_aops else ext2_writepage


def a_ops_flushpage(a_ops):
    return None


def a_ops_releasepage(a_ops):
    return None


__FILE__ = "mm/filemap.c"


def madvise_dontneed(vma, start, end):
    if vma.vm_flags & VM_LOCKED:
        return -EINVAL

    zap_page_range(vma.vm_mm, start, end - start)
    return 0


def madvise_vma(vma, start, end, behavior):
    """mmap_sem is held for writing. Advice that only concerns readahead is left out."""
    error = -EBADF

    # not here: if behavior == MADV_NORMAL: it sets the readahead of the vma, which is left out
    # not here: if behavior == MADV_SEQUENTIAL: as MADV_NORMAL
    # not here: if behavior == MADV_RANDOM: as MADV_NORMAL
    # not here: if behavior == MADV_WILLNEED: it starts to read the pages, as faults do
    if behavior == MADV_DONTNEED:
        error = madvise_dontneed(vma, start, end)
    else:
        error = -EINVAL

    return error


def sys_madvise(start, len, behavior):
    """Vma after vma; addresses that are not mapped are an error, but only at the end."""
    unmapped_error = 0
    error = -EINVAL

    down_write(current().mm.mmap_sem)

    if not start & ~PAGE_MASK:                      # else goto out
        len = len + ~PAGE_MASK & PAGE_MASK
        end = start + len
        if end >= start:                            # else goto out
            error = 0
            if end != start:                        # else goto out
                vma = find_vma(current().mm, start)
                while True:
                    error = -ENOMEM
                    if not vma:
                        break                       # goto out

                    # here start < vma->vm_end
                    if start < vma.vm_start:
                        unmapped_error = -ENOMEM
                        start = vma.vm_start

                    # here vma->vm_start <= start < vma->vm_end
                    if end <= vma.vm_end:
                        if start < end:
                            error = madvise_vma(vma, start, end, behavior)
                            if error:
                                break               # goto out
                        error = unmapped_error
                        break                       # goto out

                    # here vma->vm_start <= start < vma->vm_end < end
                    error = madvise_vma(vma, start, vma.vm_end, behavior)
                    if error:
                        break                       # goto out
                    start = vma.vm_end
                    vma = vma.vm_next
    # out:
    up_write(current().mm.mmap_sem)
    return error


# ---- write(2) and fsync ------------------------------------------------------------------------------------------------------

def fail_writepage(page):
    """A page that cannot be written just now stays dirty. The page is locked."""
    # only activate it for reclaim, not for fsync
    if PageLaunder(page):
        activate_page(page)
        SetPageReferenced(page)

    SetPageDirty(page)
    UnlockPage(page)
    return 0


def filemap_fdatasync(mapping):
    """Start to write the dirty pages of a mapping. The file's i_sem is held."""
    ret = 0
    writepage = a_ops_writepage(mapping.a_ops)

    spin_lock(pagecache_lock)

    while not list_empty(mapping.dirty_pages):
        page = list_entry(mapping.dirty_pages.prev)

        list_del(page.list)
        list_add(page.list, mapping.locked_pages)

        if not PageDirty(page):
            continue

        page_cache_get(page)
        spin_unlock(pagecache_lock)

        lock_page(page)

        if PageDirty(page):
            ClearPageDirty(page)
            err = writepage(page)
            if err and not ret:
                ret = err
        else:
            UnlockPage(page)

        page_cache_release(page)
        spin_lock(pagecache_lock)
    spin_unlock(pagecache_lock)
    return ret


def filemap_fdatawait(mapping):
    """Wait for the pages of a mapping that are being written."""
    ret = 0

    spin_lock(pagecache_lock)

    while not list_empty(mapping.locked_pages):
        page = list_entry(mapping.locked_pages.next)

        list_del(page.list)
        list_add(page.list, mapping.clean_pages)

        if not PageLocked(page):
            continue

        page_cache_get(page)
        spin_unlock(pagecache_lock)

        ___wait_on_page(page)
        if PageError(page):
            ret = -EIO

        page_cache_release(page)
        spin_lock(pagecache_lock)
    spin_unlock(pagecache_lock)
    return ret


def __grab_cache_page(mapping, index, cached_page):
    """The page at an offset, locked and with a reference, and what is left of `*cached_page`, a page to be used if there is none."""
    hash = page_hash(mapping, index)
    while True:
        # repeat:
        page = __find_lock_page(mapping, index, hash)
        if not page:
            if not cached_page:
                cached_page = page_cache_alloc(mapping)
                if not cached_page:
                    return None, None
            page = cached_page
            if add_to_page_cache_unique(page, mapping, index, hash):
                continue                            # goto repeat
            cached_page = None
        return page, cached_page


def generic_file_write(file, index, value):
    """write(2) of one whole page, with `value` in both words. Returns how many bytes were written, or an error.

    The data comes from outside the machine, so that copying it does not fault.
    """
    # not here: access_ok(VERIFY_READ, buf, count): the data comes from outside the machine
    # not here: if access_ok(): as above
    # not here: __get_user(dummy, ((buf + PAGE_CACHE_SIZE) - 1)): as access_ok
    # not here: __get_user(dummy, buf): as above
    # not here: if status: prepare_write() does not fail
    # not here: count: the write is of one page, so the loop is one turn
    # not here: pos += status: as count
    # not here: buf: as count
    mapping = file.f_dentry.d_inode.i_mapping
    inode = mapping.host
    bytes = PAGE_CACHE_SIZE
    written = 0

    cached_page = None

    down(inode.i_sem)

    mark_inode_dirty_sync(inode)

    page, cached_page = __grab_cache_page(mapping, index, cached_page)
    if not page:
        status = -ENOMEM
    else:
        # we have exclusive I/O access to the page
        if not PageLocked(page):
            BUG(3086)

        # mapping->a_ops->prepare_write; it does not fail
        status = ext2_prepare_write(file, page, 0, bytes)
        # __copy_from_user(): mappings of the page and readers see it happen
        data_race(page).word0 = value
        data_race(page).word1 = value
        status = generic_commit_write(file, page, 0, bytes)     # mapping->a_ops->commit_write
        if not status:
            status = bytes

        if status >= 0:
            written += status
        # unlock:
        SetPageReferenced(page)
        UnlockPage(page)
        page_cache_release(page)
    # done:
    if cached_page:
        page_cache_release(cached_page)

    # out_status:
    err = written if written else status

    up(inode.i_sem)
    return err


__FILE__ = "include/linux/fs.h"


def mark_inode_dirty_sync(inode):
    __mark_inode_dirty(inode, I_DIRTY_SYNC)


def vm_ops_nopage(vma, address, unused):
    """vma->vm_ops->nopage"""
    return shmem_nopage(vma, address, unused) if vma.vm_ops == shmem_vm_ops else filemap_nopage(vma, address, unused)


def f_op_mmap(file, vma):
    """file->f_op->mmap"""
    if file.f_dentry.d_inode.i_mapping.a_ops == shmem_aops:
        return shmem_mmap(file, vma)
    return generic_file_mmap(file, vma)


def i_op_truncate(inode):
    """inode->i_op->truncate. ext2 truncates under the big kernel lock."""
    if inode.i_mapping.a_ops == shmem_aops:
        shmem_truncate(inode)
    else:
        ext2_truncate(inode)
