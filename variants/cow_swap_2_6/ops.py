# SPDX-License-Identifier: GPL-2.0-only
"""The operations of the shared interface on this kernel: the system calls, devices and daemon passes behind each of them.

user_space.py has the processes, and what their addresses and pins show. README.md names the real caller of each operation.
"""
from vmrace.harness.kernel import READ, WRITE, current, data_race, down_read, happens_after, list_add_tail, list_del, now
from vmrace.harness.kernel import plain, saw, spin_lock_irq, spin_unlock_irq, struct, touches, up_read
from vmrace.variants.cow_swap_2_6.pre_2_6_26.fork import exit_mm, mm_alloc
from vmrace.variants.cow_swap_2_6.pre_2_6_26.madvise import sys_madvise
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import access_process_vm, get_user_pages
from vmrace.variants.cow_swap_2_6.pre_2_6_26.migrate import do_move_pages
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageWriteback,
    page_cache_get,
    page_cache_release,
    pte_none,
    pte_offset,
    pte_page,
    pte_present,
    put_page,
    wait_on_page_writeback,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mmap import do_mmap2
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mprotect import sys_mprotect
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_writeback import set_page_dirty_lock
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import drain_cpu_pagevecs, lru_add_drain
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap_state import lookup_swap_cache
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import sys_swapoff, sys_swapon
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import is_migration_entry, pte_to_swp_entry
from vmrace.variants.cow_swap_2_6.pre_2_6_26.vmscan import shrink_active_list, shrink_inactive_list, try_to_free_pages
from vmrace.variants.cow_swap_2_6.types import (
    EFAULT,
    EINVAL,
    ENOMEM,
    GFP_KERNEL,
    MADV_DOFORK,
    MADV_DONTFORK,
    MADV_DONTNEED,
    PAGE_SIZE,
    PF_MEMDIE,
    PROT_READ,
    PROT_WRITE,
    SWAP_CLUSTER_MAX,
    USER_ADDRESSES,
    empty_zero_page,
    lru_add_pvecs,
    mem_map,
    swap_disks,
    zone_normal,
)
from vmrace.variants.mmu import device_read, device_write, user_store
from vmrace.variants.user_space import (
    access,
    accessed,
    addresses,
    begin_advice,
    begin_discard,
    begin_pin,
    boot_processes,
    end_advice,
    end_discard,
    end_pin,
    end_setup,
    enter,
    exit_all,
    hand_over,
    killed,
    map_program,
    memory_free,
    not_a_victim,
    pages_pinned,
    pin_shows,
    processes,
    saw_device_load,
    saw_device_store,
    saw_store,
)


class reference(struct):
    """The reference of a pin, to a page that a task has found in an address space."""
    page = plain(None)
    state = plain(0)                    # 0 free, 1 being made, used or dropped, 2 held
    pinned = plain(0)                   # 1 for the device to read, 2 to write
    dirtied = plain(None)               # the last page that was dirtied at the end of a pin


references = [reference("k0.reference"), reference("k1.reference"), reference("k2.reference"), reference("k3.reference")]

SCANS = 4                               # of reclaim_page: from active and young to inactive, and from there to swap, with one to spare


def boot(threads):
    """Start the first process with its pages mapped. `threads[mm]` is the number of tasks that name each address space."""
    first = processes[0]
    mm_alloc(first.mm)
    current().mm = first.mm
    map_program()
    boot_processes(threads)
    current().mm = None


def start():
    """End the setup. Each cpu puts the new pages of its pagevecs on the LRU lists, as a few more page faults there would have it do."""
    for cpu in range(len(lru_add_pvecs)):
        drain_cpu_pagevecs(cpu)
    end_setup()


def act_as(p):
    current().mm = p.mm


def map_page(page, flags, file, index):
    return do_mmap2(USER_ADDRESSES[page], PAGE_SIZE, PROT_READ | PROT_WRITE)


def exit_thread():
    current().flags &= ~PF_MEMDIE
    exit_mm(current())


# ---- memory ------------------------------------------------------------------------------------------------------------------


def op_store(number, page, value):
    if enter(number) is None:
        return
    begun = access(number, page)
    for word in (0, 1):
        since = now()
        signal = user_store(USER_ADDRESSES[page], word, value)
        if signal:
            killed(number, page, begun, signal, "store")
            return signal
        saw_store(number, page, begun, word, value, since)


def op_dontneed(number, page):
    if enter(number) is None:
        return
    begun = begin_discard(number, page)
    error = sys_madvise(USER_ADDRESSES[page], PAGE_SIZE, MADV_DONTNEED)
    end_discard(number, page, begun, error)
    return error


def op_dontfork(number, page):
    if enter(number) is not None:
        token = begin_advice(number, page)
        error = sys_madvise(USER_ADDRESSES[page], PAGE_SIZE, MADV_DONTFORK)
        end_advice(number, page, token, None if error else 0)
        return error


def op_dofork(number, page):
    """A fork in progress may come after this call and copy the page, so a pin of it may no longer be coherent."""
    if enter(number) is not None:
        token = begin_advice(number, page)
        for pin in pages_pinned:
            touches(WRITE, pin)
            if page == pin.where[1] and (number == pin.where[0] or number in pin.heirs):
                pin.heirs += processes[number].forking
        error = sys_madvise(USER_ADDRESSES[page], PAGE_SIZE, MADV_DOFORK)
        end_advice(number, page, token, None if error else 1)
        return error


def op_poke(number, page, value):
    """A debugger that shares the memory of the process writes to it. The two words are stored one after the other."""
    if enter(number) is None:
        return
    begun = access(number, page)
    since = now()
    written = access_process_vm(current(), USER_ADDRESSES[page], value, PAGE_SIZE, 1)
    if written:
        for word in (0, 1):
            saw_store(number, page, begun, word, value, since)
    if current().flags & PF_MEMDIE:
        killed(number, page, begun, "SIGKILL", "poke")
    return written


# ---- pins ------------------------------------------------------------------------------------------------------------------


def pin_user_page(number, page, k, write, force):
    """Have a driver make a page of a process present and keep a reference to it, for a device to write to with `write`, else to read."""
    held = references[k]
    touches(WRITE, held)
    if held.state:
        return
    mm = enter(number)
    if mm is None:
        return
    held.state = 1
    held.pinned = 1 + write
    begun = access(number, page)
    begin_pin(k, number, page, write)
    pages = []
    down_read(mm.mmap_sem)
    got = get_user_pages(current(), mm, USER_ADDRESSES[page], 1, write, force, pages)
    up_read(mm.mmap_sem)
    end_pin(k)
    touches(WRITE, held)
    held.page = pages[0] if pages else None
    hand_over(held, 2 if pages else 0)
    if current().flags & PF_MEMDIE:
        killed(number, page, begun, "SIGKILL", "pin")
    elif got < 0:
        pin_failed(number, page, begun, got, write and not force)
    return min(got, 0)


def pin_failed(number, page, begun, error, stores):
    """Record the error of get_user_pages(), if neither the address nor the memory is a cause. `stores`: stores must be allowed."""
    shown = accessed(number, page, begun)
    if error == -ENOMEM and memory_free():
        saw("failed", number, None, "-ENOMEM in pin, memory is free", now())
    if error == -EFAULT and shown is not None and shown is begun[0] and shown != ("nothing",) and not addresses[number][page].changing \
            and not (stores and addresses[number][page].forbidden):
        saw("failed", number, None, "-EFAULT in pin, the page is mapped", now())


def op_pin(number, page, k):
    return pin_user_page(number, page, k, 1, 0)


def op_pin_read(number, page, k):
    return pin_user_page(number, page, k, 0, 0)


def op_pin_force(number, page, k):
    return pin_user_page(number, page, k, 1, 1)


def use_pin(k, pinned):
    """Begin the I/O of a pin that is `pinned`, or more. Returns it, or None. It cannot be dropped until its state is 2 again."""
    held = references[k]
    touches(WRITE, held)
    if held.state != 2 or held.pinned < pinned:
        return None
    happens_after(held)
    held.state = 1
    return held


def op_dma(k, value):
    held = use_pin(k, 2)
    if held is None:
        return
    begun = pin_shows(k)
    since = now()
    device_write(held.page, value)
    for word in (0, 1):
        saw_device_store(k, begun, word, value, since)
    hand_over(held, 2)


def op_load_pin(k):
    held = use_pin(k, 1)
    if held is None:
        return
    begun = pin_shows(k)
    since = now()
    words = device_read(held.page)
    for word in (0, 1):
        saw_device_load(k, begun, word, words[word], since)
    hand_over(held, 2)


def op_unpin(k):
    """Drop a pin. If the device may have written to the page, the driver marks it dirty first, under its lock."""
    held = use_pin(k, 1)
    if held is None:
        return
    if held.pinned == 2:
        held.dirtied = held.page
        set_page_dirty_lock(held.page)
    page, held.page = held.page, None
    page_cache_release(page)
    touches(WRITE, held)
    held.state = 0


# ---- reclaim ---------------------------------------------------------------------------------------------------------------


def reclaimer(sc, most):
    """Set up a scan that may write, and that takes at most `most` pages off a list at a time."""
    sc.gfp_mask = GFP_KERNEL
    sc.may_writepage = 1
    sc.may_swap = 1
    sc.swap_cluster_max = most
    sc.order = 0
    sc.nr_scanned = 0
    return sc


def op_shrink_cache(nr_pages):
    shrink_inactive_list(nr_pages, zone_normal, reclaimer(current().sc, SWAP_CLUSTER_MAX))


def op_refill_inactive(nr_pages):
    shrink_active_list(nr_pages, zone_normal, reclaimer(current().sc, SWAP_CLUSTER_MAX), 0)


def op_reclaim():
    try_to_free_pages(0, GFP_KERNEL)
    not_a_victim()


def op_reclaim_page(number, page):
    """Scan the LRU, with this page at its tail, until the address no longer shows it. Any order of the LRU is one that the use of other
    pages can lead to. A page that was written, and is in the swap cache only, is scanned once."""
    for scan in range(SCANS):
        found = page_in_memory(processes[number].mm, USER_ADDRESSES[page])
        if found is None:
            return
        lru_add_drain()
        where = to_the_tail(found)
        if where is zone_normal.active_list:
            shrink_active_list(1, zone_normal, reclaimer(current().sc, 1), 0)
        elif where is zone_normal.inactive_list:
            shrink_inactive_list(1, zone_normal, reclaimer(current().sc, 1))
        else:
            return                                  # another task has isolated it, or it waits in the pagevec of another cpu
        if not pte_present(data_race(pte_offset(processes[number].mm, USER_ADDRESSES[page]).val)):
            return


def page_in_memory(mm, address):
    """Return the page that an address shows, or whose place in swap it shows, as it was a moment ago; None if it is not in memory."""
    pte = data_race(pte_offset(mm, address).val)
    if pte_present(pte):
        return pte_page(pte)
    if pte_none(pte) or is_migration_entry(pte_to_swp_entry(pte)):
        return None
    found = lookup_swap_cache(pte_to_swp_entry(pte))
    if found:
        page_cache_release(found)
    return found


def to_the_tail(page):
    """Move a page to the tail of its LRU list, if it is on one. Returns the list."""
    spin_lock_irq(zone_normal.lru_lock)
    on = page.lru.on
    if on is zone_normal.active_list or on is zone_normal.inactive_list:
        list_del(page.lru)
        list_add_tail(page.lru, on)
    spin_unlock_irq(zone_normal.lru_lock)
    return on


def to_move(page):
    """Return the array that a user gives to sys_move_pages(): the address of one page."""
    pm = current().pm
    pm.addr = USER_ADDRESSES[page]
    return pm


def op_migrate(number, page):
    mm = enter(number)
    if mm is not None:
        error = do_move_pages(mm, to_move(page), 0)
        not_a_victim()
        return error


def op_migrate_all(number, page):
    mm = enter(number)
    if mm is not None:
        error = do_move_pages(mm, to_move(page), 1)
        not_a_victim()
        return error


# ---- swap areas --------------------------------------------------------------------------------------------------------------


def op_swapoff():
    """Give up the first area that is in use, as `swapoff -a` does."""
    error = sys_swapoff(swap_disks[0])
    if error == -EINVAL:
        error = sys_swapoff(swap_disks[1])
    not_a_victim()
    return error


def op_add_swap(pages):
    return sys_swapon(pages + 1)


# ---- the end -----------------------------------------------------------------------------------------------------------------


def wait_for_writes():
    """Wait until every write to swap is over."""
    for page in mem_map:
        if PageWriteback(page):
            page_cache_get(page)
            wait_on_page_writeback(page)
            page_cache_release(page)


def drain():
    """Exit and release everything, then reclaim: a page or a slot that is left over has leaked."""
    exit_all()
    for held in references:
        if held.state == 2:
            held.state = 0
            page, held.page = held.page, None
            put_page(page)
    for turn in range(6):
        for cpu in range(len(lru_add_pvecs)):       # in the kernel, each cpu drains its own pagevecs
            drain_cpu_pagevecs(cpu)
        wait_for_writes()
        shrink_active_list(8, zone_normal, reclaimer(current().sc, 8), 0)
        shrink_inactive_list(1, zone_normal, reclaimer(current().sc, 8))        # one pass over the whole list
