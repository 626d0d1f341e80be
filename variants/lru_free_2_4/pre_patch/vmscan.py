# SPDX-License-Identifier: GPL-2.0-only
"""mm/vmscan.c: from user page tables to the swap cache, from the active list to the inactive one, and off that to the free list.

With mm/oom_kill.c, which has the last word.
"""
from vmrace.harness.kernel import (
    BUG_ON,
    TASK_RUNNING,
    __set_current_state,
    atomic_inc,
    current,
    data_race,
    likely,
    list_add,
    list_del,
    list_entry,
    need_resched,
    schedule,
    spin_lock,
    spin_unlock,
    unlikely,
    yield_cpu,
)
from vmrace.variants.lru_free_2_4.pre_patch.buffer import try_to_release_page
from vmrace.variants.lru_free_2_4.pre_patch.filemap import __remove_inode_page, a_ops_writepage, mark_page_accessed, set_page_dirty
from vmrace.variants.lru_free_2_4.pre_patch.fork import mmput
from vmrace.variants.lru_free_2_4.pre_patch.hardware import ptep_get_and_clear, ptep_test_and_clear_young
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import (
    ClearPageDirty,
    PageActive,
    PageDirty,
    PageLRU,
    PageLaunder,
    PageReserved,
    PageSwapCache,
    PageTestandClearReferenced,
    SetPageLaunder,
    SetPageReferenced,
    SetPageUptodate,
    TryLockPage,
    UnlockPage,
    VALID_PAGE,
    is_page_cache_freeable,
    memclass,
    page_count,
    page_zone,
    pf_gfp_mask,
    pte_dirty,
    pte_offset,
    pte_page,
    pte_present,
    set_pte,
    swp_entry_to_pte,
)
from vmrace.variants.lru_free_2_4.pre_patch.mmap import find_vma
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import page_cache_get, page_cache_release, wait_on_page
from vmrace.variants.lru_free_2_4.pre_patch.swap import __lru_cache_del
from vmrace.variants.lru_free_2_4.pre_patch.swap_h import add_page_to_inactive_list, del_page_from_active_list
from vmrace.variants.lru_free_2_4.pre_patch.swap_state import __delete_from_swap_cache, add_to_swap_cache
from vmrace.variants.lru_free_2_4.pre_patch.swapfile import get_swap_page, swap_duplicate, swap_free
from vmrace.variants.lru_free_2_4.types import (
    DEF_PRIORITY,
    GFP_KSWAPD,
    MAPPED_RATIO,
    PAGE_SIZE,
    PF_FREE_PAGES,
    PF_MEMALLOC,
    PF_MEMDIE,
    PGDIR_MASK,
    PGDIR_SIZE,
    SWAP_CLUSTER_MAX,
    TASK_SIZE,
    VM_LOCKED,
    VM_RESERVED,
    __GFP_FS,
    active_list,
    inactive_list,
    init_mm,
    mmlist_lock,
    pagecache_lock,
    pagemap_lru_lock,
    vm,
    zone_normal,
)
from vmrace.variants.user_space import memory_free


__FILE__ = "mm/vmscan.c"


def try_to_swap_out(mm, vma, address, page_table, page, classzone):
    """mm->page_table_lock is held. Returns 1 if the page is freeable now, so far as a count can tell."""
    # not if it was used since we came by last
    if vma.vm_flags & VM_LOCKED or ptep_test_and_clear_young(page_table):
        mark_page_accessed(page)
        return 0

    # not if it is active
    if PageActive(page):
        return 0

    # not if its zone has enough
    if not memclass(page_zone(page), classzone):
        return 0

    if TryLockPage(page):
        return 0

    # From here on the pte will most likely go: take it out and see what the MMU has left in it.
    pte = ptep_get_and_clear(page_table)            # flush_tlb_page(vma, address)

    if pte_dirty(pte):
        set_page_dirty(page)

    goto = "preserve"
    if PageSwapCache(page):
        # It has a place on disk already; another user for that.
        entry = page.index
        swap_duplicate(entry)
        goto = "set_swap_pte"
    elif page.mapping:
        # A fault will find it in the page cache.
        goto = "drop_pte"
    elif not PageDirty(page):
        goto = "drop_pte"
    elif not page.buffers:                          # else goto preserve: truncate and a fault left an anonymous buffer page
        while True:
            entry = get_swap_page()
            if not entry:
                break                               # no swap space left
            # going into the page cache clears dirty and uptodate
            if add_to_swap_cache(page, entry) == 0:
                SetPageUptodate(page)
                set_page_dirty(page)
                goto = "set_swap_pte"
                break
            # a speculative read_swap_cache_async() was first
            swap_free(entry)

    if goto == "set_swap_pte":
        set_pte(page_table, swp_entry_to_pte(entry))
        goto = "drop_pte"
    if goto == "drop_pte":
        mm.rss -= 1
        UnlockPage(page)
        freeable = page_count(page) - bool(data_race(page.buffers)) <= 2       # a guess: the page lock is gone
        page_cache_release(page)
        return freeable
    # preserve:
    set_pte(page_table, pte)
    UnlockPage(page)
    return 0


def swap_out_pmd(mm, vma, address, end, count, classzone):
    """mm->page_table_lock is held."""
    pte = pte_offset(mm, address)

    while True:
        if pte_present(pte.val):
            page = pte_page(pte.val)

            if VALID_PAGE(page) and not PageReserved(page):
                count -= try_to_swap_out(mm, vma, address, pte, page, classzone)
                if not count:
                    address += PAGE_SIZE
                    break
        address += PAGE_SIZE
        pte = pte_offset(mm, address)               # pte++
        if not (address and address < end):
            break
    mm.swap_address = address
    return count


def swap_out_vma(mm, vma, address, count, classzone):
    """mm->page_table_lock is held. swap_out_pgd() and its loop, which goes round once, are left out with the page directories."""
    if vma.vm_flags & VM_RESERVED:
        return count

    end = vma.vm_end
    BUG_ON(address >= end, 239)
    while True:
        count = swap_out_pmd(mm, vma, address, end, count, classzone)
        if not count:
            break
        address = address + PGDIR_SIZE & PGDIR_MASK
        if not (address and address < end):
            break
    return count


def swap_out_mm(mm, count, mmcounter, classzone):
    """Returns how many pages are still wanted, and `*mmcounter`."""
    spin_lock(mm.page_table_lock)
    address = data_race(mm.swap_address)            # swap_out() sets it back with the other lock, and "We raced" is told next
    if address == TASK_SIZE or data_race(vm.swap_mm) is not mm:
        # somebody else has finished this mm: it does not count, try again
        mmcounter += 1
        # goto out_unlock
    else:
        out_unlock = False
        vma = find_vma(mm, address)
        if vma:
            if address < vma.vm_start:
                address = vma.vm_start

            while True:
                count = swap_out_vma(mm, vma, address, count, classzone)
                vma = vma.vm_next
                if not vma:
                    break
                if not count:
                    out_unlock = True
                    break
                address = vma.vm_start
        if not out_unlock:
            # this was the end of the address space
            mm.swap_address = TASK_SIZE

    # out_unlock:
    spin_unlock(mm.page_table_lock)
    return count, mmcounter


def swap_out(priority, gfp_mask, classzone):
    """Unmap SWAP_CLUSTER_MAX pages, mm after mm, from where the last call stopped. Returns 1 if it could."""
    nr_pages = SWAP_CLUSTER_MAX

    counter = data_race(vm.mmlist_nr)
    while True:
        if unlikely(need_resched()):
            __set_current_state(TASK_RUNNING)
            schedule()

        spin_lock(mmlist_lock)
        mm = vm.swap_mm
        # where to go on is page_table_lock's: a stale value costs a round, and swap_out_mm() looks again
        while data_race(mm.swap_address) == TASK_SIZE or mm is init_mm:
            data_race(mm).swap_address = 0
            mm = list_entry(mm.mmlist.next)
            if mm is vm.swap_mm:
                # empty:
                spin_unlock(mmlist_lock)
                return 0
            vm.swap_mm = mm

        # keep the mm while the lock is dropped
        atomic_inc(mm.mm_users)
        spin_unlock(mmlist_lock)

        nr_pages, counter = swap_out_mm(mm, nr_pages, counter, classzone)

        mmput(mm)

        if not nr_pages:
            return 1
        counter -= 1
        if counter < 0:
            break

    return 0


def shrink_cache(nr_pages, classzone, gfp_mask, priority):
    """Free up to nr_pages from the tail of the inactive list. Returns how many are still wanted."""
    max_scan = data_race(vm.nr_inactive_pages) // priority
    max_mapped = min(nr_pages << 10 - priority, max_scan // MAPPED_RATIO)

    spin_lock(pagemap_lru_lock)
    while True:
        max_scan -= 1
        if max_scan < 0:
            break
        entry = inactive_list.prev
        if entry is inactive_list:
            break

        if unlikely(need_resched()):
            spin_unlock(pagemap_lru_lock)
            __set_current_state(TASK_RUNNING)
            schedule()
            spin_lock(pagemap_lru_lock)
            continue

        page = list_entry(entry)

        BUG_ON(not PageLRU(page), 358)
        BUG_ON(PageActive(page), 359)

        list_del(entry)
        list_add(entry, inactive_list)

        # A count of zero is no error: a page leaves the LRU only after its last reference is gone.
        if unlikely(not page_count(page)):
            continue

        if not memclass(page_zone(page), classzone):
            continue

        # a racy look: is it worth a trylock?
        page_mapped = not data_race(page.buffers) and (page_count(page) != 1 or not data_race(page.mapping))
        if not page_mapped:
            # Locked: is it being written for us? Then wait for it, else leave it at the other end of the list.
            if unlikely(TryLockPage(page)):
                if PageLaunder(page) and gfp_mask & __GFP_FS:
                    page_cache_get(page)
                    spin_unlock(pagemap_lru_lock)
                    wait_on_page(page)
                    page_cache_release(page)
                    spin_lock(pagemap_lru_lock)
                continue

            if PageDirty(page) and is_page_cache_freeable(page) and page.mapping:
                # Written only if it is unmapped. Whoever writes to it by another way, a pin say, dirties it again afterwards.
                writepage = a_ops_writepage(page.mapping.a_ops)
                if gfp_mask & __GFP_FS and writepage:
                    ClearPageDirty(page)
                    SetPageLaunder(page)
                    page_cache_get(page)
                    spin_unlock(pagemap_lru_lock)

                    writepage(page)
                    page_cache_release(page)

                    spin_lock(pagemap_lru_lock)
                    continue

            # Drop its buffers; if that works, go on to free the page.
            if page.buffers:
                spin_unlock(pagemap_lru_lock)

                # a locked page must not be freed
                page_cache_get(page)

                if try_to_release_page(page, gfp_mask):
                    if not page.mapping:
                        # An anonymous page without buffers must not be seen on the LRU: unlock it under the LRU lock.
                        spin_lock(pagemap_lru_lock)
                        UnlockPage(page)
                        __lru_cache_del(page)

                        # frees the page
                        page_cache_release(page)

                        nr_pages -= 1
                        if nr_pages:
                            continue
                        break
                    else:
                        # still in the page cache: undo, and take the next step
                        page_cache_release(page)

                        spin_lock(pagemap_lru_lock)
                else:
                    # busy buffers: no more to be done
                    UnlockPage(page)
                    page_cache_release(page)

                    spin_lock(pagemap_lru_lock)
                    continue

            spin_lock(pagecache_lock)

            # the look that counts: is anybody using the page?
            page_mapped = not page.mapping or not is_page_cache_freeable(page)
            if page_mapped:
                spin_unlock(pagecache_lock)
                UnlockPage(page)
        if page_mapped:
            # page_mapped:
            max_mapped -= 1
            if max_mapped >= 0:
                continue

            # too many mapped pages on this list: unmap some
            spin_unlock(pagemap_lru_lock)
            swap_out(priority, gfp_mask, classzone)
            return nr_pages

        # dirty must be looked at only now that nobody else can use the page
        if PageDirty(page):
            spin_unlock(pagecache_lock)
            UnlockPage(page)
            continue

        # point of no return
        if likely(not PageSwapCache(page)):
            __remove_inode_page(page)
            spin_unlock(pagecache_lock)
        else:
            swap = page.index
            __delete_from_swap_cache(page)
            spin_unlock(pagecache_lock)
            swap_free(swap)

        __lru_cache_del(page)
        UnlockPage(page)

        # frees the page
        page_cache_release(page)

        nr_pages -= 1
        if nr_pages:
            continue
        break
    spin_unlock(pagemap_lru_lock)

    return nr_pages


def refill_inactive(nr_pages):
    """Move nr_pages from the tail of the active list to the inactive one; those used since go round again."""
    spin_lock(pagemap_lru_lock)
    entry = active_list.prev
    while nr_pages and entry is not active_list:
        page = list_entry(entry)
        entry = entry.prev
        if PageTestandClearReferenced(page):
            list_del(page.lru)
            list_add(page.lru, active_list)
            continue

        nr_pages -= 1

        del_page_from_active_list(page, 552)
        add_page_to_inactive_list(page, 553)
        SetPageReferenced(page)
    spin_unlock(pagemap_lru_lock)


def shrink_caches(classzone, priority, gfp_mask, nr_pages):
    chunk_size = nr_pages

    # kmem_cache_reap() frees no page here
    if nr_pages <= 0:
        return 0

    nr_pages = chunk_size
    # keep the active list at two thirds of the cache
    nr_active = data_race(vm.nr_active_pages)
    ratio = nr_pages * nr_active // ((data_race(vm.nr_inactive_pages) + 1) * 2)
    # only here: max: with the kernel's nr_pages of 32, of which at most 8 are freed before, it is at least 1 on lists this short, and 0 if
    # no page is active (see SWAP_CLUSTER_MAX in types.py)
    # only here: max(ratio, min()): as max
    # only here: min(nr_active_pages, 1): as above
    ratio = max(ratio, min(nr_active, 1))
    refill_inactive(ratio)

    nr_pages = shrink_cache(nr_pages, classzone, gfp_mask, priority)
    if nr_pages <= 0:
        return 0

    return nr_pages


def try_to_free_pages_zone(classzone, gfp_mask):
    """Returns 1 if SWAP_CLUSTER_MAX pages were freed."""
    priority = DEF_PRIORITY
    nr_pages = SWAP_CLUSTER_MAX

    gfp_mask = pf_gfp_mask(gfp_mask)
    while True:
        nr_pages = shrink_caches(classzone, priority, gfp_mask, nr_pages)
        if nr_pages <= 0:
            return 1
        priority -= 1
        if not priority:
            break

    out_of_memory()
    return 0


def try_to_free_pages(gfp_mask):
    """Reclaim that is not for an allocation of the caller's: what it frees goes to the free list at once."""
    error = 0

    pf_free_pages = current().flags & PF_FREE_PAGES
    current().flags &= ~PF_FREE_PAGES

    error |= try_to_free_pages_zone(zone_normal, gfp_mask)

    current().flags |= pf_free_pages
    return error


def check_classzone_need_balance(classzone):
    if data_race(classzone.free_pages) > classzone.pages_high:
        return 0
    return 1


def kswapd_balance_pgdat():
    """One node, with one zone."""
    # not here: __set_current_state(TASK_INTERRUPTIBLE): a sleep of one second
    # not here: schedule_timeout(HZ): as above
    need_more_balance = 0
    i = 0                                           # pgdat->nr_zones - 1
    while i >= 0:
        zone = zone_normal
        if unlikely(need_resched()):
            schedule()
        if data_race(zone.need_balance):
            if not try_to_free_pages_zone(zone, GFP_KSWAPD):
                data_race(zone).need_balance = 0
            elif check_classzone_need_balance(zone):
                need_more_balance = 1
            else:
                data_race(zone).need_balance = 0
        i -= 1
    return need_more_balance


def kswapd_balance():
    """What kswapd does each time it is woken. It is a memory allocator itself."""
    # only here: current.flags &= ~PF_MEMALLOC: kswapd() sets it, once
    # only here: current.flags |= PF_MEMALLOC: as above
    current().flags |= PF_MEMALLOC
    while True:
        need_more_balance = 0

        need_more_balance |= kswapd_balance_pgdat()
        if not need_more_balance:
            break
    current().flags &= ~PF_MEMALLOC


__FILE__ = "mm/oom_kill.c"


def oom_kill():
    """The kernel kills the largest process; here it is always current that dies, whatever its size.

    So the outcome has a name: vm.oom_kills. The task may now take the last pages, and when there are none its allocation fails:
    do_page_fault() returns SIGKILL, a pin or a file read gets -ENOMEM, and whoever runs the program lets the process exit
    (do_exit() in fork).
    """
    # not here: read_lock(tasklist_lock): the victim is known, as above
    # not here: read_unlock(tasklist_lock): as above
    # not here: if select_bad_process(): as above
    # not here: select_bad_process(): as above
    # only here: oom_kills += 1: as above
    # only here: current.free_when_killed = int(): what a user holds against the decision. The kernel does not look at free memory here
    # only here: int(memory_free()): as above
    # only here: memory_free(): as above
    # only here: current.flags |= (PF_MEMALLOC | PF_MEMDIE): as oom_kill_task()
    vm.oom_kills += 1
    current().free_when_killed = int(memory_free())
    current().flags |= PF_MEMALLOC | PF_MEMDIE
    # let the victim run
    yield_cpu()


def out_of_memory():
    """Called when a reclaim could not free enough. Kills at the tenth time, if there is no swap space left.

    Left out are the three clocks: failures are taken to be less than five seconds apart, ten of them to take a second, and
    the last kill to be long ago.
    """
    # not here: count = 0: the counter is vm.oom_count
    # enough swap space left
    if data_race(vm.nr_swap_pages) > 0:
        return

    # only a few failures so far
    vm.oom_count += 1
    if vm.oom_count < 10:
        return

    oom_kill()

    # reset:
    vm.oom_count = 0
