# SPDX-License-Identifier: GPL-2.0-only
"""mm/swapfile.c: swap areas: allocation of slots and their counts, the decisions that the counts make, and swapoff.

swap_map[offset] counts the swap ptes of a slot, and one more for the swap cache. swap_lock guards it, and many look without the lock.
"""
from vmrace.harness.kernel import (
    BUG_ON,
    WARN_ON,
    WRITE,
    atomic_inc,
    atomic_read,
    current,
    data_race,
    down,
    down_read,
    down_read_trylock,
    down_write,
    list_del_init,
    list_entry,
    printk,
    spin_lock,
    spin_unlock,
    touches,
    up,
    up_read,
    up_write,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import find_get_page, unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.fork import mmput
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageDirty,
    PageLocked,
    PagePrivate,
    PageSwapCache,
    PageWriteback,
    SetPageDirty,
    TestSetPageLocked,
    atomic_inc_not_zero,
    get_page,
    lock_page,
    mk_pte,
    page_cache_release,
    page_count,
    page_mapcount,
    page_private,
    pte_mkold,
    pte_offset,
    pte_same,
    set_pte_at,
    wait_on_page_locked,
    wait_on_page_writeback,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_alloc import cond_resched, schedule_timeout_uninterruptible
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_io import swap_writepage
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import page_add_anon_rmap, page_address_in_vma
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import activate_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_h import vm_swap_full
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_state import __delete_from_swap_cache, delete_from_swap_cache, read_swap_cache_async
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import (
    is_migration_entry,
    pte_to_swp_entry,
    swp_entry,
    swp_entry_to_pte,
    swp_offset,
    swp_type,
)
from vmrace.variants.cow_swap_2_6.types import (
    EFAULT,
    EINVAL,
    ENOMEM,
    EPERM,
    GFP_HIGHUSER_MOVABLE,
    MAX_AREAS,
    PAGE_SIZE,
    PF_SWAPOFF,
    SWAPFILE_CLUSTER,
    SWAP_MAP_BAD,
    SWAP_MAP_MAX,
    SWP_ACTIVE,
    SWP_SCANNING,
    SWP_USED,
    SWP_WRITEOK,
    ULONG_MAX,
    WB_SYNC_NONE,
    init_mm,
    mmlist_lock,
    page_cluster,
    swap_disks,
    swap_info,
    swap_list,
    swap_lock,
    swap_unplug_sem,
    swapon_mutex,
    swapper_space,
    vm,
)
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq


__FILE__ = "mm/swapfile.c"


def swapoff_runs():
    """True if an area is being given up. The model has this function, and no kernel."""
    return any(data_race(each.flags) & SWP_ACTIVE == SWP_USED for each in swap_info)


# only here: if swapoff_runs(): the comment calls the warning harmless during a swapoff
# only here: swapoff_runs(): as above
def swap_unplug_io_fn(unused_bdi, page):
    """A request starts when it is submitted, so there is nothing to unplug: the reads of the page and the semaphore remain."""
    down_read(swap_unplug_sem)
    entry = page_private(page)
    if PageSwapCache(page):
        swap_info[swp_type(entry)].bdev             # a garbage entry would trip over this

        # A racy swapoff may take the page out of the cache just now: harmless then, says the comment here. So it is a finding only
        # while no swapoff runs. The entry does not say of which area: page->private may be 0 by now.
        WARN_ON(page_count(page) <= 1 and not swapoff_runs(), 77)

        # left out: blk_run_backing_dev()
    up_read(swap_unplug_sem)


# not here: last_in_cluster: a cluster is 256 free slots, and no area here has so many
# not here: if latency_ration < 0: no area has the 256 slots after which a scan lets others run
# not here: latency_ration -= 1: as above
def scan_swap_map(si):
    """swap_lock is held, and dropped while the scan steps over slots in use. Returns a slot, or 0."""
    si.flags += SWP_SCANNING
    if not si.cluster_nr:
        si.cluster_nr = SWAPFILE_CLUSTER - 1
        offset = si.lowest_bit                      # goto lowest
    else:
        si.cluster_nr -= 1
        offset = si.cluster_next
        if offset > si.highest_bit:
            offset = si.lowest_bit                  # lowest:

    while True:
        # checks:
        if not si.flags & SWP_WRITEOK:
            break                                   # goto no_page
        if not si.highest_bit:
            break                                   # goto no_page
        if not si.swap_map[offset]:
            if offset == si.lowest_bit:
                si.lowest_bit += 1
            if offset == si.highest_bit:
                si.highest_bit -= 1
            si.inuse_pages += 1
            if si.inuse_pages == si.pages:
                si.lowest_bit = si.max
                si.highest_bit = 0
            si.swap_map[offset] = 1
            si.cluster_next = offset + 1
            si.flags -= SWP_SCANNING
            return offset

        spin_unlock(swap_lock)
        while (offset := offset + 1) <= data_race(si.highest_bit):
            if not data_race(si.swap_map[offset]):
                spin_lock(swap_lock)
                break                               # goto checks
        else:
            spin_lock(swap_lock)
            offset = si.lowest_bit                  # goto lowest

    # no_page:
    si.flags -= SWP_SCANNING
    return 0


def get_swap_page():
    """Returns an entry whose count is 1, or 0 if there is no slot."""
    wrapped = 0

    spin_lock(swap_lock)
    if vm.nr_swap_pages <= 0:
        spin_unlock(swap_lock)                      # goto noswap
        return 0
    vm.nr_swap_pages -= 1

    type = swap_list.next
    while type >= 0 and wrapped < 2:
        si = swap_info[type]
        next = si.next
        if next < 0 or (not wrapped and si.prio != swap_info[next].prio):
            next = swap_list.head
            wrapped += 1

        if not si.highest_bit:
            type = next
            continue
        if not si.flags & SWP_WRITEOK:
            type = next
            continue

        swap_list.next = next
        offset = scan_swap_map(si)
        if offset:
            spin_unlock(swap_lock)
            return swp_entry(type, offset)
        next = swap_list.next
        type = next

    vm.nr_swap_pages += 1
    # noswap:
    spin_unlock(swap_lock)
    return 0


def swap_info_get(entry):
    """Return the area of an entry in use, with swap_lock held, or None. Every check runs before the lock."""
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
    spin_lock(swap_lock)
    return p


def swap_entry_free(p, offset):
    """swap_lock is held. Returns the new count."""
    count = p.swap_map[offset]

    if count < SWAP_MAP_MAX:
        count -= 1
        p.swap_map[offset] = count
        if not count:
            if offset < p.lowest_bit:
                p.lowest_bit = offset
            if offset > p.highest_bit:
                p.highest_bit = offset
            # while no area is on the list, C reads in front of the array: see swap_info
            if p.prio > swap_info[swap_list.next].prio:
                swap_list.next = swap_info.index(p)
            vm.nr_swap_pages += 1
            p.inuse_pages -= 1
    return count


def swap_free(entry):
    """The caller has made sure that the area is still there."""
    p = swap_info_get(entry)
    if p:
        swap_entry_free(p, swp_offset(entry))
        spin_unlock(swap_lock)


def page_swapcount(page):
    """Return how many references to the page are swapped out, without that of the swap cache."""
    count = 0

    entry = page_private(page)
    p = swap_info_get(entry)
    if p:
        count = p.swap_map[swp_offset(entry)] - 1
        spin_unlock(swap_lock)
    return count


def can_share_swap_page(page):
    """True if the page has one user only. The page is locked, which keeps a reference from moving between the two counts unseen."""
    BUG_ON(not PageLocked(page), 335)
    count = page_mapcount(page)
    if count <= 1 and PageSwapCache(page):
        count += page_swapcount(page)
    return count == 1


def remove_exclusive_swap_page(page):
    """Free the slot of a page that has no other user. The page is locked. Returns 1 if it did."""
    BUG_ON(PagePrivate(page), 352)
    BUG_ON(not PageLocked(page), 353)

    if not PageSwapCache(page):
        return 0
    if PageWriteback(page):
        return 0
    if page_count(page) != 2:                       # 2: us + cache
        return 0

    entry = page_private(page)
    p = swap_info_get(entry)
    if not p:
        return 0

    # is the only user of the slot the cache itself?
    retval = 0
    if p.swap_map[swp_offset(entry)] == 1:
        # recheck the page count with the swapcache lock held
        write_lock_irq(swapper_space.tree_lock)
        if page_count(page) == 2 and not PageWriteback(page):
            __delete_from_swap_cache(page)
            SetPageDirty(page)
            retval = 1
        write_unlock_irq(swapper_space.tree_lock)
    spin_unlock(swap_lock)

    if retval:
        swap_free(entry)
        page_cache_release(page)

    return retval


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
        BUG_ON(PagePrivate(page), 415)
        one_user = page_count(page) == 2
        # only cache user (+us), or swap space full? PageSwapCache again, now that the page is locked
        if PageSwapCache(page) and not PageWriteback(page) and (one_user or vm_swap_full()):
            delete_from_swap_cache(page)
            SetPageDirty(page)
        unlock_page(page)
        page_cache_release(page)


# ---- swapoff -----------------------------------------------------------------------------------------------------------


def unuse_pte(vma, addr, entry, page):
    """The page is locked. Replaces a swap pte by the page, read-only: do_wp_page() decides later whether it may be written to.
    Returns 1 if it did."""
    ret = 1

    # left out: mem_cgroup_charge()
    ptl = vma.vm_mm.page_table_lock
    pte = pte_offset(vma.vm_mm, addr)
    spin_lock(ptl)
    if not pte_same(pte.val, swp_entry_to_pte(entry)):
        ret = 0
        spin_unlock(ptl)                            # goto out
        return ret

    vma.vm_mm.anon_rss += 1
    get_page(page)
    set_pte_at(vma.vm_mm, addr, pte, pte_mkold(mk_pte(page, vma.vm_page_prot)))
    page_add_anon_rmap(page, vma, addr)
    swap_free(entry)
    # so that it is not swapped out again at once after swapon
    activate_page(page)
    # out:
    spin_unlock(ptl)
    return ret


def unuse_pte_range(vma, addr, end, entry, page):
    """mmap_sem and the page's lock keep the entry from coming into the page table; a zap may take it away, so unuse_pte() looks again."""
    swp_pte = swp_entry_to_pte(entry)
    ret = 0

    pte = pte_offset(vma.vm_mm, addr)
    while True:
        if pte_same(data_race(pte.val), swp_pte):
            ret = unuse_pte(vma, addr, entry, page)
            if ret:
                break                               # goto out
            pte = pte_offset(vma.vm_mm, addr)
        addr += PAGE_SIZE
        if addr == end:
            break
    return ret


def unuse_vma(vma, entry, page):
    if data_race(page.mapping):
        addr = page_address_in_vma(page, vma)
        if addr == -EFAULT:
            return 0
        else:
            end = addr + PAGE_SIZE
    else:
        addr = vma.vm_start
        end = vma.vm_end

    ret = unuse_pte_range(vma, addr, end, entry, page)
    if ret:
        return ret
    return 0


def unuse_mm(mm, entry, page):
    """The page is locked; the lock is dropped while this waits for mmap_sem."""
    ret = 0

    if not down_read_trylock(mm.mmap_sem):
        # activated, so that reclaim leaves it alone meanwhile
        activate_page(page)
        unlock_page(page)
        down_read(mm.mmap_sem)
        lock_page(page)
    vma = mm.mmap
    while vma:
        if data_race(vma.anon_vma):
            ret = unuse_vma(vma, entry, page)
            if ret:
                break
        vma = vma.vm_next
    up_read(mm.mmap_sem)
    return ret if ret < 0 else 0


def find_next_to_unuse(si, prev):
    """The next slot in use after `prev`, from the beginning again at the end, or 0. False hits do no harm: no lock."""
    max = data_race(si.max)
    i = prev

    while True:
        if (i := i + 1) >= max:
            if not prev:
                i = 0
                break
            # none at the top of swap_map: look once more from the start
            max = prev + 1
            prev = 0
            i = 1
        count = data_race(si.swap_map[i])
        if count and count != SWAP_MAP_BAD:
            break
    return i


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
        if PageSwapCache(page):
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


def drain_mmlist():
    """swap_lock is held. If no slot is in use, no mm needs to be found."""
    i = 0
    while i < vm.nr_swapfiles:
        if swap_info[i].inuse_pages:
            return
        i += 1
    spin_lock(mmlist_lock)
    p = init_mm.mmlist.next
    while p is not init_mm.mmlist:                  # list_for_each_safe()
        next = p.next
        list_del_init(p)
        touches(WRITE, init_mm.mmlist)              # for mmlist_empty(), which looks without the lock
        p = next
    spin_unlock(mmlist_lock)


# not here: filp_close(p.swap_file, 0): the device names the area
# not here: if p.swap_file.f_mapping == mapping: as above
# not here: p.swap_file = 0: as above
def sys_swapoff(victim):
    """Returns 0, or a negative error. `victim` is the device of the area; only an administrator may call this.
    Left out: how much memory processes may still ask for, of which the area is a part."""
    prev = -1
    spin_lock(swap_lock)
    type = swap_list.head
    while type >= 0:
        p = swap_info[type]
        if p.flags & SWP_ACTIVE == SWP_ACTIVE:
            if p.bdev is victim:
                break
        prev = type
        type = swap_info[type].next
    if type < 0:
        err = -EINVAL
        spin_unlock(swap_lock)
        return err                                  # goto out_dput
    if prev < 0:
        swap_list.head = p.next
    else:
        swap_info[prev].next = p.next
    if type == swap_list.next:
        # just pick something that is safe
        swap_list.next = swap_list.head
    # the whole size, and not the free part: with slots in use nr_swap_pages can be negative now
    vm.nr_swap_pages -= p.pages
    vm.total_swap_pages -= p.pages
    p.flags &= ~SWP_WRITEOK
    spin_unlock(swap_lock)

    current().flags |= PF_SWAPOFF
    err = try_to_unuse(type)
    current().flags &= ~PF_SWAPOFF

    if err:
        # re-insert swap space back into swap_list
        spin_lock(swap_lock)
        prev = -1
        i = swap_list.head
        while i >= 0:
            if p.prio >= swap_info[i].prio:
                break
            prev = i
            i = swap_info[i].next
        p.next = i
        if prev < 0:
            swap_list.head = swap_list.next = swap_info.index(p)
        else:
            swap_info[prev].next = swap_info.index(p)
        vm.nr_swap_pages += p.pages
        vm.total_swap_pages += p.pages
        p.flags |= SWP_WRITEOK
        spin_unlock(swap_lock)
        return err                                  # goto out_dput

    # wait for any unplug function to finish
    down_write(swap_unplug_sem)
    up_write(swap_unplug_sem)

    down(swapon_mutex)                              # mutex_lock()
    spin_lock(swap_lock)
    drain_mmlist()

    # wait for a scan_swap_map() under way
    p.highest_bit = 0                               # cuts scans short
    while p.flags >= SWP_SCANNING:
        spin_unlock(swap_lock)
        schedule_timeout_uninterruptible()          # of 1 tick
        spin_lock(swap_lock)

    p.max = 0
    p.swap_map = None
    p.flags = 0
    spin_unlock(swap_lock)
    up(swapon_mutex)
    # left out: the extents, vfree(swap_map), and the inode
    return 0


def clear_map(swap_map, maxpages):
    """memset() of a new map."""
    for i in range(maxpages):
        swap_map[i] = 0


# not here: if capable(): only an administrator may call this
# not here: capable(CAP_SYS_ADMIN): as above
# not here: p.swap_file = 0: a device names the area
# not here: p.old_block_size = 0: the device stays as it is
# not here: if swap_flags & SWAP_FLAG_PREFER: no operation gives an area a priority
# not here: if p.swap_map: vmalloc() has room for the map of each area
# not here: setup_swap_extents(p, out(span)): extents are left out
# not here: if setup_swap_extents() < 0: as above
# not here: if nr_good_pages: the header is of an area with slots
# not here: nr_good_pages = p: setup_swap_extents() may lower it
# only here: spin_lock(swap_lock): the stores to an area that is not in use: see there
# only here: spin_unlock(swap_lock): as above
# not here: printk: the size of the new area, for the log
def sys_swapon(last_page):
    """Give the first area that is not in use the device of its number. Returns 0, or a negative error.

    `last_page` is what the header says: the number of slots, with the header itself. Left out: the file, and the reading of its header."""
    spin_lock(swap_lock)
    p = swap_info[0]
    type = 0
    while type < vm.nr_swapfiles:
        if not p.flags & SWP_USED:
            break
        type += 1
        p = swap_info[type]
    error = -EPERM
    if type >= MAX_AREAS:                           # MAX_SWAPFILES
        spin_unlock(swap_lock)
        return error                                # goto out
    if type >= vm.nr_swapfiles:
        vm.nr_swapfiles = type + 1
    p.flags = SWP_USED
    p.swap_map = None
    p.lowest_bit = 0
    p.highest_bit = 0
    p.cluster_nr = 0
    p.inuse_pages = 0
    p.next = -1
    vm.least_priority -= 1
    p.prio = vm.least_priority
    spin_unlock(swap_lock)

    p.bdev = swap_disks[type]

    # C stores these without the lock: the area is not in use yet. A task with an entry from before a swapoff may look at it. A limit: here
    # it finds a map of zeros, where C has freed the old map, and shows the new one before it is cleared.
    spin_lock(swap_lock)
    p.lowest_bit = 1
    p.cluster_next = 1

    # no area here has more slots than an entry can name
    maxpages = swp_offset(pte_to_swp_entry(swp_entry_to_pte(swp_entry(0, ULONG_MAX)))) - 1
    if maxpages > last_page:
        maxpages = last_page
    p.highest_bit = maxpages - 1

    # set up the swap map; there is no bad block
    p.swap_map = p.vmalloced
    clear_map(p.swap_map, maxpages)
    nr_good_pages = last_page - 1                   # the header

    p.swap_map[0] = SWAP_MAP_BAD
    p.max = maxpages
    p.pages = nr_good_pages
    spin_unlock(swap_lock)

    down(swapon_mutex)                              # mutex_lock()
    spin_lock(swap_lock)
    p.flags = SWP_ACTIVE
    vm.nr_swap_pages += nr_good_pages
    vm.total_swap_pages += nr_good_pages

    # insert swap space into swap_list
    prev = -1
    i = swap_list.head
    while i >= 0:
        if p.prio >= swap_info[i].prio:
            break
        prev = i
        i = swap_info[i].next
    p.next = i
    if prev < 0:
        swap_list.head = swap_list.next = swap_info.index(p)
    else:
        swap_info[prev].next = swap_info.index(p)
    spin_unlock(swap_lock)
    up(swapon_mutex)
    error = 0
    # out:
    return error


def swap_duplicate(entry):
    """Count one more swap pte, or the swap cache, if the slot is in use. Returns 1 if it did."""
    result = 0

    if is_migration_entry(entry):
        return 1

    type = swp_type(entry)
    if type >= data_race(vm.nr_swapfiles):
        printk("swap_dup: Bad swap file entry")     # goto bad_file
        return result
    p = swap_info[type]
    offset = swp_offset(entry)

    spin_lock(swap_lock)
    if offset < p.max and p.swap_map[offset]:
        if p.swap_map[offset] < SWAP_MAP_MAX - 1:
            p.swap_map[offset] += 1
            result = 1
        elif p.swap_map[offset] <= SWAP_MAP_MAX:
            # no process here can bring a count so far
            vm.swap_overflow += 1
            if vm.swap_overflow <= 5:
                printk("swap_dup: swap entry overflow")
            p.swap_map[offset] = SWAP_MAP_MAX
            result = 1
    spin_unlock(swap_lock)
    # out:
    return result


def get_swap_info_struct(type):
    return swap_info[type]


def valid_swaphandles(entry):
    """Returns how many slots to read around the entry, 0 if only its own, and the first of them. They may become free meanwhile."""
    our_page_cluster = page_cluster
    nr_pages = 0

    if not our_page_cluster:                        # no readahead
        return 0, 0

    si = swap_info[swp_type(entry)]
    target = swp_offset(entry)
    base = target >> our_page_cluster << our_page_cluster
    end = base + (1 << our_page_cluster)
    if not base:                                    # first page is swap header
        base += 1

    spin_lock(swap_lock)
    if end > si.max:                                # don't go beyond end of map
        end = si.max

    # contiguous slots in use above our target
    toff = target
    while (toff := toff + 1) < end:
        if not si.swap_map[toff]:
            break
        if si.swap_map[toff] == SWAP_MAP_BAD:
            break
        nr_pages += 1
    # and below it
    toff = target
    while (toff := toff - 1) >= base:
        if not si.swap_map[toff]:
            break
        if si.swap_map[toff] == SWAP_MAP_BAD:
            break
        nr_pages += 1
    spin_unlock(swap_lock)

    toff += 1
    if nr_pages:
        nr_pages += 1
    else:
        nr_pages = 0
    return nr_pages, toff
