# SPDX-License-Identifier: GPL-2.0-only
"""The operations of the shared interface on this kernel: the system calls and daemon passes behind each of them.

Processes. m0 runs from boot with all its pages mapped anonymously. Single-threaded processes run the setup. At its end, each process
gets as many threads (CLONE_VM) as there are tasks that name its address space, and each of these tasks acts as one thread. `exit` is
exit_group: each thread exits at its next operation, and a thread whose task has ended exits at once. An address space is born once: a
fork into one that ever lived does nothing. Any task may read and write files.

Loads and stores. A word of a file is one register, for read(2), write(2) and shared mappings alike; a truncate stores 0 in it. A word
of an anonymous page is a register of its address space. An access is judged only if the address showed the same page before and after
it, as the process knows from its own calls. Four registers are not judged: private mappings of files, which may or may not show later
stores to the file; a file after invalidate_inode_pages2() without a write of its dirty pages, which it discards; a file after a failed
direct write; and a page of a file that was written from memory which was not present.
"""
from vmrace.harness.kernel import READ, WRITE, current, now, plain, saw, struct, touches
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import do_truncate, sys_fsync
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import (
    do_generic_mapping_read,
    find_get_page,
    find_lock_page,
    generic_file_write,
    unlock_page,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.fork import copy_mm, exit_mm, mm_init
from vmrace.variants.invalidate_2_6.pre_2_6_15.fremap import sys_remap_file_pages
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import user_load, user_store
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import page_cache_release, put_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import do_mmap2, sys_munmap
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import writeback_single_inode
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import __pagevec_lru_add, __pagevec_lru_add_active, mark_page_accessed, taken
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import (
    invalidate_inode_pages,
    invalidate_inode_pages2,
    invalidate_inode_pages2_range,
    invalidate_mapping_pages,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.vmscan import refill_inactive_zone, shrink_cache, try_to_free_pages
from vmrace.variants.invalidate_2_6.types import (
    CLONE_VM,
    ENOMEM,
    FILE_PAGES,
    GFP_KERNEL,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    PAGE_SIZE,
    PF_MEMALLOC,
    PF_MEMDIE,
    USER_ADDRESSES,
    f0_disk,
    f0_file,
    f1_disk,
    f1_file,
    lru_add_active_pvecs,
    lru_add_pvecs,
    m0,
    m1,
    m2,
    m3,
    zone_normal,
)

FIRST_CONTENT = 1000                # the words of a file at boot: larger than any value that a program writes


class process(struct):
    """The process of an address space, with the data that its threads share."""
    mm = plain(None)
    threads_to_be = plain(1)            # tasks that name the address space
    born = plain(0)
    dying = plain(0)
    threads = plain(0)                  # threads that have not exited
    idle = plain(0)                     # those of them whose tasks have ended
    left = plain(())                    # tasks whose threads have exited


class mapped(struct):
    """The page that an address of a process shows, as the process knows it.

    `shows` is None while a call changes it, or if it is unknown; else ("anon",), ("private", file), ("shared", file, index) or
    ("nothing",). Each call that changes it stores a new object.
    """
    shows = plain(("nothing",))
    changing = plain(0)                 # the number of calls that are changing it
    overlapped = plain(0)               # 1 if two calls were changing it at once, until none is


class reference(struct):
    """The reference of a pin, to a page that a task has found in the page cache."""
    page = plain(None)
    state = plain(0)                    # 0 free, 1 being made or dropped, 2 held


class boot_state(struct):
    """The state of the program: `threaded` is set at the end of the setup."""
    threaded = plain(0)


processes = [process("m0.process", mm=m0), process("m1.process", mm=m1), process("m2.process", mm=m2), process("m3.process", mm=m3)]
addresses = [[mapped("m0.0.mapped"), mapped("m0.1.mapped"), mapped("m0.2.mapped")],
             [mapped("m1.0.mapped"), mapped("m1.1.mapped"), mapped("m1.2.mapped")],
             [mapped("m2.0.mapped"), mapped("m2.1.mapped"), mapped("m2.2.mapped")],
             [mapped("m3.0.mapped"), mapped("m3.1.mapped"), mapped("m3.2.mapped")]]
references = [reference("k0.reference"), reference("k1.reference"), reference("k2.reference"), reference("k3.reference")]
files = [f0_file, f1_file]
user = boot_state("user")


def boot(threads):
    """Fill the disks, and start the first process with its pages mapped. `threads[mm]` is the number of tasks that name each address
    space."""
    for number in range(len(processes)):
        processes[number].threads_to_be = threads[number]
    for file in range(len(files)):
        for index in range(FILE_PAGES):
            since = now()
            content = FIRST_CONTENT + file * FILE_PAGES + index
            block = [[f0_disk.block0, f0_disk.block1], [f1_disk.block0, f1_disk.block1]][file][index]
            block.word0 = block.word1 = content
            file_saw("store", file, index, content, since)
    first = processes[0]
    mm_init(first.mm)
    current().mm = first.mm
    for page in range(len(USER_ADDRESSES)):
        do_mmap2(USER_ADDRESSES[page], PAGE_SIZE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, None, 0)
        addresses[0][page].shows = ("anon",)
    first.born = 1
    first.threads = 1
    current().mm = None


def start():
    """End the setup: give every process its threads."""
    user.threaded = 1
    for p in processes:
        if p.born and p.threads:
            p.threads = clone_threads(p)


# ---- processes -----------------------------------------------------------------------------------------------------------


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
    current().mm = p.mm
    return p.mm


def leave_process(p):
    """Exit the thread of the current task."""
    touches(WRITE, p)
    p.left += (current(),)
    p.threads -= 1
    do_exit(p)


def do_exit(p):
    current().flags &= ~PF_MEMDIE
    current().mm = p.mm
    exit_mm()


def leave(task, mms):
    """End a task: its threads in the address spaces `mms` sleep from now on, or exit if their process is dying."""
    for number in mms:
        p = processes[number]
        touches(WRITE, p)
        if p.born and p.threads and current() not in p.left:
            if p.dying:
                leave_process(p)
            else:
                p.idle += 1


def die(p):
    """Do exit_group() in the current thread: it exits, and so do the threads whose tasks have ended."""
    touches(WRITE, p)
    p.dying = 1
    leave_process(p)
    while user.threaded:
        touches(WRITE, p)
        if not p.idle:
            break
        p.idle -= 1
        p.threads -= 1
        do_exit(p)


def killed(number, signal):
    """Handle the signal of a fault. SIGKILL, out of memory, ends the process. It catches other signals, and gives up the access."""
    if signal == "SIGKILL":
        die(processes[number])


def not_a_victim():
    """End an operation outside any process: the next operation must not inherit its rights as a victim."""
    current().flags &= ~(PF_MEMALLOC | PF_MEMDIE)


def op_fork(number, child_number):
    child = processes[child_number]
    touches(READ, child)
    if child.born or child_number == number:
        return
    mm = enter(number)
    if mm is None:
        return
    touches(WRITE, child)
    if child.born:
        return
    child.born = 1
    since = now()
    shown = [shows(number, page) for page in range(len(USER_ADDRESSES))]
    copy_mm(0, child.mm)
    for page in range(len(USER_ADDRESSES)):
        same = shown[page] is not None and shows(number, page) is shown[page]
        addresses[child_number][page].shows = shown[page] if same else None     # no task acts in the child yet
    saw("fork", number, None, child_number, since)
    threads = clone_threads(child) if user.threaded else 1
    touches(WRITE, child)
    child.threads = threads


def op_exit(number):
    if enter(number) is not None:
        die(processes[number])


# ---- what addresses show -----------------------------------------------------------------------------------------------------


def shows(number, page):
    address = addresses[number][page]
    touches(READ, address)
    return address.shows


def begin_change(number, page):
    address = addresses[number][page]
    touches(WRITE, address)
    if address.changing:
        address.overlapped = 1
    address.changing += 1
    address.shows = None


def end_change(number, page, shows):
    """Record the new page of an address. If calls overlapped, their order is unknown, even to the last to return: it is not judged."""
    address = addresses[number][page]
    touches(WRITE, address)
    address.changing -= 1
    if address.overlapped:
        unjudged(number, page)
        if not address.changing:
            address.overlapped = 0
    elif shows is not None:
        address.shows = (*shows,)                   # a new object, also for a constant


def unjudged(number, page):
    saw("unjudged", number, (page, 0), 0, now())
    saw("unjudged", number, (page, 1), 0, now())


def file_saw(what, file, index, value, since):
    saw(what, FILE_NAMES[file], (index, 0), value, since)
    saw(what, FILE_NAMES[file], (index, 1), value, since)


def file_unjudged(file):
    for index in range(FILE_PAGES):
        file_saw("unjudged", file, index, 0, now())


FILE_NAMES = ("f0", "f1")


def register(number, page, shown):
    """Return the register that an address shows: (address space or file, page of it), or None if it is not judged."""
    if shown[0] == "anon":
        return number, page
    if shown[0] == "shared":
        return FILE_NAMES[shown[1]], shown[2]
    return None


def op_map(number, page):
    mm = enter(number)
    if mm is None:
        return
    since = now()
    begin_change(number, page)
    do_mmap2(USER_ADDRESSES[page], PAGE_SIZE, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, None, 0)
    end_change(number, page, ("anon",))
    saw("store", number, (page, 0), 0, since)
    saw("store", number, (page, 1), 0, since)


def op_unmap(number, page):
    mm = enter(number)
    if mm is None:
        return
    since = now()
    begin_change(number, page)
    sys_munmap(USER_ADDRESSES[page], PAGE_SIZE)
    end_change(number, page, ("nothing",))
    saw("store", number, (page, 0), "gone", since)
    saw("store", number, (page, 1), "gone", since)


def file_map(number, page, file, index, flags, shows):
    mm = enter(number)
    if mm is None:
        return
    unjudged(number, page)
    begin_change(number, page)
    do_mmap2(USER_ADDRESSES[page], PAGE_SIZE, flags | MAP_FIXED, files[file], index)
    end_change(number, page, shows)


def op_mmap_private(number, page, file, index):
    file_map(number, page, file, index, MAP_PRIVATE, ("private", file))


def op_mmap_shared(number, page, file, index):
    file_map(number, page, file, index, MAP_SHARED, ("shared", file, index))


def op_populate(number, page, file, index):
    """Call remap_file_pages() on an address that shows a page of the file, shared: it refuses other addresses."""
    mm = enter(number)
    if mm is None:
        return
    shown = shows(number, page)
    if shown is None or shown[0] != "shared" or shown[1] != file:
        return
    begin_change(number, page)
    error = sys_remap_file_pages(USER_ADDRESSES[page], PAGE_SIZE, index, 0)
    end_change(number, page, None if error else ("shared", file, index))
    not_a_victim()


def op_store(number, page, value):
    mm = enter(number)
    if mm is None:
        return
    shown = shows(number, page)
    for word in (0, 1):
        since = now()
        signal = user_store(USER_ADDRESSES[page], word, value)
        if not signal or signal == "SIGKILL":
            stored(number, page, word, value, since, shown, signal)
        if signal:
            killed(number, signal)
            return


def stored(number, page, word, value, since, shown, signal):
    """Record a store to the register that the address shows. If that is unknown, no register that it may be is judged any more."""
    if signal:
        return                                      # SIGKILL replaced the access
    if shown is None or shows(number, page) is not shown:
        unjudged(number, page)
        file_unjudged(0)
        file_unjudged(1)
        return
    where = register(number, page, shown)
    if where is not None:
        saw("store", where[0], (where[1], word), value, since)


def op_load(number, page):
    mm = enter(number)
    if mm is None:
        return
    shown = shows(number, page)
    for word in (0, 1):
        since = now()
        value, signal = user_load(USER_ADDRESSES[page], word)
        if signal:
            killed(number, signal)
            return
        where = register(number, page, shown) if shown is not None and shows(number, page) is shown else None
        if where is not None:
            saw("load", where[0], (where[1], word), value, since)


# ---- files -----------------------------------------------------------------------------------------------------------------


def op_read(file, index):
    since = now()
    copied = do_generic_mapping_read(files[file].f_mapping, index, files[file])
    if copied is not None:
        saw("load", FILE_NAMES[file], (index, 0), copied[0], since)
        saw("load", FILE_NAMES[file], (index, 1), copied[1], since)
    not_a_victim()


def holding(value):
    """Return a user buffer in memory that is always present."""
    buf = current().buf
    buf.address = None
    buf.value = value
    return buf


def at(number, page):
    """Return a user buffer in a page of a process."""
    buf = current().buf
    buf.address = USER_ADDRESSES[page]
    buf.where = number, page, shows(number, page)
    buf.copied = ()
    return buf


def copied_from_user(buf, word, value, since):
    """Record that the kernel loaded a word of a user buffer, in the current step. It is judged as any other load."""
    if buf.address is None:
        return
    number, page, shown = buf.where
    where = register(number, page, shown) if shown is not None and shows(number, page) is shown else None
    if where is not None:
        saw("load", where[0], (where[1], word), value, since)
    buf.copied += ((word, value, now()),)


def op_write(file, index, value):
    since = now()
    written = generic_file_write(files[file], index, holding(value), 0)
    if written > 0:
        file_saw("store", file, index, value, since)
    not_a_victim()


def op_direct_write(file, index, value):
    since = now()
    written = generic_file_write(files[file], index, holding(value), 1)
    if written > 0:
        file_saw("store", file, index, value, since)
    else:
        file_unjudged(file)                         # the data is on disk, and some readers may see the old page
    not_a_victim()


def op_write_mapped(number, page, file, index):
    """Write from memory. A word counts as stored at the step at which it was copied. The page holds zeros for words not copied."""
    mm = enter(number)
    if mm is None:
        return
    buf = at(number, page)
    written = generic_file_write(files[file], index, buf, 0)
    for word, value, since in buf.copied:
        saw("store", FILE_NAMES[file], (index, word), value, since)
    buf.where, buf.copied = None, ()
    if written < PAGE_SIZE and written != -ENOMEM:
        file_saw("unjudged", file, index, 0, now())
    if current().flags & PF_MEMDIE:
        killed(number, "SIGKILL")


def op_writeback(file):
    writeback_single_inode(files[file].f_mapping.host)
    not_a_victim()


def op_sync(file):
    sys_fsync(files[file].f_mapping)
    not_a_victim()


def op_touch(file, index):
    page = find_get_page(files[file].f_mapping, index)
    if page:
        mark_page_accessed(page)
        page_cache_release(page)


def op_lock(file, index):
    page = find_lock_page(files[file].f_mapping, index)
    if page:
        unlock_page(page)
        page_cache_release(page)


def op_take(file, index, k):
    held = references[k]
    touches(WRITE, held)
    if held.state:
        return
    held.state = 1
    page = find_get_page(files[file].f_mapping, index)
    touches(WRITE, held)
    held.page = page
    held.state = 2 if page else 0


def op_put(k):
    held = references[k]
    touches(WRITE, held)
    if held.state == 2:
        held.state = 1
        page, held.page = held.page, None
        put_page(page)
        touches(WRITE, held)
        held.state = 0


def op_truncate(file, pages):
    """Truncate a file to `pages` - 1 pages, which may be more than it has."""
    since = now()
    length = min(pages - 1, FILE_PAGES)
    do_truncate(files[file].f_mapping.host, length * PAGE_SIZE)
    for index in range(length, FILE_PAGES):
        file_saw("store", file, index, 0, since)


def op_invalidate(file):
    invalidate_inode_pages(files[file].f_mapping)


def op_invalidate_page(file, index):
    invalidate_mapping_pages(files[file].f_mapping, index, index)


def op_invalidate2(file):
    """Invalidate a file, as a caller does that accepts the loss of dirty pages."""
    file_unjudged(file)
    invalidate_inode_pages2(files[file].f_mapping)


def op_invalidate2_page(file, index):
    file_unjudged(file)
    invalidate_inode_pages2_range(files[file].f_mapping, index, index)


# ---- reclaim ---------------------------------------------------------------------------------------------------------------


def op_shrink_cache(nr_pages):
    sc = current().sc
    reclaimer(sc, nr_pages)
    shrink_cache(zone_normal, sc)


def op_refill_inactive(nr_pages):
    sc = current().sc
    reclaimer(sc, nr_pages)
    refill_inactive_zone(zone_normal, sc)


def reclaimer(sc, nr_pages):
    """Set up a scan of the highest priority, which takes mapped pages too."""
    sc.gfp_mask = GFP_KERNEL
    sc.nr_to_scan = nr_pages
    sc.nr_scanned = 0
    sc.nr_reclaimed = 0
    sc.nr_to_reclaim = nr_pages
    sc.nr_mapped = 8
    sc.priority = 0


def op_reclaim():
    try_to_free_pages(GFP_KERNEL)
    not_a_victim()


def drain():
    """Exit, release and truncate everything, then reclaim: a page that is left over has leaked."""
    for p in processes:
        while p.born and p.threads:
            p.threads -= 1
            current().mm = p.mm
            exit_mm()
    for held in references:
        if held.state == 2:
            held.state = 0
            page, held.page = held.page, None
            put_page(page)
    for pvec in lru_add_pvecs:                      # in the kernel, each cpu drains its own pagevecs
        if pvec.pages:
            __pagevec_lru_add(taken(pvec))
    for pvec in lru_add_active_pvecs:
        if pvec.pages:
            __pagevec_lru_add_active(taken(pvec))
    for file in files:
        do_truncate(file.f_mapping.host, 0)
    for turn in range(6):
        op_refill_inactive(8)
        op_shrink_cache(8)
