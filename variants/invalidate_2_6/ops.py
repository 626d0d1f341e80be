# SPDX-License-Identifier: GPL-2.0-only
"""The operations of the shared interface in terms of this kernel: what user space or a daemon does to get there.

Processes. m0 runs from boot with all its pages mapped anonymously. The setup is run by single-threaded processes; when it ends,
each process gets as many threads (CLONE_VM) as there are tasks that name its address space, and a task that names it acts
as one of them. `exit` is exit_group: each thread leaves when it next comes by; one whose task has ended leaves at once.
An address space is born once: a fork into one that ever lived is a no-op. Files are read and written by whoever runs.

What user space saw. A word of a file is one register, whether it is reached by read(2), by write(2) or through a shared mapping,
and a truncate stores 0 in it. A word of an anonymous page is a register of its address space. An access counts only if what
the address shows was the same before and after it, as the process knows from its own calls. Not judged: private mappings
of files, which may or may not show what is stored after they were made; a file from which invalidate_inode_pages2() was called
without writing it first, for it throws away what is dirty; a file a direct write to which has failed; and a page of a file that was
written from memory which was not there.
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

FIRST_CONTENT = 1000                # a file's words at boot: no operation of a program writes so great a number


class process(struct):
    """One per address space: what its threads know between them."""
    mm = plain(None)
    threads_to_be = plain(1)            # tasks that name it
    born = plain(0)
    dying = plain(0)
    threads = plain(0)                  # that have not left
    idle = plain(0)                     # of these, whose tasks have ended
    left = plain(())                    # the tasks that have left


class mapped(struct):
    """What one address of a process shows. `shows` is a new object for each call that changes it: None while a call is under way
    or if it is not known, ("anon",), ("private", file), ("shared", file, index), or ("nothing",)."""
    shows = plain(("nothing",))
    changing = plain(0)                 # calls under way
    overlapped = plain(0)               # two of them at once, since it was last zero


class reference(struct):
    """One per pin: a reference to a page that somebody has found in the page cache."""
    page = plain(None)
    state = plain(0)                    # 0 free, 1 being taken or dropped, 2 held


class boot_state(struct):
    threaded = plain(0)                 # the setup is over


processes = [process("m0.process", mm=m0), process("m1.process", mm=m1), process("m2.process", mm=m2), process("m3.process", mm=m3)]
addresses = [[mapped("m0.0.mapped"), mapped("m0.1.mapped"), mapped("m0.2.mapped")],
             [mapped("m1.0.mapped"), mapped("m1.1.mapped"), mapped("m1.2.mapped")],
             [mapped("m2.0.mapped"), mapped("m2.1.mapped"), mapped("m2.2.mapped")],
             [mapped("m3.0.mapped"), mapped("m3.1.mapped"), mapped("m3.2.mapped")]]
references = [reference("k0.reference"), reference("k1.reference"), reference("k2.reference"), reference("k3.reference")]
files = [f0_file, f1_file]
user = boot_state("user")


def boot(threads):
    """Free memory, files on disk, the first process with its pages mapped. `threads[mm]`: how many tasks name each address space."""
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
    """The setup is over: every process gets its threads."""
    user.threaded = 1
    for p in processes:
        if p.born and p.threads:
            p.threads = clone_threads(p)


# ---- processes -----------------------------------------------------------------------------------------------------------


def clone_threads(p):
    """Nobody else acts in the process meanwhile. Returns how many threads it has now."""
    mm = current().mm
    for extra in range(p.threads_to_be - 1):
        current().mm = p.mm
        copy_mm(CLONE_VM, p.mm)
    current().mm = mm
    return p.threads_to_be


def enter(number):
    """Act as a thread of that process: its mm, or None if there is none (any more)."""
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
    """The thread that current is exits."""
    touches(WRITE, p)
    p.left += (current(),)
    p.threads -= 1
    do_exit(p)


def do_exit(p):
    current().flags &= ~PF_MEMDIE
    current().mm = p.mm
    exit_mm()


def leave(task, mms):
    """A task has nothing more to do: its threads sleep, or leave processes that are dying."""
    for number in mms:
        p = processes[number]
        touches(WRITE, p)
        if p.born and p.threads and current() not in p.left:
            if p.dying:
                leave_process(p)
            else:
                p.idle += 1


def die(p):
    """exit_group, by a thread of the process."""
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
    """A fault ended in a signal: SIGKILL, out of memory, ends the process; the others it catches, and gives up the access."""
    if signal == "SIGKILL":
        die(processes[number])


def not_a_victim():
    """Whoever acted for no process is not killed: its rights do not go to what runs here next."""
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
        addresses[child_number][page].shows = shown[page] if same else None     # nobody acts in the child yet
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
    """Calls that changed it at once do not know which was last, not even the one that returns last."""
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
    """Whose register an address stands for: (who, page of it), or None."""
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
    """For an address that shows another page of the file, or that one, and is shared: the system call refuses others."""
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
    """Where has it gone? If that is not sure, nothing it may have gone to is judged."""
    if signal:
        return                                      # SIGKILL comes instead of the access
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
    """A user buffer: memory that is always there."""
    buf = current().buf
    buf.address = None
    buf.value = value
    return buf


def at(number, page):
    """A user buffer: that page of the process."""
    buf = current().buf
    buf.address = USER_ADDRESSES[page]
    buf.where = number, page, shows(number, page)
    buf.copied = ()
    return buf


def copied_from_user(buf, word, value, since):
    """The kernel has loaded a word of a user buffer, in the step that runs now, and is about to store it. A load as any other."""
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
        file_unjudged(file)                         # it is on disk, and who sees it is anybody's guess
    not_a_victim()


def op_write_mapped(number, page, file, index):
    """What is copied was stored to the file when it was copied, and not before. Of what could not be copied the page holds zeros."""
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
    """To one page less than `pages`, which may be longer than the file is."""
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
    """The caller does not care for what is dirty."""
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
    """A scan in trouble: it takes mapped pages too."""
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
    """Give everything up, then reclaim until nothing moves: what is left over has leaked."""
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
    for pvec in lru_add_pvecs:                      # each cpu drains its own
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
