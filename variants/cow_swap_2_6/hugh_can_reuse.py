# SPDX-License-Identifier: GPL-2.0-only
"""Hugh Dickins, 23 Jun 2008, against 2.6.26-rc7 (seed 001): decide COW without the page's lock, and free the swap of a page that is reused.

It has all 16 hunks, over released 2.6.26, which they fit (-rc7 has another end of do_wp_page(): see cow_tail_2_6_26_rc7). The three hunks
of swap.h have nothing here: declarations, and stubs of a kernel without CONFIG_SWAP. The trick is page_swapcount(): it reads the
mapcount and the swap count in one section of swap_lock, so that a reference that moves from one to the other is counted once or twice.

Gone with remove_exclusive_swap_page(): its BUG_ON(PagePrivate), also in free_swap_and_cache(), its look at page_count(), and the second
look under tree_lock. BUG_ON(!PageLocked) becomes VM_BUG_ON. can_reuse_swap_page_locked() has no short cut for a mapcount above 1,
so that do_swap_page() acquires swap_lock for every store. hugh_can_reuse_claims has the claims of its comments as checks.

Barriers of the patch:
 * smp_wmb() of add_to_swap_cache(): page->private before PG_swapcache. It pairs with the smp_rmb() of page_swapcount().
 * smp_wmb() of migrate_page_move_mapping(): the same two of the new page. It pairs with the same smp_rmb().
 * smp_rmb() of page_swapcount(): PG_swapcache before page->private. The reader holds swap_lock, the writers tree_lock.
private is no longer zeroed when PG_swapcache goes, so that a reader that has seen the flag reads the entry of before or of now.
Without a barrier of its own, by the order of atomic and lock: the mapcount goes up before swap_free() (do_swap_page, unuse_pte), and
swap_duplicate() is over before the mapcount goes down (try_to_unmap_one).
"""
from vmrace.harness.kernel import BUG_ON, data_race, printk, smp_rmb, smp_wmb, spin_lock, spin_unlock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import (
    end_page_writeback,
    find_get_page,
    radix_tree_delete,
    radix_tree_deref_slot,
    radix_tree_insert,
    radix_tree_lookup_slot,
    radix_tree_preload,
    radix_tree_preload_end,
    radix_tree_replace_slot,
    unlock_page,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.hardware import submit_bio
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import maybe_mkwrite, wp_page_copy
from vmrace.variants.cow_swap_2_6.pre_2_6_26.migrate import migration_entry_wait
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    ClearPageActive,
    ClearPagePrivate,
    ClearPageSwapCache,
    PageActive,
    PageAnon,
    PageDirty,
    PageLocked,
    PagePrivate,
    PageReferenced,
    PageSwapCache,
    PageUptodate,
    PageWriteback,
    SetPageActive,
    SetPageDirty,
    SetPageReferenced,
    SetPageSwapCache,
    SetPageUptodate,
    TestSetPageLocked,
    __put_page,
    get_page,
    lock_page,
    mk_pte,
    page_cache_get,
    page_cache_release,
    page_count,
    page_index,
    page_mapcount,
    page_mapped,
    page_private,
    pte_mkdirty,
    pte_mkyoung,
    pte_offset,
    pte_page,
    pte_same,
    ptep_set_access_flags,
    set_page_private,
    set_page_writeback,
    set_pte_at,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_io import end_swap_bio_write, get_swap_bio
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_writeback import __set_page_dirty_nobuffers, clear_page_dirty_for_io
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import page_add_anon_rmap
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import mark_page_accessed
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_h import vm_swap_full
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_state import delete_from_swap_cache, lookup_swap_cache, swapin_readahead
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import swap_entry_free
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import is_migration_entry, pte_to_swp_entry, swp_offset, swp_type
from vmrace.variants.cow_swap_2_6.types import (
    EAGAIN,
    GFP_HIGHUSER_MOVABLE,
    GFP_NOIO,
    SWP_USED,
    VM_FAULT_ERROR,
    VM_FAULT_MAJOR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_FAULT_WRITE,
    WRITE_BIO,
    swap_info,
    swap_lock,
    swapper_space,
    vm,
)
from vmrace.variants.mmu import copy_to_new_page
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq

# ---- include/linux/swap.h, @@ -250,8 +250,9 @@, @@ -319,8 +320,6 @@ and @@ -337,9 +336,19 @@: declarations and stubs

# ---- mm/memory.c, @@ -1686,9 +1686,14 @@ -----------------------------------------------------------------------------------
__FILE__ = "mm/memory.c"


def do_wp_page(mm, vma, address, page_table, ptl, orig_pte):
    """A write to a present, write-protected page. ptl is held on entry and not on exit."""
    reuse = 0
    ret = 0

    old_page = pte_page(orig_pte)                   # vm_normal_page()

    if PageAnon(old_page):
        if page_mapcount(old_page) == 1:
            if not PageSwapCache(old_page):
                reuse = 1
            elif not TestSetPageLocked(old_page):
                reuse = can_reuse_swap_page_locked(old_page)
                unlock_page(old_page)
            else:
                reuse = can_reuse_swap_page_unlocked(old_page)

    if reuse:
        # reuse:
        entry = pte_mkyoung(orig_pte)
        entry = maybe_mkwrite(pte_mkdirty(entry), vma)
        ptep_set_access_flags(vma, address, page_table, entry, 1)
        ret |= VM_FAULT_WRITE
        spin_unlock(ptl)                            # goto unlock
        return ret

    # so it must be copied
    page_cache_get(old_page)
    return wp_page_copy(mm, vma, address, page_table, ptl, orig_pte, old_page)


# ---- @@ -2185,7 +2190,7 @@ and @@ -2196,7 +2201,7 @@ --------------------------------------------------------------------------


def do_swap_page(mm, vma, address, page_table, write_access, orig_pte):
    """A fault on a pte that is not present. mmap_sem is held for reading, no lock of the pte."""
    ret = 0

    entry = pte_to_swp_entry(orig_pte)
    if is_migration_entry(entry):
        migration_entry_wait(mm, address)
        return ret                                  # goto out
    page = lookup_swap_cache(entry)
    if not page:
        page = swapin_readahead(entry, GFP_HIGHUSER_MOVABLE, vma, address)
        if not page:
            # has anybody else faulted in this pte meanwhile?
            ptl = mm.page_table_lock
            page_table = pte_offset(mm, address)
            spin_lock(ptl)
            if pte_same(page_table.val, orig_pte):
                ret = VM_FAULT_OOM
            spin_unlock(ptl)                        # goto unlock
            return ret

        # it had to be read from the swap area
        ret = VM_FAULT_MAJOR

    mark_page_accessed(page)
    lock_page(page)

    # has anybody else faulted in this pte already?
    ptl = mm.page_table_lock
    page_table = pte_offset(mm, address)
    spin_lock(ptl)
    if not pte_same(page_table.val, orig_pte):
        spin_unlock(ptl)                            # goto out_nomap
        unlock_page(page)
        page_cache_release(page)
        return ret

    if not PageUptodate(page):
        ret = VM_FAULT_SIGBUS
        spin_unlock(ptl)                            # goto out_nomap
        unlock_page(page)
        page_cache_release(page)
        return ret

    # the page is not present yet: go ahead

    mm.anon_rss += 1
    pte = mk_pte(page, vma.vm_page_prot)
    if write_access and can_reuse_swap_page_locked(page):
        pte = maybe_mkwrite(pte_mkdirty(pte), vma)
        write_access = 0

    set_pte_at(mm, address, page_table, pte)
    page_add_anon_rmap(page, vma, address)

    swap_free(entry)
    if vm_swap_full():
        try_to_free_swap(page)
    unlock_page(page)

    if write_access:
        ret |= do_wp_page(mm, vma, address, page_table, ptl, pte)
        if ret & VM_FAULT_ERROR:
            ret &= VM_FAULT_ERROR
        return ret                                  # goto out

    # unlock:
    spin_unlock(ptl)
    # out:
    return ret


# ---- mm/migrate.c, @@ -330,8 +330,10 @@ -------------------------------------------------------------------------------------
__FILE__ = "mm/migrate.c"


def migrate_page_move_mapping(mapping, newpage, page):
    """Both pages are locked. Puts the new page into the place of the old one in the swap cache. Returns -EAGAIN if another user has a
    reference to the old one: 1 is without swap cache, 2 with it."""
    if not mapping:
        # anonymous page without mapping
        if page_count(page) != 1:
            return -EAGAIN
        return 0

    write_lock_irq(mapping.tree_lock)

    pslot = radix_tree_lookup_slot(mapping.page_tree, page_index(page))

    if page_count(page) != 2 + bool(PagePrivate(page)) or radix_tree_deref_slot(pslot) is not page:
        write_unlock_irq(mapping.tree_lock)
        return -EAGAIN

    # nobody else looks at the page
    get_page(newpage)                               # add cache reference
    if PageSwapCache(page):
        set_page_private(newpage, page_private(page))
        # page_swapcount() relies on private whenever PageSwapCache
        smp_wmb()
        SetPageSwapCache(newpage)

    radix_tree_replace_slot(pslot, newpage)

    # the cache's reference to the old page, which is not the last
    __put_page(page)

    write_unlock_irq(mapping.tree_lock)

    return 0


# ---- @@ -398,7 +400,6 @@ ----------------------------------------------------------------------------------------------------


# not here: PageError(page): no I/O fails
# not here: if PageError(): as above
# not here: PageChecked(page): of files
# not here: if PageChecked(): as above
# not here: PageMappedToDisk(page): of files
# not here: if PageMappedToDisk(): as above
def migrate_page_copy(newpage, page):
    """Both pages are locked, and no pte maps the old one. A device with a pin does not wait for that: its page is not moved, see above."""
    copy_to_new_page(newpage, page)                 # copy_highpage()

    if PageReferenced(page):
        SetPageReferenced(newpage)
    if PageUptodate(page):
        SetPageUptodate(newpage)
    if PageActive(page):
        SetPageActive(newpage)

    if PageDirty(page):
        clear_page_dirty_for_io(page)
        # not set_page_dirty(), which says that all of the page is dirty
        __set_page_dirty_nobuffers(newpage)

    ClearPageSwapCache(page)
    ClearPageActive(page)
    ClearPagePrivate(page)
    page.mapping = None

    # if there are waiters on the new page, wake them
    if PageWriteback(newpage):
        end_page_writeback(newpage)


# ---- mm/page_io.c, @@ -98,7 +98,7 @@ ----------------------------------------------------------------------------------------
__FILE__ = "mm/page_io.c"


def swap_writepage(page, wbc):
    """The page is locked, and its caller has cleared PG_dirty. Unlocks it. A page that needs no slot any more is not written."""
    ret = 0
    rw = WRITE_BIO

    if try_to_free_swap(page):
        unlock_page(page)
        return ret                                  # goto out
    bio = get_swap_bio(GFP_NOIO, page_private(page), page, end_swap_bio_write)
    # left out: no bio; BIO_RW_SYNC
    set_page_writeback(page)
    unlock_page(page)
    submit_bio(rw, bio)
    # out:
    return ret


# ---- mm/swap_state.c, @@ -76,13 +76,15 @@ -----------------------------------------------------------------------------------
__FILE__ = "mm/swap_state.c"


def add_to_swap_cache(page, entry, gfp_mask):
    """The page is locked. Returns 0, -EEXIST or -ENOMEM."""
    BUG_ON(not PageLocked(page), 74)
    BUG_ON(PageSwapCache(page), 75)
    BUG_ON(PagePrivate(page), 76)
    error = radix_tree_preload(gfp_mask)
    if not error:
        set_page_private(page, entry)
        # page_swapcount() relies on private whenever PageSwapCache
        smp_wmb()
        write_lock_irq(swapper_space.tree_lock)
        error = radix_tree_insert(swapper_space.page_tree, entry, page)
        if not error:
            page_cache_get(page)
            SetPageSwapCache(page)
            swapper_space.nrpages += 1              # total_swapcache_pages
        write_unlock_irq(swapper_space.tree_lock)
        radix_tree_preload_end()
    return error


# ---- @@ -105,7 +107,6 @@ ----------------------------------------------------------------------------------------------------


def __delete_from_swap_cache(page):
    """The page is locked and in the swap cache, tree_lock is held for writing."""
    BUG_ON(not PageLocked(page), 104)
    BUG_ON(not PageSwapCache(page), 105)
    BUG_ON(PageWriteback(page), 106)
    BUG_ON(PagePrivate(page), 107)

    radix_tree_delete(swapper_space.page_tree, page_private(page))
    ClearPageSwapCache(page)
    swapper_space.nrpages -= 1                      # total_swapcache_pages


# ---- @@ -188,13 +189,14 @@ --------------------------------------------------------------------------------------------------


def free_swap_cache(page):
    """Free the slot if nothing maps the page any more. PageSwapCache is looked at again with the page locked."""
    if PageSwapCache(page) and not page_mapped(page) and not TestSetPageLocked(page):
        try_to_free_swap(page)
        unlock_page(page)


# ---- mm/swapfile.c, @@ -251,7 +251,6 @@ -------------------------------------------------------------------------------------
__FILE__ = "mm/swapfile.c"


def swap_info_get(entry):
    """Return the area of an entry in use, or None. The caller acquires swap_lock, before this or after it."""
    if not entry:
        return None
    type = swp_type(entry)
    if type >= data_race(vm.nr_swapfiles):
        printk("swap_free: Bad swap file entry")
        return None
    p = swap_info[type]
    if not data_race(p.flags) & SWP_USED:
        printk("swap_free: Unused swap file entry")
        return None
    offset = swp_offset(entry)
    if offset >= data_race(p.max):
        printk("swap_free: Bad swap offset entry")
        return None
    if not data_race(p.swap_map[offset]):
        printk("swap_free: Unused swap offset entry")
        return None
    return p


# ---- @@ -300,90 +299,104 @@ -------------------------------------------------------------------------------------------------


def swap_free(entry):
    """The caller has made sure that the area is still there."""
    p = swap_info_get(entry)
    if p:
        spin_lock(swap_lock)
        swap_entry_free(p, swp_offset(entry))
        spin_unlock(swap_lock)


def page_swapcount(page, add_mapcount):
    """Return how many page tables refer to the page's swap entry; with `add_mapcount`, or to the page itself.

    The page was in the swap cache a moment ago. If it is locked, the swap count is stable and the mapcount cannot rise. If not, the swap
    count is stable under swap_lock, and the mapcount cannot rise from 1 while the caller holds the lock of that one pte. The mapcount
    may fall. The sum should never be seen too low: a task that moves a reference counts it at its new place first.
    """
    count = 0

    spin_lock(swap_lock)
    if add_mapcount:
        count = page_mapcount(page)
    if PageSwapCache(page):
        # private can be relied on once PageSwapCache is visible
        smp_rmb()
        entry = page_private(page)
        p = swap_info_get(entry)
        if p:
            # the swap cache itself is not counted
            count += p.swap_map[swp_offset(entry)] - 1
    spin_unlock(swap_lock)
    return count


def can_reuse_swap_page_unlocked(page):
    """True if do_wp_page() may make the page writable, while another task, probably in shrink_page_list(), holds its lock."""
    return page_swapcount(page, 1) == 1


def can_reuse_swap_page_locked(page):
    """True if do_wp_page() may make the page writable. The page is locked, so its swap is freed as well: it will not be read again, and
    to write there later would need one more seek."""
    BUG_ON(not PageLocked(page), 370)               # VM_BUG_ON()
    if page_swapcount(page, 1) != 1:
        return 0
    if not PageSwapCache(page):
        return 1
    if PageWriteback(page):
        return 1

    delete_from_swap_cache(page)
    SetPageDirty(page)
    return 1


def try_to_free_swap(page):
    """Free the slot of a page to which no swap pte refers. The page is locked. Returns 1 if it did."""
    BUG_ON(not PageLocked(page), 389)               # VM_BUG_ON()
    if not PageSwapCache(page):
        return 0
    if PageWriteback(page):
        return 0
    if page_swapcount(page, 0):                     # here the mapcount does not matter
        return 0

    delete_from_swap_cache(page)
    SetPageDirty(page)
    return 1


# ---- @@ -400,6 +413,7 @@ and @@ -410,14 +424,10 @@ --------------------------------------------------------------------------


def free_swap_and_cache(entry):
    """A swap pte goes: free its reference to the slot, and the cached page too if nothing else uses it."""
    page = None

    if is_migration_entry(entry):
        return

    p = swap_info_get(entry)
    if p:
        spin_lock(swap_lock)
        if swap_entry_free(p, swp_offset(entry)) == 1:
            page = find_get_page(swapper_space, entry)
            if page and TestSetPageLocked(page):
                page_cache_release(page)
                page = None
        spin_unlock(swap_lock)
    if page:
        # not mapped elsewhere, or swap space full? PageSwapCache again, now that the page is locked
        if PageSwapCache(page) and not PageWriteback(page) and (not page_mapped(page) or vm_swap_full()):
            delete_from_swap_cache(page)
            SetPageDirty(page)
        unlock_page(page)
        page_cache_release(page)
