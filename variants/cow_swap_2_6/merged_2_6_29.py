# SPDX-License-Identifier: GPL-2.0-only
"""Hugh Dickins, 23 Nov 2008, patches 2 to 5 of 8, which 2.6.29 has: wait for the page's lock, free the swap of a page that is reused.

Hugh writes that it is not the patch of June: rather than order other code subtly he preferred to lock the page again, as Nick Piggin had
suggested; and migration had spoilt his optimisations. Linked with gup_persist, which is patch 1. Patches 6 to 8 are cleanups.

Reconstructed: the hunks are of 2.6.28-rc, and stand over released 2.6.26 here, without the rest of 2.6.29. trylock_page() is
!TestSetPageLocked(). The hunks of include/linux/swap.h are declarations, and stubs of a kernel without CONFIG_SWAP. Those of mm/swap.c and
mm/vmscan.c have no caller to change in 2.6.26, and there are neither mlocked pages nor remove_exclusive_swap_page_ref(). 2.6.29 also has
changes that the series has not: another order in add_to_swap_cache(), a lookup without tree_lock, page_freeze_refs(), and freeing of swap
when reclaim activates a page.
"""
from vmrace.harness.kernel import BUG_ON, atomic_inc, atomic_read, current, data_race, list_entry, printk, spin_lock, spin_unlock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import find_get_page, unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.fork import mmput
from vmrace.variants.cow_swap_2_6.pre_2_6_26.hardware import submit_bio
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import maybe_mkwrite, wp_page_copy
from vmrace.variants.cow_swap_2_6.pre_2_6_26.migrate import migration_entry_wait
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageAnon,
    PageDirty,
    PageLocked,
    PageSwapCache,
    PageUptodate,
    PageWriteback,
    SetPageDirty,
    TestSetPageLocked,
    atomic_inc_not_zero,
    lock_page,
    mk_pte,
    page_cache_get,
    page_cache_release,
    page_mapcount,
    page_mapped,
    page_private,
    pte_mkdirty,
    pte_mkyoung,
    pte_offset,
    pte_page,
    pte_same,
    ptep_set_access_flags,
    set_page_writeback,
    set_pte_at,
    wait_on_page_locked,
    wait_on_page_writeback,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_alloc import cond_resched
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_io import end_swap_bio_write, get_swap_bio
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import page_add_anon_rmap
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import mark_page_accessed
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_h import vm_swap_full
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_state import (
    delete_from_swap_cache,
    lookup_swap_cache,
    read_swap_cache_async,
    swapin_readahead,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import (
    find_next_to_unuse,
    page_swapcount,
    swap_entry_free,
    swap_free,
    swap_info_get,
    unuse_mm,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import is_migration_entry, pte_to_swp_entry, swp_entry, swp_offset
from vmrace.variants.cow_swap_2_6.types import (
    ENOMEM,
    GFP_HIGHUSER_MOVABLE,
    GFP_NOIO,
    SWAP_MAP_MAX,
    VM_FAULT_ERROR,
    VM_FAULT_MAJOR,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_FAULT_WRITE,
    WB_SYNC_NONE,
    WRITE_BIO,
    init_mm,
    mmlist_lock,
    swap_info,
    swap_lock,
    swapper_space,
    vm,
)

# ---- 2/8 and 3/8, mm/memory.c, @@ -1819,10 +1819,21 @@ and @@ -1832,7 +1832,7 @@ ------------------------------------------------
__FILE__ = "mm/memory.c"


def do_wp_page(mm, vma, address, page_table, ptl, orig_pte):
    """A write to a present, write-protected page. ptl is held on entry and not on exit; it is dropped if the page is locked."""
    reuse = 0
    ret = 0

    old_page = pte_page(orig_pte)                   # vm_normal_page()

    if PageAnon(old_page):
        if TestSetPageLocked(old_page):
            page_cache_get(old_page)
            spin_unlock(ptl)
            lock_page(old_page)
            ptl = mm.page_table_lock
            page_table = pte_offset(mm, address)
            spin_lock(ptl)
            if not pte_same(page_table.val, orig_pte):
                unlock_page(old_page)
                page_cache_release(old_page)
                spin_unlock(ptl)                    # goto unlock
                return ret
            page_cache_release(old_page)
        reuse = reuse_swap_page(old_page)
        unlock_page(old_page)

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


# ---- 3/8 and 4/8, @@ -2363,7 +2363,7 @@ and @@ -2374,7 +2374,7 @@ ---------------------------------------------------------------


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
    if write_access and reuse_swap_page(page):
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


# ---- 4/8, mm/page_io.c, @@ -98,7 +98,7 @@ ------------------------------------------------------------------------------------
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


# ---- 4/8, mm/swap_state.c, @@ -195,14 +195,14 @@ ------------------------------------------------------------------------------
__FILE__ = "mm/swap_state.c"


def free_swap_cache(page):
    """Free the slot if nothing maps the page any more. PageSwapCache is looked at again with the page locked."""
    if PageSwapCache(page) and not page_mapped(page) and not TestSetPageLocked(page):
        try_to_free_swap(page)
        unlock_page(page)


# ---- 3/8, mm/swapfile.c, @@ -326,17 +326,24 @@ --------------------------------------------------------------------------------
__FILE__ = "mm/swapfile.c"


def reuse_swap_page(page):
    """True if the page has one user only. The page is locked. Its swap is freed then: the copy on the disk will never be read,
    and to seek back there would waste time."""
    BUG_ON(not PageLocked(page), 337)               # VM_BUG_ON()
    count = page_mapcount(page)
    if count <= 1 and PageSwapCache(page):
        count += page_swapcount(page)
        if count == 1 and not PageWriteback(page):
            delete_from_swap_cache(page)
            SetPageDirty(page)
    return count == 1


# ---- 4/8, @@ -348,68 +348,23 @@ ---------------------------------------------------------------------------------------------


def try_to_free_swap(page):
    """Free the slot of a page to which no swap pte refers. The page is locked. Returns 1 if it did."""
    BUG_ON(not PageLocked(page), 355)               # VM_BUG_ON()

    if not PageSwapCache(page):
        return 0
    if PageWriteback(page):
        return 0
    if page_swapcount(page):
        return 0

    delete_from_swap_cache(page)
    SetPageDirty(page)
    return 1


# ---- 4/8, @@ -436,13 +391,12 @@ ---------------------------------------------------------------------------------------------


def free_swap_and_cache(entry):
    """A swap pte goes: free its reference to the slot, and the cached page too if nothing else uses it."""
    page = None

    if is_migration_entry(entry):
        return

    p = swap_info_get(entry)
    if p:
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


# ---- 5/8, @@ -889,7 +889,16 @@ ----------------------------------------------------------------------------------------------


# not here: if signal_pending(): a limit: a task that swaps off goes on, even if the OOM killer has killed it
# not here: signal_pending(current): as above
# not here: EINTR: a task that swaps off gets no signal
# not here: shmem_unuse: no page here is of a shmem file, so nothing is found
# not here: shmem: no page here is of a shmem file, so nothing is found
def try_to_unuse(type):
    """Bring in every page of the area, and give it to each page table that has its entry. Returns 0, or -ENOMEM."""
    si = swap_info[type]
    i = 0
    retval = 0
    reset_overflow = 0

    # Where the search for an entry starts: parents before children, in the order of mmlist. init_mm stands for shmem, which is left out.
    start_mm = init_mm
    atomic_inc(init_mm.mm_users)

    # Usually one pass is enough, but an instance of an entry can be missed.
    while (i := find_next_to_unuse(si, i)) != 0:
        # the page of the entry: in the cache, or read
        swap_map = si.swap_map
        entry = swp_entry(type, i)
        page = read_swap_cache_async(entry, GFP_HIGHUSER_MOVABLE, None, 0)
        if not page:
            # freed meanwhile, and not to be used again: or there is no memory
            if not data_race(swap_map[i]):
                continue
            retval = -ENOMEM
            break

        # do not hold on to a process that seems to exit
        if atomic_read(start_mm.mm_users) == 1:
            mmput(start_mm)
            start_mm = init_mm
            atomic_inc(init_mm.mm_users)

        # the first wait lets a do_swap_page() of the same page go first
        wait_on_page_locked(page)
        wait_on_page_writeback(page)
        lock_page(page)
        wait_on_page_writeback(page)

        # remove all references to entry
        swcount = data_race(swap_map[i])
        if swcount > 1:
            if start_mm is init_mm:
                pass
            else:
                retval = unuse_mm(start_mm, entry, page)
        if data_race(swap_map[i]) > 1:
            set_start_mm = data_race(swap_map[i]) >= swcount
            p = start_mm.mmlist
            new_start_mm = start_mm
            prev_mm = start_mm

            atomic_inc(new_start_mm.mm_users)
            atomic_inc(prev_mm.mm_users)
            spin_lock(mmlist_lock)
            while data_race(swap_map[i]) > 1 and not retval and (p := p.next) is not start_mm.mmlist:
                mm = list_entry(p)
                if not atomic_inc_not_zero(mm.mm_users):
                    continue
                spin_unlock(mmlist_lock)
                mmput(prev_mm)
                prev_mm = mm

                cond_resched()

                swcount = data_race(swap_map[i])
                if swcount <= 1:
                    pass
                elif mm is init_mm:
                    set_start_mm = 1
                else:
                    retval = unuse_mm(mm, entry, page)
                if set_start_mm and data_race(swap_map[i]) < swcount:
                    mmput(new_start_mm)
                    atomic_inc(mm.mm_users)
                    new_start_mm = mm
                    set_start_mm = 0
                spin_lock(mmlist_lock)
            spin_unlock(mmlist_lock)
            mmput(prev_mm)
            mmput(start_mm)
            start_mm = new_start_mm
        if retval:
            unlock_page(page)
            page_cache_release(page)
            break

        # a count that has overflowed: no process here can bring one so far
        if data_race(swap_map[i]) == SWAP_MAP_MAX:
            spin_lock(swap_lock)
            swap_map[i] = 1
            spin_unlock(swap_lock)
            reset_overflow = 1

        # A reference that remains (rare) will read the page from the disk into another one. So it is written before it leaves the cache;
        # if it stayed there, try_to_unmap() could duplicate the entry for ever.
        if data_race(swap_map[i]) > 1 and PageDirty(page) and PageSwapCache(page):
            wbc = current().unuse_wbc
            wbc.sync_mode = WB_SYNC_NONE

            swap_writepage(page, wbc)
            lock_page(page)
            wait_on_page_writeback(page)

        # Another task may have removed the page from the swap cache before it was locked, or while unuse_mm() had dropped its lock. It may
        # even be there again, with an entry of another area: that one must stay, as it may not be written yet.
        if PageSwapCache(page) and page_private(page) == entry:
            delete_from_swap_cache(page)

        # no pte was marked dirty
        SetPageDirty(page)
        unlock_page(page)
        page_cache_release(page)

        cond_resched()

    mmput(start_mm)
    if reset_overflow:
        printk("swapoff: cleared swap entry overflow")
        vm.swap_overflow = 0
    return retval
