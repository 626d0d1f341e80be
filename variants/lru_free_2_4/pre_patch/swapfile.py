# SPDX-License-Identifier: GPL-2.0-only
"""mm/swapfile.c: the swap map, who else uses a swap page, swapoff, and swapon as far as the header page."""
from vmrace.harness.kernel import (
    BUG,
    READ,
    WRITE,
    atomic_inc,
    atomic_read,
    data_race,
    likely,
    list_entry,
    need_resched,
    printk,
    schedule,
    spin_lock,
    spin_unlock,
    unlikely,
)
from vmrace.variants.lru_free_2_4.pre_patch.buffer import block_flushpage
from vmrace.variants.lru_free_2_4.pre_patch.filemap import find_trylock_page, lock_page
from vmrace.variants.lru_free_2_4.pre_patch.fork import mmput
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import (
    PageDirty,
    PageLocked,
    PageReserved,
    PageSwapCache,
    SWP_ENTRY,
    SWP_OFFSET,
    SWP_TYPE,
    SetPageDirty,
    UnlockPage,
    __get_free_page,
    free_page,
    get_page,
    mk_pte,
    page_count,
    pte_mkold,
    pte_none,
    pte_offset,
    pte_present,
    pte_to_swp_entry,
    set_pte,
)
from vmrace.variants.lru_free_2_4.pre_patch.page_io import rw_swap_page, rw_swap_page_nolock
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import page_cache_get, page_cache_release, wait_on_page
from vmrace.variants.lru_free_2_4.pre_patch.shmem import shmem_unuse
from vmrace.variants.lru_free_2_4.pre_patch.swap_h import swap_device_lock, swap_device_unlock
from vmrace.variants.lru_free_2_4.pre_patch.swap_h import swap_list_lock, swap_list_unlock, vm_swap_full
from vmrace.variants.lru_free_2_4.pre_patch.swap_state import __delete_from_swap_cache, delete_from_swap_cache, read_swap_cache_async
from vmrace.variants.lru_free_2_4.types import (
    EBUSY,
    EINVAL,
    ENOMEM,
    EPERM,
    GFP_USER,
    MAX_SWAPFILES,
    PAGE_SIZE,
    SWAPFILE_CLUSTER,
    SWAP_MAP_BAD,
    SWAP_MAP_MAX,
    SWP_USED,
    SWP_WRITEOK,
    init_mm,
    mmlist_lock,
    page_cluster,
    pagecache_lock,
    swap_info,
    swap_list,
    swapper_space,
    vm,
)


__FILE__ = "mm/swapfile.c"


def scan_swap_map(si):
    """swaplock and the device's lock are held. The offset of a slot that now has one user, or 0."""
    # not here: if si.highest_bit < ((offset + SWAPFILE_CLUSTER) - 1): an empty cluster of 256 slots, which a device of 6 does not have
    got_page = False
    # slots in sequence, as long as the cluster lasts
    if si.cluster_nr:
        while si.cluster_next <= si.highest_bit:
            offset = si.cluster_next
            si.cluster_next += 1
            if si.swap_map[offset]:
                continue
            si.cluster_nr -= 1
            got_page = True
            break

    if not got_page:
        si.cluster_nr = SWAPFILE_CLUSTER

        # is there an empty cluster?
        offset = si.lowest_bit
        # then the first free slot
        offset = si.lowest_bit
        while offset <= si.highest_bit:
            if not si.swap_map[offset]:
                si.lowest_bit = offset + 1
                got_page = True
                break
            offset += 1

        if not got_page:
            si.lowest_bit = si.max
            si.highest_bit = 0
            return 0

    # got_page:
    if offset == si.lowest_bit:
        si.lowest_bit += 1
    if offset == si.highest_bit:
        si.highest_bit -= 1
    if si.lowest_bit > si.highest_bit:
        si.lowest_bit = si.max
        si.highest_bit = 0
    si.swap_map[offset] = 1
    vm.nr_swap_pages -= 1
    si.cluster_next = offset + 1
    return offset


def get_swap_page():
    """A free swap entry with one user, or 0."""
    entry = 0                                       # out of memory
    wrapped = 0
    swap_list_lock()
    type = swap_list.next
    if type >= 0 and vm.nr_swap_pages > 0:          # else goto out
        while True:
            p = swap_info[type]
            if p.flags & SWP_WRITEOK == SWP_WRITEOK:
                swap_device_lock(p)
                offset = scan_swap_map(p)
                swap_device_unlock(p)
                if offset:
                    entry = SWP_ENTRY(type, offset)
                    type = swap_info[type].next
                    if type < 0 or p.prio != swap_info[type].prio:
                        swap_list.next = swap_list.head
                    else:
                        swap_list.next = type
                    break                           # goto out
            type = p.next
            if not wrapped:
                if type < 0 or p.prio != swap_info[type].prio:
                    type = swap_list.head
                    wrapped = 1
            else:
                if type < 0:
                    break                           # out of swap space
    # out:
    swap_list_unlock()
    return entry


def swap_info_get(entry):
    """The entry's device with swaplock and its own lock held, or None if the entry is nobody's. Look first, lock then."""
    if not entry:
        return None
    type = SWP_TYPE(entry)
    if type >= vm.nr_swapfiles:
        printk("swap_free: Bad swap file entry")
        return None
    p = swap_info[type]
    if not data_race(p.flags) & SWP_USED:
        printk("swap_free: Unused swap file entry")
        return None
    offset = SWP_OFFSET(entry)
    if offset >= data_race(p.max):
        printk("swap_free: Bad swap offset entry")
        return None
    if not data_race(p.swap_map[offset]):
        printk("swap_free: Unused swap offset entry")
        return None
    swap_list_lock()
    if p.prio > swap_info[swap_list.next].prio:
        swap_list.next = type
    swap_device_lock(p)
    return p


def swap_info_put(p):
    swap_device_unlock(p)
    swap_list_unlock()


def swap_entry_free(p, offset):
    """Drop one user of a slot; both swap locks are held. Returns how many are left."""
    count = p.swap_map[offset]

    if count < SWAP_MAP_MAX:
        count -= 1
        p.swap_map[offset] = count
        if not count:
            if offset < p.lowest_bit:
                p.lowest_bit = offset
            if offset > p.highest_bit:
                p.highest_bit = offset
            vm.nr_swap_pages += 1
    return count


def swap_free(entry):
    p = swap_info_get(entry)
    if p:
        swap_entry_free(p, SWP_OFFSET(entry))
        swap_info_put(p)


def exclusive_swap_page(page):
    """Is the swap cache the slot's only user, and the page nobody's but ours and the cache's? The page is locked."""
    retval = 0

    entry = page.index
    p = swap_info_get(entry)
    if p:
        # is the cache the only user of the slot?
        if p.swap_map[SWP_OFFSET(entry)] == 1:
            # look at the count again with pagecache_lock held
            spin_lock(pagecache_lock)
            if page_count(page) - bool(page.buffers) == 2:
                retval = 1
            spin_unlock(pagecache_lock)
        swap_info_put(p)
    return retval


def can_share_swap_page(page):
    """May the pte's owner write to the page in place? The page is locked. A quick look first, then with all the locks."""
    retval = 0

    if not PageLocked(page):
        BUG(264)
    count = page_count(page)
    if count == 3 and not page.buffers:
        pass                                        # break
    elif count in (3, 2):                           # fallthrough
        if PageSwapCache(page):
            retval = exclusive_swap_page(page)
    elif count == 1:
        if not PageReserved(page):
            retval = 1
    return retval


def remove_exclusive_swap_page(page):
    """Take the page out of the swap cache if nobody else uses the slot or the page. The page is locked. Returns success."""
    if not PageLocked(page):
        BUG(294)
    if not PageSwapCache(page):
        return 0
    if page_count(page) - bool(page.buffers) != 2:  # 2: us and the cache
        return 0

    entry = page.index
    p = swap_info_get(entry)
    if not p:
        return 0

    # is the cache the only user of the slot?
    retval = 0
    if p.swap_map[SWP_OFFSET(entry)] == 1:
        # look at the count again with pagecache_lock held
        spin_lock(pagecache_lock)
        if page_count(page) - bool(page.buffers) == 2:
            __delete_from_swap_cache(page)
            SetPageDirty(page)
            retval = 1
        spin_unlock(pagecache_lock)
    swap_info_put(p)

    if retval:
        block_flushpage(page, 0)
        swap_free(entry)
        page_cache_release(page)

    return retval


def free_swap_and_cache(entry):
    """Drop a swap pte's use of the slot, and the cached page if that leaves only the cache."""
    page = None

    p = swap_info_get(entry)
    if p:
        if swap_entry_free(p, SWP_OFFSET(entry)) == 1:
            page = find_trylock_page(swapper_space, entry)
        swap_info_put(p)
    if page:
        page_cache_get(page)
        # only the cache and us, or swap space is short
        if page_count(page) - bool(page.buffers) == 2 or vm_swap_full():
            delete_from_swap_cache(page)
            SetPageDirty(page)
        UnlockPage(page)
        page_cache_release(page)


def sys_swapon(device):
    """swapon of a second device, up to the test of its signature. Returns an error: a device with a signature is left out, as the only
    one there is was swapped on at boot and is busy."""
    # only here: p = swap_info[0]: p moves along with type
    # only here: p = swap_info[type]: as above
    # not here: if device: there is a device
    # not here: if p.swap_map: the array is always there
    # not here: printk: a healthy kernel says it, too
    header = None
    swap_list_lock()
    type = 0
    while type < vm.nr_swapfiles:
        p = swap_info[type]
        if not p.flags & SWP_USED:
            break
        type += 1
    if type >= MAX_SWAPFILES:
        swap_list_unlock()
        return -EPERM
    if type >= vm.nr_swapfiles:
        vm.nr_swapfiles = type + 1
    p = swap_info[type]
    p.flags = SWP_USED
    p.swap_device = None
    p.lowest_bit = 0
    p.highest_bit = 0
    p.cluster_nr = 0
    p.next = -1
    vm.least_priority -= 1
    p.prio = vm.least_priority
    swap_list_unlock()
    p.swap_device = device

    error = -EBUSY
    i = 0
    while i < vm.nr_swapfiles:
        q = swap_info[i]
        if i != type and q.swap_device and device is q.swap_device:
            break                                   # goto bad_swap
        i += 1
    else:
        header = __get_free_page(GFP_USER)
        if not header:
            error = -ENOMEM                         # goto bad_swap
        else:
            lock_page(header)
            rw_swap_page_nolock(READ, SWP_ENTRY(type, 0), header)
            error = -EINVAL                         # goto bad_swap

    # bad_swap:
    swap_list_lock()
    p.swap_device = None
    p.flags = 0
    vm.least_priority += 1
    swap_list_unlock()
    # out:
    if header:
        free_page(header)
    return error


def swap_duplicate(entry):
    """One more user of a slot in use. Returns 0 if it is free."""
    result = 0

    type = SWP_TYPE(entry)
    if type >= vm.nr_swapfiles:
        printk("swap_dup: Bad swap file entry")
        return result
    p = swap_info[type]
    offset = SWP_OFFSET(entry)

    swap_device_lock(p)
    if offset < p.max and p.swap_map[offset]:
        if p.swap_map[offset] < SWAP_MAP_MAX - 1:
            p.swap_map[offset] += 1
            result = 1
        elif p.swap_map[offset] <= SWAP_MAP_MAX:
            vm.swap_overflow += 1
            if vm.swap_overflow <= 5:
                printk("swap_dup: swap entry overflow")
            p.swap_map[offset] = SWAP_MAP_MAX
            result = 1
    swap_device_unlock(p)
    # out:
    return result


def get_swaphandle_info(entry):
    """Where the entry is: (offset, device). No lock: whoever asks is a user of the slot. device None: bad entry."""
    # not here: if p.swap_map: the array is always there; in the kernel it is NULL until max is set
    # only here: if p.max: as above
    # not here: if p.swap_device: no swap files
    type = SWP_TYPE(entry)
    if type >= vm.nr_swapfiles:
        printk("rw_swap_page: Bad swap file entry")
        return 0, None

    p = swap_info[type]
    offset = SWP_OFFSET(entry)
    if offset >= data_race(p.max) and offset != 0:
        printk("rw_swap_page: Bad swap offset entry")
        return offset, None
    if data_race(p.max) and not data_race(p.swap_map[offset]):
        printk("rw_swap_page: Unused swap offset entry")
        return offset, None
    if not data_race(p.flags) & SWP_USED:
        printk("rw_swap_page: Unused swap file entry")
        return offset, None

    return offset, p.swap_device


def valid_swaphandles(entry):
    """Which slots to read together with this one: (how many, the first). It does not matter if one becomes unused."""
    ret = 0
    i = 1 << page_cluster
    swapdev = swap_info[SWP_TYPE(entry)]

    if not page_cluster:                            # no readahead
        return 0, 0
    toff = SWP_OFFSET(entry) >> page_cluster << page_cluster
    if not toff:                                    # the first slot is the header
        toff += 1
        i -= 1
    offset = toff

    swap_device_lock(swapdev)
    while True:
        # not past the end of the device
        if toff >= swapdev.max:
            break
        # not a free or bad slot
        if not swapdev.swap_map[toff]:
            break
        if swapdev.swap_map[toff] == SWAP_MAP_BAD:
            break
        toff += 1
        ret += 1
        i -= 1
        if not i:
            break
    swap_device_unlock(swapdev)
    return ret, offset


# ---- swapoff -----------------------------------------------------------------------------------------------------------------

def unuse_pte(vma, address, dir, entry, page):
    """mmlist_lock and the mm's page_table_lock are held. Put the page where the entry is, if it is there."""
    pte = dir.val

    if likely(pte_to_swp_entry(pte) != entry):
        return
    if unlikely(pte_none(pte) or pte_present(pte)):
        return
    get_page(page)
    set_pte(dir, pte_mkold(mk_pte(page, vma.vm_page_prot)))
    swap_free(entry)
    vma.vm_mm.rss += 1


def unuse_vma(vma, entry, page):
    """mmlist_lock and the mm's page_table_lock are held. unuse_pgd() and unuse_pmd() are left out with the page directories."""
    start = vma.vm_start
    end = vma.vm_end

    if start >= end:
        BUG(446)
    while True:
        unuse_pte(vma, start - vma.vm_start, pte_offset(vma.vm_mm, start), entry, page)
        start += PAGE_SIZE
        if not (start and start < end):
            break


def unuse_process(mm, entry, page):
    spin_lock(mm.page_table_lock)
    vma = mm.mmap
    while vma:
        unuse_vma(vma, entry, page)
        vma = vma.vm_next
    spin_unlock(mm.page_table_lock)


def find_next_to_unuse(si, prev):
    """The next slot in use behind `prev`, round the end, or 0. Looks without a lock: no slot is newly used any more."""
    max = data_race(si.max)
    i = prev

    while True:
        i += 1
        if i >= max:
            if not prev:
                i = 0
                break
            # nothing in use at the top: look from the start on
            max = prev + 1
            prev = 0
            i = 1
        count = data_race(si.swap_map[i])
        if count and count != SWAP_MAP_BAD:
            break
    return i


def try_to_unuse(type):
    """Bring in every page of a device. Each is read first; then all ptes that have its entry get the page."""
    # not here: flush_page_to_ram: i386 has nothing to flush
    si = swap_info[type]
    i = 0
    retval = 0
    reset_overflow = 0

    # start where the previous entry was found
    start_mm = init_mm
    atomic_inc(init_mm.mm_users)

    while True:
        i = find_next_to_unuse(si, i)
        if not i:
            break
        # a page for the entry: the cached one, or a new one
        entry = SWP_ENTRY(type, i)
        page = read_swap_cache_async(entry)
        if not page:
            # the entry was freed meanwhile, or memory is out
            if not data_race(si.swap_map[i]):
                continue
            retval = -ENOMEM
            break

        # do not hold on to an mm that exits
        if atomic_read(start_mm.mm_users) == 1:
            mmput(start_mm)
            start_mm = init_mm
            atomic_inc(init_mm.mm_users)

        # do_swap_page() is faster: let it go first
        wait_on_page(page)
        lock_page(page)

        # remove all references to the entry, without sleeping
        swcount = data_race(si.swap_map[i])
        if swcount > 1:
            if start_mm is init_mm:
                shmem_unuse(entry, page)
            else:
                unuse_process(start_mm, entry, page)
        if data_race(si.swap_map[i]) > 1:
            set_start_mm = data_race(si.swap_map[i]) >= swcount
            p = start_mm.mmlist
            new_start_mm = start_mm

            spin_lock(mmlist_lock)
            while data_race(si.swap_map[i]) > 1:
                p = p.next
                if p is start_mm.mmlist:
                    break
                mm = list_entry(p)
                swcount = data_race(si.swap_map[i])
                if mm is init_mm:
                    set_start_mm = 1
                    shmem_unuse(entry, page)
                else:
                    unuse_process(mm, entry, page)
                if set_start_mm and data_race(si.swap_map[i]) < swcount:
                    new_start_mm = mm
                    set_start_mm = 0
            atomic_inc(new_start_mm.mm_users)
            spin_unlock(mmlist_lock)
            mmput(start_mm)
            start_mm = new_start_mm

        if data_race(si.swap_map[i]) == SWAP_MAP_MAX:
            swap_list_lock()
            swap_device_lock(si)
            vm.nr_swap_pages += 1
            si.swap_map[i] = 1
            swap_device_unlock(si)
            swap_list_unlock()
            reset_overflow = 1

        # A reference is left: one of an mm that exits, or of a range that is unmapped. Save the data, for it may come back.
        if data_race(si.swap_map[i]) > 1 and PageDirty(page) and PageSwapCache(page):
            rw_swap_page(WRITE, page)
            lock_page(page)
        if PageSwapCache(page):
            delete_from_swap_cache(page)

        # the ptes are clean: the page must be dirty, or else try_to_swap_out() would drop it
        SetPageDirty(page)
        UnlockPage(page)
        page_cache_release(page)

        if need_resched():
            schedule()

    mmput(start_mm)
    if reset_overflow:
        # not here: swap_overflow = 0: it only keeps swap_duplicate() from printing too often
        printk("swapoff: cleared swap entry overflow")
    return retval


def sys_swapoff(device):
    """Left out: the big kernel lock, which is dropped around try_to_unuse().

    Without a device swap_list.next is -1. swap_info_get() then compares a priority with one in front of the array, in the kernel as
    here, where it is that of the last device. The outcome does not matter: no slot is to be had.
    """
    # not here: if p.swap_device: a device stays
    # not here: swap_list.head = swap_list.next: both are `type`
    # not here: vfree(p.swap_map): the array is embedded: once max is 0 nobody looks into it
    prev = -1
    swap_list_lock()
    type = swap_list.head
    while type >= 0:
        p = swap_info[type]
        if p.flags & SWP_WRITEOK == SWP_WRITEOK:
            if p.swap_device is device:
                break
        prev = type
        type = swap_info[type].next
    err = -EINVAL
    if type < 0:
        swap_list_unlock()
        return err                                  # goto out_dput

    if prev < 0:
        swap_list.head = p.next
    else:
        swap_info[prev].next = p.next
    if type == swap_list.next:
        # just pick something that's safe...
        swap_list.next = swap_list.head
    vm.nr_swap_pages -= p.pages
    vm.total_swap_pages -= p.pages
    p.flags = SWP_USED
    swap_list_unlock()
    err = try_to_unuse(type)
    if err:
        # back on the list
        swap_list_lock()
        prev = -1
        i = swap_list.head
        while i >= 0:
            if p.prio >= swap_info[i].prio:
                break
            prev = i
            i = swap_info[i].next
        p.next = i
        if prev < 0:
            swap_list.next = type
            swap_list.head = type
        else:
            swap_info[prev].next = type
        vm.nr_swap_pages += p.pages
        vm.total_swap_pages += p.pages
        p.flags = SWP_WRITEOK
        swap_list_unlock()
        return err                                  # goto out_dput

    swap_list_lock()
    swap_device_lock(p)
    p.swap_device = None
    p.max = 0
    p.flags = 0
    swap_device_unlock(p)
    swap_list_unlock()
    err = 0

    # out_dput:
    return err
