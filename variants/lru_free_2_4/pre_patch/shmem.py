# SPDX-License-Identifier: GPL-2.0-only
"""mm/shmem.c: a file of tmpfs, mapped shared. Its pages live in the page cache or, one at a time and never in both, in the swap cache.

Left out: the counts of free blocks and inodes (shmem_recalc_inode() and the superblock's stat_lock, a leaf), indirect blocks (the file is
short enough to have none), reading and writing the file, and its end: it is held open from boot.
"""
from vmrace.harness.kernel import BUG, data_race, down, read_word, spin_lock, spin_unlock, up, write_word
from vmrace.variants.lru_free_2_4.pre_patch.filemap import (
    add_to_page_cache,
    add_to_page_cache_locked,
    fail_writepage,
    remove_inode_page,
    set_page_dirty,
)
from vmrace.variants.lru_free_2_4.pre_patch.memory import swapin_readahead
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import (
    PageLaunder,
    PageLocked,
    Page_Uptodate,
    SetPageDirty,
    SetPageUptodate,
    TryLockPage,
    UnlockPage,
    clear_user_highpage,
)
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import (
    find_get_page,
    find_lock_page,
    page_cache_alloc,
    page_cache_release,
    wait_on_page,
)
from vmrace.variants.lru_free_2_4.pre_patch.swap_state import (
    add_to_swap_cache,
    delete_from_swap_cache,
    lookup_swap_cache,
    read_swap_cache_async,
)
from vmrace.variants.lru_free_2_4.pre_patch.swapfile import free_swap_and_cache, get_swap_page, swap_free
from vmrace.variants.lru_free_2_4.types import (
    EFAULT,
    EIO,
    ENOMEM,
    NOPAGE_OOM,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PG_arch_1,
    PG_dirty,
    PG_error,
    PG_referenced,
    PG_uptodate,
    SHMEM_NR_DIRECT,
    s0,
    shmem_ilock,
    shmem_vm_ops,
)


__FILE__ = "mm/shmem.c"

# A pointer to an entry of the swap vector is its index in i_direct: shmem_swp_entry() is the identity, and does not fail.


def shmem_alloc_entry(info, index):
    """The inode's semaphore is held."""
    if info.next_index <= index:
        info.next_index = index + 1

    return index


def shmem_free_swp(info, dir, count):
    """info->lock is held. Free the swap entries of a part of the vector, and return how many there were."""
    freed = 0

    for ptr in range(dir, dir + count):
        if not info.i_direct[ptr]:
            continue
        entry = info.i_direct[ptr]
        info.i_direct[ptr] = 0
        freed += 1
        free_swap_and_cache(entry)
    return freed


def shmem_truncate_indirect(info, index):
    """info->lock is held."""
    # not here: max: there are no indirect blocks
    info.next_index = index
    return shmem_free_swp(info, index, SHMEM_NR_DIRECT - index)


def shmem_truncate(inode):
    """inode->i_op->truncate. The inode's i_sem is held. Its pages beyond the end are gone already, here their swap entries go."""
    # not here: partial: a file ends with a whole page
    freed = 0
    info = inode.shmem_i

    down(info.sem)
    spin_lock(info.lock)
    index = data_race(inode.i_size) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT

    while index < data_race(info.next_index):
        freed += shmem_truncate_indirect(info, index)

    info.swapped -= freed
    spin_unlock(info.lock)
    up(info.sem)


def shmem_find_swp(entry, info, eptr):
    """info->lock is held."""
    for test in range(eptr):
        if info.i_direct[test] == entry:
            return test
    return -1


def shmem_unuse_inode(info, entry, page):
    """Put a swap page, which is locked, back into the file, if it is one of its pages."""
    spin_lock(info.lock)
    offset = data_race(info.next_index)
    if offset > SHMEM_NR_DIRECT:
        offset = SHMEM_NR_DIRECT
    offset = shmem_find_swp(entry, info, offset)
    if offset < 0:
        spin_unlock(info.lock)
        return 0
    # found:
    swap_free(entry)
    info.i_direct[offset] = 0
    delete_from_swap_cache(page)
    add_to_page_cache(page, info.inode.i_mapping, offset)
    SetPageDirty(page)
    SetPageUptodate(page)
    info.swapped -= 1
    spin_unlock(info.lock)
    return 1


def shmem_unuse(entry, page):
    """For swapoff. The list of the inodes has one, so that its head stays where it is."""
    # not here: if shmem_inodes.next == shmem_inodes: there is one inode
    # only here: info = s0.shmem_i: as above
    # only here: if info.swapped: as above; it is in the loop
    spin_lock(shmem_ilock)
    info = s0.shmem_i

    if data_race(info.swapped):
        shmem_unuse_inode(info, entry, page)
    spin_unlock(shmem_ilock)


def shmem_writepage(page):
    """Move a page from the page cache to the swap cache. The page lock excludes another shmem_writepage() of the page.

    shmem_getpage_locked() is excluded by info->lock.
    """
    if not PageLocked(page):
        BUG(468)
    if not PageLaunder(page):
        return fail_writepage(page)

    mapping = page.mapping
    index = page.index
    inode = mapping.host
    info = inode.shmem_i
    if info.locked:
        return fail_writepage(page)
    while True:
        # getswap:
        swap = get_swap_page()
        if not swap:
            return fail_writepage(page)

        spin_lock(info.lock)
        if info.i_direct[index]:
            BUG(489)

        # out of the page cache
        remove_inode_page(page)
        page_cache_release(page)

        # and into the swap cache
        if add_to_swap_cache(page, swap) != 0:
            # a speculative read_swap_cache_async() was first: back into the page cache, and try again
            add_to_page_cache_locked(page, mapping, index)
            spin_unlock(info.lock)
            swap_free(swap)
            continue                                # goto getswap

        info.i_direct[index] = swap
        info.swapped += 1
        spin_unlock(info.lock)
        SetPageUptodate(page)
        set_page_dirty(page)
        UnlockPage(page)
        return 0


def shmem_getpage_locked(info, inode, idx):
    """A page of the file, locked and with a reference: the cached one, the one that was swapped out, or a new one. Or an error.

    The inode's semaphore is held, so that it does not run twice at a time. shmem_writepage() may move the page meanwhile.
    """
    mapping = inode.i_mapping

    while True:
        # repeat:
        page = find_lock_page(mapping, idx)
        if page:
            return page

        entry = shmem_alloc_entry(info, idx)

        spin_lock(info.lock)

        # shmem_writepage() may have been moving it: look again, under info->lock
        page = find_get_page(mapping, idx)
        if page:
            if TryLockPage(page):
                # wait_retry:
                spin_unlock(info.lock)
                wait_on_page(page)
                page_cache_release(page)
                continue                            # goto repeat
            spin_unlock(info.lock)
            return page

        if info.i_direct[entry]:
            # look it up and read it in
            page = lookup_swap_cache(info.i_direct[entry])
            if not page:
                swap = info.i_direct[entry]
                spin_unlock(info.lock)
                swapin_readahead(data_race(info.i_direct[entry]))
                page = read_swap_cache_async(data_race(info.i_direct[entry]))
                if not page:
                    if data_race(info.i_direct[entry]) != swap:
                        continue                    # goto repeat
                    return -ENOMEM
                wait_on_page(page)
                if not Page_Uptodate(page) and data_race(info.i_direct[entry]) == swap:
                    page_cache_release(page)
                    return -EIO

                # the lock was dropped, so this may be another page by now
                page_cache_release(page)
                continue                            # goto repeat

            # with the page locked, against races
            if TryLockPage(page):
                # wait_retry:
                spin_unlock(info.lock)
                wait_on_page(page)
                page_cache_release(page)
                continue                            # goto repeat

            swap_free(info.i_direct[entry])
            info.i_direct[entry] = 0
            delete_from_swap_cache(page)
            # not atomic: a load and a store of the whole word
            flags = read_word(page.flags) & ~(1 << PG_uptodate | 1 << PG_error | 1 << PG_referenced | 1 << PG_arch_1)
            write_word(page.flags, flags | 1 << PG_dirty)
            add_to_page_cache_locked(page, mapping, idx)
            info.swapped -= 1
            spin_unlock(info.lock)
        else:
            # not here: SHMEM_SB: see the module docstring
            # not here: inode.i_blocks += BLOCKS_PER_PAGE: as SHMEM_SB
            spin_unlock(info.lock)

            # a new page: there is none in either cache, and the semaphore keeps it so
            page = page_cache_alloc(mapping)
            if not page:
                return -ENOMEM
            clear_user_highpage(page, 0)            # clear_highpage()
            add_to_page_cache(page, mapping, idx)

        # we have the page
        SetPageUptodate(page)
        return page


def shmem_getpage(inode, idx):
    """A page of the file, with a reference. Returns what `*ptr` is: the page, None beyond the end or for an error, or NOPAGE_OOM."""
    info = inode.shmem_i

    down(info.sem)
    page = -EFAULT
    if data_race(inode.i_size) > idx * PAGE_CACHE_SIZE:         # else goto failed
        page = shmem_getpage_locked(info, inode, idx)
        if not isinstance(page, int):                           # else goto failed
            UnlockPage(page)
            up(info.sem)
            return page
    # failed:
    up(info.sem)
    if page == -ENOMEM:
        return NOPAGE_OOM
    return None


def shmem_nopage(vma, address, unused):
    """As filemap_nopage()."""
    inode = vma.vm_file.f_dentry.d_inode

    idx = address - vma.vm_start >> PAGE_CACHE_SHIFT
    idx += vma.vm_pgoff

    return shmem_getpage(inode, idx)


def shmem_mmap(file, vma):
    """file->f_op->mmap"""
    # not here: i_sb: it is a file
    # not here: i_mode: as i_sb
    vma.vm_ops = shmem_vm_ops
    return 0
