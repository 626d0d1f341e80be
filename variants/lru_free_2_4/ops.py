# SPDX-License-Identifier: GPL-2.0-only
"""The operations of the shared interface on this kernel: the system calls, device accesses and kswapd passes behind each of them.

user_space.py has the processes, and what their addresses, pins and files show.
"""
from vmrace.harness.kernel import READ, WRITE, current, down, happens_after, happens_before, now, plain, raise_irq, saw, struct, touches, up
from vmrace.variants.lru_free_2_4.pre_patch.buffer import bdflush, fsync_inode_data_buffers, sys_fsync
from vmrace.variants.lru_free_2_4.pre_patch.filemap import (
    do_generic_file_read,
    filemap_fdatasync,
    filemap_fdatawait,
    generic_file_write,
    invalidate_inode_pages,
    invalidate_inode_pages2,
    mark_page_accessed,
    sys_madvise,
)
from vmrace.variants.lru_free_2_4.pre_patch.fork import do_exit, exec_mmap
from vmrace.variants.lru_free_2_4.pre_patch.hardware import dma_read, dma_write, user_store
from vmrace.variants.lru_free_2_4.pre_patch.memory import do_truncate, map_user_kiobuf, mark_dirty_kiobuf, skb_release_data, unmap_kiobuf
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import UnlockPage, __free_page, alloc_page
from vmrace.variants.lru_free_2_4.pre_patch.mlock import sys_mlock, sys_munlock
from vmrace.variants.lru_free_2_4.pre_patch.mmap import do_mmap2
from vmrace.variants.lru_free_2_4.pre_patch.mremap import sys_mremap
from vmrace.variants.lru_free_2_4.pre_patch.page_alloc import balance_classzone
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import find_get_page, find_lock_page, page_cache_release
from vmrace.variants.lru_free_2_4.pre_patch.swapfile import sys_swapoff, sys_swapon
from vmrace.variants.lru_free_2_4.pre_patch.vmscan import kswapd_balance, refill_inactive, shrink_cache, swap_out, try_to_free_pages
from vmrace.variants.lru_free_2_4.types import (
    ENOMEM,
    FILE_PAGES,
    GFP_KERNEL,
    GFP_KSWAPD,
    GFP_NOFS,
    MADV_DONTNEED,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    MAP_FIXED,
    MAP_SHARED,
    PAGE_SIZE,
    PF_MEMDIE,
    PROT_READ,
    PROT_WRITE,
    USER_ADDRESSES,
    blank_disk,
    f0_disk,
    f0_file,
    f1_disk,
    f1_file,
    hog,
    k0,
    k1,
    k2,
    k3,
    m4,
    s0_file,
    swap_disk,
    zone_normal,
)
from vmrace.variants.user_space import (
    FILE_NAMES,
    FIRST_CONTENT,
    access,
    addresses,
    allow,
    begin_change,
    begin_discard,
    begin_move,
    begin_pin,
    begin_truncate,
    boot_processes,
    cut,
    end_change,
    end_discard,
    end_move,
    end_pin,
    end_truncate,
    enter,
    error_name,
    error_of,
    exit_all,
    forbids,
    hand_over,
    killed,
    long_enough,
    map_program,
    not_a_victim,
    pages_pinned,
    pin_shows,
    processes,
    reaches,
    read_result,
    saw_device_load,
    saw_device_store,
    saw_file,
    saw_page,
    saw_read,
    saw_store,
    truncates,
)


class pin(struct):
    """The pin of a kiobuf."""
    iobuf = plain(None)
    state = plain(0)                    # 0 free, 1 being made or dropped, 2 held


class resources(struct):
    """What the program has of the machine. `kept` counts the pages that a driver keeps and those that are or were locked in memory."""
    kept = plain(0)
    locked = plain(())                  # (address space, page) for each address that was ever locked
    spare = plain(None)                 # the mm that an exec gets if its own is in use


pins = [pin("k0.pin", iobuf=k0), pin("k1.pin", iobuf=k1), pin("k2.pin", iobuf=k2), pin("k3.pin", iobuf=k3)]
files = [f0_file, f1_file]
have = resources("have", spare=m4)

KEPT_MAX = 4            # pages that pins, a driver and mlock() keep at most: with more, an allocation could wait for ever


def boot(threads):
    """Fill the disks, and start the first process with its pages mapped. `threads[mm]` is the number of tasks that name each address
    space."""
    for file in range(len(files)):
        for index in range(FILE_PAGES):
            content = FIRST_CONTENT + file * FILE_PAGES + index
            disk = (f0_disk, f1_disk)[file]
            disk.word0[index] = disk.word1[index] = content
            saw_page("direct store", FILE_NAMES[file], index, content, now())
    first = processes[0]
    exec_mmap(first.mm)
    map_program()
    boot_processes(threads)
    current().mm = None
    current().active_mm = None


def act_as(p):
    current().mm = p.mm
    current().active_mm = p.mm


def map_page(page, flags, file, index):
    return do_mmap2(USER_ADDRESSES[page], PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, file, index)


def exit_thread():
    do_exit(0)


def op_store(number, page, value):
    mm = enter(number)
    if mm is None:
        return
    begun = access(number, page)
    since = now()
    for word in (0, 1):
        signal = user_store(USER_ADDRESSES[page], word, value)
        if signal:
            killed(number, page, begun, signal, "store")
            return signal
        saw_store(number, page, begun, word, value, since)


def op_pin(number, page, k):
    return make_pin(number, page, k, READ)


def make_pin(number, page, k, rw):
    """Pin a page for I/O. `rw` is READ for a device that is read from, and writes to the page."""
    touches(WRITE, pins[k])
    touches(READ, have, "kept")
    if pins[k].state or have.kept and have.kept + pins_in_use() >= KEPT_MAX:
        return
    mm = enter(number)
    if mm is None:
        return
    pins[k].state = 1
    begin_pin(k, number, page, int(rw == READ))
    error = map_user_kiobuf(rw, pins[k].iobuf, USER_ADDRESSES[page], PAGE_SIZE)
    end_pin(k)
    hand_over(pins[k], 0 if error else 2)
    if error == -ENOMEM or current().flags & PF_MEMDIE:
        killed(number, page, None, "SIGKILL", "pin")
    return error


def begin_use(k, write=0):
    """Begin to use a pin, or to drop it: nothing else may use it meanwhile. False if it is not held, or not for writing as `write` asks."""
    touches(WRITE, pins[k])
    if pins[k].state != 2 or write and not pages_pinned[k].write:
        return 0
    pins[k].state = 1
    happens_after(pins[k])
    return 1


def end_use(k):
    hand_over(pins[k], 2)


def op_dma(k, value):
    """Do raw I/O: the device writes, then the task that waited for it marks the pages dirty. A pin in use cannot be dropped."""
    if not begin_use(k, write=1):
        return
    begun = pin_shows(k)
    since = now()
    for target in pins[k].iobuf.maplist:
        dma_write(target, value)
    mark_dirty_kiobuf(pins[k].iobuf, PAGE_SIZE)
    saw_device_store(k, begun, 0, value, since)
    saw_device_store(k, begun, 1, value, since)
    end_use(k)


def op_unpin(k):
    if begin_use(k):
        finish_unpin(k)


def finish_unpin(k):
    unmap_kiobuf(pins[k].iobuf)
    touches(WRITE, pins[k])
    pins[k].state = 0


def op_put(k):
    if begin_use(k):
        finish_put(k)


def finish_put(k):
    skb_release_data(pins[k].iobuf)
    touches(WRITE, pins[k])
    pins[k].state = 0


def op_irq_unpin(k):
    if begin_use(k):
        raise_irq(finish_unpin, k)


def op_irq_put(k):
    if begin_use(k):
        raise_irq(finish_put, k)


def op_swap_out():
    swap_out(1, GFP_KSWAPD, zone_normal)


def op_shrink_cache(nr_pages):
    shrink_cache(nr_pages, zone_normal, GFP_KSWAPD, 1)


def op_refill_inactive(nr_pages):
    refill_inactive(nr_pages)


def op_reclaim():
    try_to_free_pages(GFP_KSWAPD)
    not_a_victim()


def op_read(file, index):
    length = long_enough(file, index)
    since = now()
    copied = do_generic_file_read(files[file], index)
    saw_read("load", file, index, copied, length, since)
    not_a_victim()
    return read_result(copied)


def op_touch(file, index):
    page = find_get_page(files[file].f_dentry.d_inode.i_mapping, index)
    if page:
        mark_page_accessed(page)
        page_cache_release(page)


def op_lock(file, index):
    page = find_lock_page(files[file].f_dentry.d_inode.i_mapping, index)
    if page:
        UnlockPage(page)
        page_cache_release(page)


def op_truncate(file, pages):
    """Truncate a file to `pages` - 1 pages, which may be more than it has."""
    since = now()
    length = min(pages - 1, FILE_PAGES)
    token = begin_truncate(file, length)
    error = do_truncate(files[file].f_dentry.d_inode, length * PAGE_SIZE)
    end_truncate(file, length, since, token)
    return error


def op_invalidate(file):
    cut(file)
    invalidate_inode_pages(files[file].f_dentry.d_inode)


def op_invalidate2(file):
    """Invalidate as the only caller does, a write with O_DIRECT, at its end and under i_sem. generic_file_direct_IO() first writes what is
    dirty; the write itself is left out.

    A page in use stays and is read from disk again before it is next used.
    """
    inode = files[file].f_dentry.d_inode
    since = now()
    cut(file)
    down(inode.i_sem)
    filemap_fdatasync(inode.i_mapping)
    fsync_inode_data_buffers(inode)
    filemap_fdatawait(inode.i_mapping)
    invalidate_inode_pages2(inode.i_mapping)
    up(inode.i_sem)
    saw_file("may discard", file, 0, since)


def op_swapon():
    error = sys_swapon(blank_disk)
    not_a_victim()
    return error


def drain():
    """Exit, unpin and truncate everything, then reclaim six times: a page that is left over has leaked."""
    exit_all()
    for k in range(len(pins)):
        if pins[k].state == 2:
            finish_unpin(k)
    op_unhog()
    for file in (*files, s0_file):
        do_truncate(file.f_dentry.d_inode, 0)
    for turn in range(6):
        refill_inactive(8)
        shrink_cache(8, zone_normal, GFP_KSWAPD, 1)


def op_dontneed(number, page):
    """Call madvise(MADV_DONTNEED) as malloc does."""
    if enter(number) is None:
        return
    begun = begin_discard(number, page)
    error = sys_madvise(USER_ADDRESSES[page], PAGE_SIZE, MADV_DONTNEED)
    end_discard(number, page, begun, error)
    return error


def op_pin_read(number, page, k):
    return make_pin(number, page, k, WRITE)


def op_load_pin(k):
    """Have a device read a page that was pinned for I/O of either kind."""
    if not begin_use(k):
        return
    begun = pin_shows(k)
    since = now()
    for target in pins[k].iobuf.maplist:
        words = dma_read(target)
        for word in (0, 1):
            saw_device_load(k, begun, word, words[word], since)
    end_use(k)


def op_write(file, index, value):
    token = truncates(file)
    since = now()
    written = generic_file_write(files[file], index, value)
    if written > 0:
        saw_page("store", FILE_NAMES[file], index, value, since)
        reaches(file, index, token)
    elif written != -ENOMEM:
        saw("failed", FILE_NAMES[file], index, f"{error_name(written)} in write, no I/O failed", since)
    not_a_victim()
    return written


def op_sync(file):
    since = now()
    error = sys_fsync(files[file])
    saw_file("synced", file, 0, since)
    not_a_victim()
    return error


def op_bdflush():
    bdflush()


def op_reclaim_nofs(file, index):
    """Reclaim as an allocation of the file system does: under a page lock if it is create_buffers() that allocates. The page it gets
    goes back at once."""
    page = find_lock_page(files[file].f_dentry.d_inode.i_mapping, index)
    if not page or not page.buffers:
        got, freed = balance_classzone(zone_normal, GFP_NOFS, 0)
        if got:
            __free_page(got)
        not_a_victim()
    if page:
        UnlockPage(page)
        page_cache_release(page)


def op_kswapd():
    kswapd_balance()
    not_a_victim()


def pins_in_use():
    count = 0
    for held in pins:
        touches(READ, held)
        count += held.state != 0
    return count


def keep(pages):
    """Note that a driver or mlock() keeps so many more pages, or as many as pins leave. Returns how many."""
    touches(WRITE, have, "kept")
    pages = max(min(pages, KEPT_MAX - pins_in_use() - have.kept), 0)
    have.kept += pages
    return pages


def op_hog(pages):
    """Have a driver allocate pages, as many as pins leave it."""
    wanted = keep(pages)
    got = ()
    while len(got) < wanted:
        page = alloc_page(GFP_KERNEL)
        if not page:
            break
        got += (page,)
    happens_before(hog)
    touches(WRITE, have, "kept")
    touches(WRITE, hog)
    have.kept -= wanted - len(got)
    hog.pages += got
    not_a_victim()


def op_unhog():
    touches(WRITE, hog)
    pages = hog.pages
    hog.pages = ()
    happens_after(hog)
    for page in pages:
        __free_page(page)
    touches(WRITE, have, "kept")
    have.kept -= len(pages)


def may_lock(number, page):
    """True if an address may be locked. One that ever was counts as kept from then on: the count does not depend on who is first."""
    touches(WRITE, have, "locked")
    if (number, page) not in have.locked and keep(1):
        have.locked += ((number, page),)
    return (number, page) in have.locked


def op_lock_memory(number, page):
    if enter(number) is None or not may_lock(number, page):
        return
    error = sys_mlock(USER_ADDRESSES[page], PAGE_SIZE)
    if current().flags & PF_MEMDIE:
        killed(number, page, None, "SIGKILL", "mlock")
    return error


def op_unlock_memory(number, page):
    if enter(number) is not None:
        return sys_munlock(USER_ADDRESSES[page], PAGE_SIZE)


def op_mremap(number, page, to_number, target):
    """Move a mapping within one address space. The new address of a locked page may keep a page more."""
    if to_number != number or target == page or enter(number) is None:
        return
    touches(READ, have, "locked")
    if (number, page) in have.locked and not may_lock(number, target):
        return
    since = now()
    begun = begin_move(number, page, target)
    address = sys_mremap(USER_ADDRESSES[page], PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, USER_ADDRESSES[target])
    end_move(number, page, target, begun, address < 0, since)
    if current().flags & PF_MEMDIE:
        killed(number, page, None, "SIGKILL", "mremap")
    return error_of(address)


def op_exec(number):
    """Run another program. A process with several threads does not: in 2.4 the others would keep the old memory.

    exec_mmap() empties the mm in place, unless swap_out holds it just then. Then the process gets the spare one, and the old one is the
    next spare. If that is still held, the exec fails.
    """
    if enter(number) is None:
        return
    p = processes[number]
    if p.threads != 1:
        return
    touches(READ, have, "spare")
    since = now()
    error = exec_mmap(have.spare)
    if error:
        return error
    if current().mm is not p.mm:
        touches(WRITE, p)
        touches(WRITE, have, "spare")
        have.spare = p.mm
        p.mm = current().mm
    map_program()
    for page in range(len(USER_ADDRESSES)):
        begin_change(number, page, ("anon",))
        end_change(number, page, ("anon",))
        allow(number, page, forbids(number, page))
        saw_page("store", number, page, 0, since)


def op_swapoff():
    error = sys_swapoff(swap_disk)
    not_a_victim()
    return error


def op_attach(number, page, shared):
    """Map a file of tmpfs as shm_open() and mmap() do. `shared` is 1 more than its page, round the end of the file."""
    if enter(number) is None:
        return
    shown = ("shared", FILE_NAMES.index("s0"), (shared - 1) % FILE_PAGES)
    token = forbids(number, page)
    begin_change(number, page, shown)
    address = map_page(page, MAP_SHARED, s0_file, shown[2])
    end_change(number, page, shown)
    allow(number, page, token)
    return error_of(address)


def op_resize(pages):
    """Call ftruncate() on it, with a length of `pages` - 1 pages, which may be more than it has."""
    since = now()
    length = min(pages - 1, FILE_PAGES)
    token = begin_truncate(FILE_NAMES.index("s0"), length)
    error = do_truncate(s0_file.f_dentry.d_inode, length * PAGE_SIZE)
    end_truncate(FILE_NAMES.index("s0"), length, since, token)
    return error
