# SPDX-License-Identifier: GPL-2.0-only
"""Nick Piggin, 19 Jul 2007, in 2.6.23-rc1: a fault gets its page locked, and unlocks it when it is mapped.

Commit d00806b18315, "mm: fix fault vs invalidate race for linear mappings", read beside its tree, and transplanted over 2.6.15: the
functions are those of 2.6.15 with its hunks, and what is below them is 2.6.15. truncate_count no longer says anything to a fault: it
finds out under the page lock, which whoever takes a page out of the page cache has too. Linear mappings only: filemap_populate() is as it
was.

Not brought over is what lies between 2.6.15 and this patch and is no part of it: reclaim's count test in invalidate_complete_page(),
launder_page and the -EIO of a dirty page, the look of __set_page_dirty_buffers() at the mapping, direct writes that invalidate before
they write, the accounting of shared dirty pages (a fault that dirties a page here leaves that to the pte), page_mkwrite, which no file
here has (nick_mkwrite gives them one), the end of a range to truncate. README.md says which findings depend on that. Brought over is one
thing that write(2) does since 2.6.18, and marked: a copy that must not fault leaves alone what it cannot copy. In the rest
generic_file_buffered_write() is, as far as it is modelled, still that of 2.6.15: write_begin and iov_iter_copy_from_user_atomic(), with
which no fault is taken under a page lock, are of 2.6.24 (08291429cfa6 names the deadlocks that they are for). A fault of this patch locks
whatever page it maps, and does not know that write(2) has it locked.

The lines of BUG_ON() are those of the tree of the commit.
"""
from vmrace.harness.kernel import BUG, BUG_ON, current, data_race, list_empty, need_resched, spin_lock, spin_unlock, unlikely
from vmrace.variants.invalidate_2_6.pre_2_6_15.buffer import ext2_readpage
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import ext2_truncate
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import find_lock_page, page_cache_read, unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import copy_word_from_user
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import (
    is_restart_addr,
    maybe_mkwrite,
    need_lockbreak,
    reset_vma_truncate_counts,
    unmap_mapping_range_list,
    unmap_mapping_range_tree,
    zap_page_range,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    ClearPageError,
    PageLocked,
    PageUptodate,
    PageWriteback,
    TestSetPageLocked,
    alloc_page_vma,
    i_size_read,
    i_size_write,
    kmap_atomic,
    kunmap_atomic,
    lock_page,
    mk_pte,
    page_cache_release,
    page_mapped,
    pagevec_count,
    pagevec_init,
    pagevec_release,
    pte_mkdirty,
    pte_none,
    pte_offset,
    set_pte_at,
    wait_on_page_writeback,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import cond_resched
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty, test_clear_page_dirty
from vmrace.variants.invalidate_2_6.pre_2_6_15.rmap import anon_vma_prepare, page_add_anon_rmap, page_add_file_rmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_cache_add_active, mark_page_accessed, pagevec_lookup
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import invalidate_complete_page, truncate_complete_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.usercopy import __copy_from_user
from vmrace.variants.invalidate_2_6.types import (
    EINTR,
    EIO,
    ENOMEM,
    NOPAGE_OOM,
    NOPAGE_SIGBUS,
    GFP_HIGHUSER,
    PAGEVEC_SIZE,
    PAGE_CACHE_SHIFT,
    PAGE_CACHE_SIZE,
    PAGE_MASK,
    PAGE_SHIFT,
    PAGE_SIZE,
    ULONG_MAX,
    VM_FAULT_MINOR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_SHARED,
    generic_file_vm_ops,
)
from vmrace.variants.mmu import copy_to_new_page

# ---- fs/gfs2, fs/ncpfs, fs/ocfs2, fs/xfs ---------------------------------------------------------------------------------------
# Left out: other file systems set the new flag too.


# ---- include/linux/mm.h --------------------------------------------------------------------------------------------------------
VM_CAN_INVALIDATE = 0x08000000


# ---- mm/filemap.c, filemap_nopage() and generic_file_mmap() --------------------------------------------------------------------
__FILE__ = "mm/filemap.c"


# not here: if error == AOP_TRUNCATED_PAGE: of 2.6.16; ext2 never returns it
def filemap_nopage(area, address):
    """The page for a fault, locked and with a reference; not locked any more if it is beyond the end of the file by then.

    The function keeps the reference to such a page, as the patch and 2.6.23-rc1 to -rc9 do; 745ad48e8cac drops it before 2.6.23.
    """
    file = area.vm_file
    mapping = file.f_mapping
    inode = mapping.host

    BUG_ON(not area.vm_flags & VM_CAN_INVALIDATE, 1328)

    pgoff = (address - area.vm_start >> PAGE_CACHE_SHIFT) + area.vm_pgoff

    size = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
    if pgoff >= size:
        return NOPAGE_SIGBUS                        # outside_data_content: the faulting task is no ptracer

    while True:
        # retry_find:
        page = find_lock_page(mapping, pgoff)
        if not page:
            # left out: do_page_cache_readahead(), of no pages
            page = find_lock_page(mapping, pgoff)
        if not page:
            # no_cached_page:
            error = page_cache_read(file, pgoff)
            if error >= 0:
                continue                            # it may have been removed in the meantime
            if error == -ENOMEM:
                return NOPAGE_OOM
            return NOPAGE_SIGBUS

        # Whoever locks a page that is being read waits for it, so this would be an error.
        if unlikely(not PageUptodate(page)):
            # page_not_uptodate:
            ClearPageError(page)
            error = ext2_readpage(file, page)       # unlocks it
            page_cache_release(page)
            if not error:
                continue                            # goto retry_find
            return NOPAGE_SIGBUS

        # the size again, under the page lock
        size = i_size_read(inode) + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT
        if unlikely(pgoff >= size):
            unlock_page(page)
            return NOPAGE_SIGBUS                    # goto outside_data_content

        mark_page_accessed(page)
        return page


# ---- mm/filemap.h of the same tree, filemap_copy_from_user() and what it calls: not of the patch --------------------------------
__FILE__ = "arch/i386/lib/usercopy.c"


def __copy_from_user_inatomic_nocache(to, buf):
    """__copy_from_user_ll_nocache_nozero(). Returns the bytes that are not copied."""
    for word in (0, 1):
        if copy_word_from_user(to, buf, word):
            return (2 - word) * (PAGE_SIZE // 2)
    return 0


__FILE__ = "mm/filemap.h"


def filemap_copy_from_user(page, buf):
    """The page is locked, here as a whole. Returns the bytes copied; what was not copied is zero."""
    kaddr = kmap_atomic(page)
    left = __copy_from_user_inatomic_nocache(kaddr, buf)
    kunmap_atomic()

    if left != 0:
        # the slow way, which may fault, with the page locked
        kaddr = page.data                           # kmap(page)
        left = __copy_from_user(kaddr, buf)         # __copy_from_user_nocache()
    return PAGE_CACHE_SIZE - left


# ---- mm/filemap.c again --------------------------------------------------------------------------------------------------------
__FILE__ = "mm/filemap.c"


def generic_file_mmap(file, vma):
    vma.vm_ops = generic_file_vm_ops
    vma.vm_flags |= VM_CAN_INVALIDATE
    return 0


# ---- mm/memory.c, unmap_mapping_range_vma(), unmap_mapping_range(), vmtruncate(), do_no_page() ---------------------------------
__FILE__ = "mm/memory.c"


def unmap_mapping_range_vma(vma, start_addr, end_addr, details):
    """i_mmap_lock is held; it is dropped, and -EINTR returned, if somebody else wants the cpu."""
    # a file that pages may be taken from says so, and has its nopage return them locked
    BUG_ON(not vma.vm_flags & VM_CAN_INVALIDATE, 1839)

    while True:
        # again:
        restart_addr = vma.vm_truncate_count
        if is_restart_addr(restart_addr) and start_addr < restart_addr:
            start_addr = restart_addr
            if start_addr >= end_addr:
                # the top of the vma has been split off since
                vma.vm_truncate_count = details.truncate_count
                return 0

        restart_addr = zap_page_range(vma, start_addr, end_addr - start_addr, details)

        need_break = need_resched() or need_lockbreak(details.i_mmap_lock)

        if restart_addr >= end_addr:
            # this vma is done
            vma.vm_truncate_count = details.truncate_count
            if not need_break:
                return 0
        else:
            vma.vm_truncate_count = restart_addr
            if not need_break:
                continue
        break

    spin_unlock(details.i_mmap_lock)
    cond_resched()
    spin_lock(details.i_mmap_lock)
    return -EINTR


def unmap_mapping_range(mapping, holebegin, holelen, even_cows):
    """Unmap a range of the file from whoever maps it; a holelen of 0 is to its end. Private copies go only if even_cows is set."""
    details = current().details
    hba = holebegin >> PAGE_SHIFT
    hlen = holelen + PAGE_SIZE - 1 >> PAGE_SHIFT

    # an end beyond what a pgoff_t can say
    holeend = holebegin + holelen + PAGE_SIZE - 1 >> PAGE_SHIFT
    if holeend & ~ULONG_MAX:
        hlen = ULONG_MAX - hba + 1

    details.check_mapping = None if even_cows else mapping
    details.nonlinear_vma = None
    details.first_index = hba
    details.last_index = hba + hlen - 1
    if details.last_index < details.first_index:
        details.last_index = ULONG_MAX
    details.i_mmap_lock = mapping.i_mmap_lock

    spin_lock(mapping.i_mmap_lock)

    # against endless unmapping; no fault looks at it any more, so there are no barriers
    mapping.truncate_count += 1
    if is_restart_addr(mapping.truncate_count):
        if mapping.truncate_count == 0:
            reset_vma_truncate_counts(mapping)
        mapping.truncate_count += 1
    details.truncate_count = mapping.truncate_count

    if not list_empty(mapping.i_mmap):
        unmap_mapping_range_tree(mapping.i_mmap, details)
    if not list_empty(mapping.i_mmap_nonlinear):
        unmap_mapping_range_list(mapping.i_mmap_nonlinear, details)
    spin_unlock(mapping.i_mmap_lock)


def vmtruncate(inode, offset):
    """i_sem is held."""
    mapping = inode.i_mapping

    if data_race(inode.i_size) < offset:
        # do_expand:
        i_size_write(inode, offset)
    else:
        i_size_write(inode, offset)
        # The first time is to save the work page by page; the second is for private copies that were made in between.
        unmap_mapping_range(mapping, offset + PAGE_SIZE - 1, 0, 1)
        truncate_inode_pages(mapping, offset)
        unmap_mapping_range(mapping, offset + PAGE_SIZE - 1, 0, 1)

    # out_truncate:
    ext2_truncate(inode)                            # inode->i_op->truncate
    return 0


# Left out: vmtruncate_range(), which nothing here calls.


# not here: if nopage_page == NOPAGE_REFAULT: of 2.6.20; no nopage operation returns it
# not here: if vma.vm_ops.page_mkwrite: of 2.6.18; no file here has it before nick_mkwrite
# not here: get_page(page): of 2.6.19, the accounting of shared dirty pages
# not here: if page: of 2.6.19, the accounting of shared dirty pages
def do_no_page(mm, vma, address, page_table, write_access):
    """A fault on a page that is not mapped, in a vma with a nopage operation. mmap_sem is held for reading."""
    ret = VM_FAULT_MINOR
    anon = 0

    nopage_page = filemap_nopage(vma, address & PAGE_MASK)      # vma->vm_ops->nopage
    if unlikely(nopage_page is NOPAGE_SIGBUS):
        return VM_FAULT_SIGBUS
    if unlikely(nopage_page == NOPAGE_OOM):
        return VM_FAULT_OOM

    BUG_ON(vma.vm_flags & VM_CAN_INVALIDATE and not PageLocked(nopage_page), 2326)
    if unlikely(not vma.vm_flags & VM_CAN_INVALIDATE):
        lock_page(nopage_page)

    # a private copy at once?
    page = nopage_page
    if write_access and not vma.vm_flags & VM_SHARED:
        anon_vma_prepare(vma)
        page = alloc_page_vma(GFP_HIGHUSER, vma, address)
        if not page:
            unlock_page(nopage_page)                # goto out_error
            page_cache_release(nopage_page)
            return VM_FAULT_OOM
        copy_to_new_page(page, nopage_page)
        anon = 1

    ptl = mm.page_table_lock
    page_table = pte_offset(mm, address)
    spin_lock(ptl)

    # only if we did not race with anybody else
    if pte_none(page_table.val):
        entry = mk_pte(page, vma.vm_page_prot)
        if write_access:
            entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        set_pte_at(mm, address, page_table, entry)
        if anon:
            mm.anon_rss += 1
            lru_cache_add_active(page)
            page_add_anon_rmap(page, vma, address)
        else:
            mm.file_rss += 1
            page_add_file_rmap(page)
    elif anon:
        page_cache_release(page)
    else:
        anon = 1                                    # not anonymous, but nopage_page is to be released

    spin_unlock(ptl)

    # out:
    unlock_page(nopage_page)
    if anon:
        page_cache_release(nopage_page)
    return ret


# ---- mm/shmem.c ----------------------------------------------------------------------------------------------------------------
# Left out: there is no tmpfs here.


# ---- mm/truncate.c, truncate_inode_pages_range() and invalidate_inode_pages2_range() -------------------------------------------
__FILE__ = "mm/truncate.c"


def truncate_inode_pages(mapping, lstart):
    """i_sem is held. Two passes: one that waits for nothing, one that waits for locks and writeback."""
    # not here: if lstart & (PAGE_CACHE_SIZE - 1): its part inside a page: sizes are whole pages
    start = lstart + PAGE_CACHE_SIZE - 1 >> PAGE_CACHE_SHIFT

    if data_race(mapping.nrpages) == 0:
        return

    pvec = pagevec_init()
    next = start
    while pagevec_lookup(pvec, mapping, next, PAGEVEC_SIZE):
        for i in range(pagevec_count(pvec)):
            page = pvec[i]
            page_index = data_race(page.index)      # it may change at any time

            if page_index > next:
                next = page_index
            next += 1
            if TestSetPageLocked(page):
                continue
            if PageWriteback(page):
                unlock_page(page)
                continue
            if page_mapped(page):
                unmap_mapping_range(mapping, page_index << PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, 0)
            truncate_complete_page(mapping, page)
            unlock_page(page)
        pagevec_release(pvec)
        cond_resched()

    next = start
    while True:
        cond_resched()
        if not pagevec_lookup(pvec, mapping, next, PAGEVEC_SIZE):
            if next == start:
                break
            next = start
            continue
        for i in range(pagevec_count(pvec)):
            page = pvec[i]
            lock_page(page)
            wait_on_page_writeback(page)
            if page_mapped(page):
                unmap_mapping_range(mapping, page.index << PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, 0)
            if page.index > next:
                next = page.index
            next += 1
            truncate_complete_page(mapping, page)
            unlock_page(page)
        pagevec_release(pvec)


# not here: BUG at line 309: the line here is that of the tree of the commit
def invalidate_inode_pages2_range(mapping, start, end):
    """Drop every page of a range, unmapping it first. What was dirty is lost, unless its buffers are. -EIO if a page stays."""
    pvec = pagevec_init()
    ret = 0
    did_range_unmap = 0
    wrapped = 0

    next = start
    while next <= end and not ret and not wrapped and pagevec_lookup(pvec, mapping, next, min(end - next, PAGEVEC_SIZE - 1) + 1):
        i = 0
        while not ret and i < pagevec_count(pvec):
            page = pvec[i]
            lock_page(page)
            if page.mapping is not mapping:
                unlock_page(page)
                i += 1
                continue
            page_index = page.index
            next = page_index + 1
            if next > ULONG_MAX:
                wrapped = 1
            if page_index > end:
                unlock_page(page)
                break
            wait_on_page_writeback(page)
            if page_mapped(page):
                if not did_range_unmap:
                    # the rest of the file at one go
                    unmap_mapping_range(
                        mapping, page_index << PAGE_CACHE_SHIFT, end - page_index + 1 << PAGE_CACHE_SHIFT, 0)
                    did_range_unmap = 1
                else:
                    # this page alone
                    unmap_mapping_range(mapping, page_index << PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE, 0)
            if page_mapped(page):
                BUG(438)
            was_dirty = test_clear_page_dirty(page)
            if not invalidate_complete_page(mapping, page):
                if was_dirty:
                    set_page_dirty(page)
                ret = -EIO
            unlock_page(page)
            i += 1
        pagevec_release(pvec)
        cond_resched()
    return ret
