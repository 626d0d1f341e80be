# SPDX-License-Identifier: GPL-2.0-only
"""The operations of the shared interface on this kernel: the system calls, device accesses and kswapd passes behind each of them.

Processes. m0 runs from boot with all its pages mapped. Single-threaded processes run the setup. At its end, each process gets as many
threads (CLONE_VM) as there are tasks that name its address space, and each of these tasks acts as one thread. `exit` is exit_group:
each thread exits at its next operation, and a thread whose task has ended exits at once. An address space is born once: a fork into one
that ever lived does nothing.

Order. Three things happen before an operation uses their result: the fork of its process, the call that made its pin and, if it exits
on behalf of threads whose tasks have ended, all that these did. In the kernel, wake_up_process(), the return from the system call and
each thread's own do_exit() order them; here the happens_before()s do.
"""
from vmrace.harness.kernel import READ, WRITE, current, down, happens_after, happens_before, now, plain, raise_irq, saw, struct, touches, up
from vmrace.variants.lru_free_2_4.pre_patch.filemap import (
    do_generic_file_read,
    invalidate_inode_pages,
    invalidate_inode_pages2,
    mark_page_accessed,
)
from vmrace.variants.lru_free_2_4.pre_patch.fork import copy_mm, do_exit, exec_mmap
from vmrace.variants.lru_free_2_4.pre_patch.hardware import dma_write, user_load, user_store
from vmrace.variants.lru_free_2_4.pre_patch.memory import do_truncate, map_user_kiobuf, mark_dirty_kiobuf, skb_release_data, unmap_kiobuf
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import UnlockPage
from vmrace.variants.lru_free_2_4.pre_patch.mmap import do_mmap2, sys_munmap
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import find_get_page, find_lock_page, page_cache_release
from vmrace.variants.lru_free_2_4.pre_patch.swapfile import sys_swapon
from vmrace.variants.lru_free_2_4.pre_patch.vmscan import refill_inactive, shrink_cache, swap_out, try_to_free_pages
from vmrace.variants.lru_free_2_4.types import (
    CLONE_VM,
    ENOMEM,
    FILE_PAGES,
    GFP_KSWAPD,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    PAGE_SIZE,
    PF_MEMALLOC,
    PF_MEMDIE,
    PROT_READ,
    PROT_WRITE,
    USER_ADDRESSES,
    blank_disk,
    f0_file,
    f1_file,
    k0,
    k1,
    k2,
    k3,
    m0,
    m1,
    m2,
    m3,
    zone_normal,
)


class process(struct):
    """The process of an address space. It is data of user space: its accesses are no points and need no lock."""
    mm = plain(None)
    threads_to_be = plain(1)            # tasks that name the address space
    born = plain(0)
    dying = plain(0)
    threads = plain(0)                  # threads that have not exited
    idle = plain(0)                     # those of them whose tasks have ended
    left = plain(())                    # tasks whose threads have exited


class pin(struct):
    """The pin of a kiobuf."""
    iobuf = plain(None)
    state = plain(0)                    # 0 free, 1 being made or dropped, 2 held
    where = plain((0, 0))               # the address space and the page that it pins


class boot_state(struct):
    """The state of the program: `threaded` is set at the end of the setup."""
    threaded = plain(0)


processes = [process("m0.process", mm=m0), process("m1.process", mm=m1), process("m2.process", mm=m2), process("m3.process", mm=m3)]
pins = [pin("k0.pin", iobuf=k0), pin("k1.pin", iobuf=k1), pin("k2.pin", iobuf=k2), pin("k3.pin", iobuf=k3)]
files = [f0_file, f1_file]
user = boot_state("user")


def boot(threads):
    """Start the first process, with its pages mapped. `threads[mm]` is the number of tasks that name each address space."""
    for number in range(len(processes)):
        processes[number].threads_to_be = threads[number]
    first = processes[0]
    exec_mmap(first.mm)
    for address in USER_ADDRESSES:
        do_mmap2(address, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, None, 0)
    first.born = 1
    first.threads = 1
    current().mm = None
    current().active_mm = None


def start():
    """End the setup: give every process its threads."""
    user.threaded = 1
    for p in processes:
        if p.born and p.threads:
            p.threads = clone_threads(p)


def clone_threads(p):
    """Clone the threads of a process and return their number. No other task acts in the process meanwhile."""
    mm = current().mm
    for extra in range(p.threads_to_be - 1):
        current().mm = p.mm
        copy_mm(CLONE_VM, p.mm)
    current().mm = mm
    return p.threads_to_be


def enter(number):
    """Act as a thread of a process. Returns its mm, or None if the process, or this thread, does not exist or has exited."""
    p = processes[number]
    touches(READ, p)
    if not p.born or not p.threads or current() in p.left:
        return None
    if p.dying:
        leave_process(p)
        return None
    happens_after(p, "born")
    current().mm = p.mm
    current().active_mm = p.mm
    return p.mm


def leave_process(p):
    """Exit the thread of the current task."""
    touches(WRITE, p)
    p.left += (current(),)
    p.threads -= 1
    current().mm = p.mm
    current().active_mm = p.mm
    do_exit(0)


def leave(task, mms):
    """End a task: its threads in the address spaces `mms` sleep from now on, or exit if their process is dying."""
    for number in mms:
        p = processes[number]
        touches(WRITE, p)
        if p.born and p.threads and current() not in p.left:
            if p.dying:
                leave_process(p)
            else:
                happens_before(p, "idle")
                p.idle += 1


def die(p):
    """Do exit_group() in the current thread: it exits, and so do the threads whose tasks have ended."""
    touches(WRITE, p)
    p.dying = 1
    if not user.threaded:
        leave_process(p)
        return
    leave_process(p)
    touches(WRITE, p)
    happens_after(p, "idle")
    while p.idle:
        p.idle -= 1
        p.threads -= 1
        current().mm = p.mm
        current().active_mm = p.mm
        do_exit(0)
        touches(WRITE, p)


def killed(number, signal):
    """Handle the signal of a fault. SIGKILL, out of memory, ends the process. It catches other signals, and gives up the access."""
    if signal == "SIGKILL":
        die(processes[number])


def op_map(number, page):
    mm = enter(number)
    if mm is None:
        return
    since = now()
    do_mmap2(USER_ADDRESSES[page], PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, None, 0)
    saw("store", number, (page, 0), 0, since)
    saw("store", number, (page, 1), 0, since)


def op_unmap(number, page):
    mm = enter(number)
    if mm is None:
        return
    since = now()
    sys_munmap(USER_ADDRESSES[page], PAGE_SIZE)
    saw("store", number, (page, 0), "gone", since)
    saw("store", number, (page, 1), "gone", since)


def op_store(number, page, value):
    mm = enter(number)
    if mm is None:
        return
    since = now()
    for word in (0, 1):
        signal = user_store(USER_ADDRESSES[page], word, value)
        if signal:
            killed(number, signal)
            return
        saw("store", number, (page, word), value, since)


def op_load(number, page):
    mm = enter(number)
    if mm is None:
        return
    for word in (0, 1):
        since = now()
        value, signal = user_load(USER_ADDRESSES[page], word)
        if signal:
            killed(number, signal)
            return
        saw("load", number, (page, word), value, since)


def op_fork(number, child_number):
    child = processes[child_number]
    touches(WRITE, child)
    if child.born or child_number == number:
        return
    mm = enter(number)
    if mm is None:
        return
    child.born = 1
    since = now()
    if copy_mm(0, child.mm):
        return
    saw("fork", number, None, child_number, since)
    touches(WRITE, child)
    child.threads = clone_threads(child) if user.threaded else 1
    happens_before(child, "born")


def op_exit(number):
    if enter(number) is not None:
        die(processes[number])


def op_pin(number, page, k):
    touches(WRITE, pins[k])
    if pins[k].state:
        return
    mm = enter(number)
    if mm is None:
        return
    pins[k].state = 1
    pins[k].where = (number, page)
    error = map_user_kiobuf(READ, pins[k].iobuf, USER_ADDRESSES[page], PAGE_SIZE)
    happens_before(pins[k])
    touches(WRITE, pins[k])
    pins[k].state = 0 if error else 2
    if error == -ENOMEM or current().flags & PF_MEMDIE:
        die(processes[number])


def op_dma(k, value):
    """Do raw I/O: the device writes, then the task that waited for it marks the pages dirty. A pin in use cannot be dropped."""
    touches(WRITE, pins[k])
    if pins[k].state != 2:
        return
    pins[k].state = 1
    happens_after(pins[k])
    number, page = pins[k].where
    saw("unjudged", number, (page, 0), value, now())
    saw("unjudged", number, (page, 1), value, now())
    for target in pins[k].iobuf.maplist:
        dma_write(target, value)
    mark_dirty_kiobuf(pins[k].iobuf, PAGE_SIZE)
    happens_before(pins[k])
    touches(WRITE, pins[k])
    pins[k].state = 2


def op_unpin(k):
    touches(WRITE, pins[k])
    if pins[k].state == 2:
        pins[k].state = 1
        happens_after(pins[k])
        finish_unpin(k)


def finish_unpin(k):
    unmap_kiobuf(pins[k].iobuf)
    touches(WRITE, pins[k])
    pins[k].state = 0


def op_put(k):
    touches(WRITE, pins[k])
    if pins[k].state == 2:
        pins[k].state = 1
        happens_after(pins[k])
        finish_put(k)


def finish_put(k):
    skb_release_data(pins[k].iobuf)
    touches(WRITE, pins[k])
    pins[k].state = 0


def op_irq_unpin(k):
    touches(WRITE, pins[k])
    if pins[k].state == 2:
        pins[k].state = 1
        happens_after(pins[k])
        raise_irq(finish_unpin, k)


def op_irq_put(k):
    touches(WRITE, pins[k])
    if pins[k].state == 2:
        pins[k].state = 1
        happens_after(pins[k])
        raise_irq(finish_put, k)


def op_swap_out():
    swap_out(1, GFP_KSWAPD, zone_normal)


def op_shrink_cache(nr_pages):
    shrink_cache(nr_pages, zone_normal, GFP_KSWAPD, 1)


def op_refill_inactive(nr_pages):
    refill_inactive(nr_pages)


def not_a_victim():
    """End an operation of kswapd, or of a reader outside the program: the next operation must not inherit its rights as a victim."""
    current().flags &= ~(PF_MEMALLOC | PF_MEMDIE)


def op_reclaim():
    try_to_free_pages(GFP_KSWAPD)
    not_a_victim()


def op_read(file, index):
    do_generic_file_read(files[file], index)
    not_a_victim()


def file_map(number, page, file, index, flags):
    mm = enter(number)
    if mm is None:
        return
    do_mmap2(USER_ADDRESSES[page], PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, files[file], index)
    saw("unjudged", number, (page, 0), 0, now())
    saw("unjudged", number, (page, 1), 0, now())


def op_mmap_private(number, page, file, index):
    file_map(number, page, file, index, MAP_PRIVATE)


def op_mmap_shared(number, page, file, index):
    file_map(number, page, file, index, MAP_SHARED)


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
    do_truncate(files[file].f_dentry.d_inode, min(pages - 1, FILE_PAGES) * PAGE_SIZE)


def op_invalidate(file):
    invalidate_inode_pages(files[file].f_dentry.d_inode)


def op_invalidate2(file):
    """Invalidate as the only caller does, a write with O_DIRECT, at its end and under i_sem; the write itself is left out."""
    inode = files[file].f_dentry.d_inode
    down(inode.i_sem)
    invalidate_inode_pages2(inode.i_mapping)
    up(inode.i_sem)


def op_swapon():
    sys_swapon(blank_disk)
    not_a_victim()


def drain():
    """Exit, unpin and truncate everything, then reclaim six times: a page that is left over has leaked."""
    for p in processes:
        while p.born and p.threads:
            p.threads -= 1
            current().mm = p.mm
            current().active_mm = p.mm
            do_exit(0)
    for k in range(len(pins)):
        if pins[k].state == 2:
            finish_unpin(k)
    for file in files:
        do_truncate(file.f_dentry.d_inode, 0)
    for turn in range(6):
        refill_inactive(8)
        shrink_cache(8, zone_normal, GFP_KSWAPD, 1)
