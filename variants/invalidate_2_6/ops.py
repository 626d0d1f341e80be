# SPDX-License-Identifier: GPL-2.0-only
"""The operations of the shared interface on this kernel: the system calls and daemon passes behind each of them.

user_space.py has the processes, and what their addresses, pins and files show. Any task may read and write files.
"""
from vmrace.harness.kernel import READ, WRITE, current, embed, happens_after, now, plain, saw, struct, touches
from vmrace.variants.invalidate_2_6.pre_2_6_15.bio import __bio_map_user_iov, __bio_unmap_user
from vmrace.variants.invalidate_2_6.pre_2_6_15.ext2 import do_truncate, sys_fsync
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import (
    __generic_file_aio_read,
    do_generic_mapping_read,
    find_get_page,
    find_lock_page,
    generic_file_write,
    sys_readahead,
    unlock_page,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.fork import exit_mm, mm_alloc
from vmrace.variants.invalidate_2_6.pre_2_6_15.fremap import sys_remap_file_pages
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import bio_put, server_write
from vmrace.variants.invalidate_2_6.pre_2_6_15.madvise import sys_madvise
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import page_cache_release, put_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.mmap import do_mmap2
from vmrace.variants.invalidate_2_6.pre_2_6_15.mremap import sys_mremap
from vmrace.variants.invalidate_2_6.pre_2_6_15.msync import sys_msync
from vmrace.variants.invalidate_2_6.pre_2_6_15.nfs import nfs_revalidate_mapping
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import writeback_single_inode
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import __pagevec_lru_add, __pagevec_lru_add_active, mark_page_accessed
from vmrace.variants.invalidate_2_6.pre_2_6_15.truncate import (
    invalidate_inode_pages,
    invalidate_inode_pages2,
    invalidate_inode_pages2_range,
    invalidate_mapping_pages,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.vmscan import refill_inactive_zone, shrink_cache, try_to_free_pages
from vmrace.variants.invalidate_2_6.types import (
    ENOMEM,
    FILE_PAGES,
    GFP_KERNEL,
    MADV_DONTNEED,
    MAP_FIXED,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    MS_SYNC,
    PAGE_SIZE,
    PF_MEMDIE,
    PROT_READ,
    PROT_WRITE,
    USER_ADDRESSES,
    bio,
    f0_disk,
    f0_file,
    f1_disk,
    f1_file,
    lru_add_active_pvecs,
    lru_add_pvecs,
    zone_normal,
)
from vmrace.variants.mmu import device_read, device_write, read_word_of, user_store
from vmrace.variants.pagevec_h import taken
from vmrace.variants.user_space import (
    FILE_NAMES,
    FIRST_CONTENT,
    access,
    accessed,
    begin_change,
    begin_direct,
    begin_discard,
    begin_move,
    begin_pin,
    begin_truncate,
    boot_processes,
    coherent,
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
    hand_over,
    killed,
    long_enough,
    map_program,
    not_a_victim,
    pin_shows,
    processes,
    reaches,
    read_result,
    saw_device_load,
    saw_device_store,
    saw_file,
    saw_load,
    saw_page,
    saw_read,
    saw_rewrite,
    saw_store,
    shown_elsewhere,
    shows,
    truncates,
)


class reference(struct):
    """The reference of a pin, to a page that a task has found in the page cache or in an address space. In the second case a bio has it."""
    page = plain(None)
    state = plain(0)                    # 0 free, 1 being made, used or dropped, 2 held
    pinned = plain(0)                   # 0 found in the page cache; as a bio: 1 for the device to read, 2 to write
    written = plain(0)                  # 1 if the device has written
    dirtied = plain(())                 # pages that were dropped when the end of a pin dirtied them, and have no mapping yet
    bio = embed(bio)


class past_cache(struct):
    """The writes to the disk of a file that go past the page cache: a direct read may see one before cached reads do."""
    begun = plain(0)
    ended = plain(0)


references = [reference("k0.reference"), reference("k1.reference"), reference("k2.reference"), reference("k3.reference")]
files = [f0_file, f1_file]
writes_past_cache = [past_cache("f0.past_cache"), past_cache("f1.past_cache")]


def boot(threads):
    """Fill the disks, and start the first process with its pages mapped. `threads[mm]` is the number of tasks that name each address
    space."""
    for file in range(len(files)):
        for index in range(FILE_PAGES):
            content = FIRST_CONTENT + file * FILE_PAGES + index
            block = [[f0_disk.block0, f0_disk.block1], [f1_disk.block0, f1_disk.block1]][file][index]
            block.word0 = block.word1 = content
            saw_page("direct store", FILE_NAMES[file], index, content, now())
    first = processes[0]
    mm_alloc(first.mm)
    current().mm = first.mm
    map_program()
    boot_processes(threads)
    current().mm = None


def act_as(p):
    current().mm = p.mm


def map_page(page, flags, file, index):
    return do_mmap2(USER_ADDRESSES[page], PAGE_SIZE, PROT_READ | PROT_WRITE, flags | MAP_FIXED, file, index)


def exit_thread():
    current().flags &= ~PF_MEMDIE
    exit_mm(current())


# ---- memory ------------------------------------------------------------------------------------------------------------------


def op_populate(number, page, file, index):
    """Call remap_file_pages() on an address that shows a page of the file, shared: it refuses other addresses."""
    mm = enter(number)
    if mm is None:
        return
    shown = shows(number, page)
    if shown is None or shown[0] != "shared" or shown[1] != file:
        return
    since = now()
    begin_change(number, page, ("shared", file, index))
    error = sys_remap_file_pages(USER_ADDRESSES[page], PAGE_SIZE, index, 0)
    end_change(number, page, None if error else ("shared", file, index))
    saw_page("rewrite", FILE_NAMES[file], index, 0, since)      # a writable page is mapped by a write fault, which may make it dirty
    not_a_victim()
    return error


def op_store(number, page, value):
    mm = enter(number)
    if mm is None:
        return
    begun = access(number, page)
    for word in (0, 1):
        since = now()
        signal = user_store(USER_ADDRESSES[page], word, value)
        if signal:
            saw_rewrite(number, page, begun, since)     # SIGKILL replaced the access, but the pte may be dirty
            killed(number, page, begun, signal, "store")
            return signal
        saw_store(number, page, begun, word, value, since)


# ---- files -----------------------------------------------------------------------------------------------------------------


def op_read(file, index):
    length = long_enough(file, index)
    since = now()
    copied = do_generic_mapping_read(files[file].f_mapping, index, files[file])
    saw_read("load", file, index, copied, length, since)
    not_a_victim()
    return read_result(copied)


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
    buf.where = number, page, access(number, page)
    buf.copied = ()
    buf.moved = ()
    return buf


def copied_from_user(buf, word, value, since):
    """Record that the kernel loaded a word of a user buffer, in the current step. It is judged as any other load."""
    if buf.address is None:
        return
    number, page, begun = buf.where
    saw_load(number, page, begun, word, value, since)
    buf.copied += ((word, value, now()),)


def op_write(file, index, value):
    token = truncates(file)
    since = now()
    written = generic_file_write(files[file], index, holding(value), 0)
    if written > 0:
        saw_page("store", FILE_NAMES[file], index, value, since)
        reaches(file, index, token)
    else:
        saw_error(file, index, written, "write", since)
    not_a_victim()
    return written


def op_direct_write(file, index, value):
    """Write past the page cache. If the kernel cannot drop the cached page, the data is on disk, and readers may see either."""
    token = truncates(file)
    since = now()
    cut(file)
    begin_past_cache(file)
    written = generic_file_write(files[file], index, holding(value), 1)
    end_past_cache(file)
    if written > 0:
        saw_page("direct store", FILE_NAMES[file], index, value, since)
        reaches(file, index, token)
    else:
        saw_page("may", FILE_NAMES[file], index, value, since)
        saw_error(file, index, written, "direct_write", since)
    saw_page("discard", FILE_NAMES[file], index, 0, since)
    not_a_victim()
    return written


def saw_error(file, index, error, what, since):
    """Record the error of a call, whose cause can be a page of the file that is not on disk."""
    if error < 0 and error != -ENOMEM:
        saw("failed, dirty", FILE_NAMES[file], index, f"{error_name(error)} in {what}, the file is clean", since)


def op_write_mapped(number, page, file, index):
    """Write from memory. A word counts as stored at the step at which it was copied. The page may hold zeros for words not copied."""
    mm = enter(number)
    if mm is None:
        return
    token = truncates(file)
    begin = now()
    buf = at(number, page)
    written = generic_file_write(files[file], index, buf, 0)
    for word, value, since in buf.copied:
        saw("store", FILE_NAMES[file], (index, word), value, since)
    begun = buf.where[2]
    buf.where, buf.copied = None, ()
    if written == PAGE_SIZE:
        reaches(file, index, token)
    elif written != -ENOMEM:
        saw_page("may", FILE_NAMES[file], index, 0, begin)
    if current().flags & PF_MEMDIE:
        killed(number, page, begun, "SIGKILL", "write_mapped")
    return written


def op_writeback(file):
    writeback_single_inode(files[file].f_mapping.host)
    not_a_victim()


def op_sync(file):
    since = now()
    error = sys_fsync(files[file])
    saw_file("synced", file, 0, since)
    not_a_victim()
    return error


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
    held.pinned = held.written = 0
    page = find_get_page(files[file].f_mapping, index)
    touches(WRITE, held)
    held.page = page
    hand_over(held, 2 if page else 0)


def op_put(k):
    held = references[k]
    touches(WRITE, held)
    if held.state == 2 and not held.written:        # whoever had a device write must dirty the page
        happens_after(held)
        held.state = 1
        page, held.page = held.page, None
        if held.pinned:
            bio_put(held.bio)                       # ptrace and the network had none
        put_page(page)
        touches(WRITE, held)
        held.state = 0


def op_truncate(file, pages):
    """Truncate a file to `pages` - 1 pages, which may be more than it has."""
    since = now()
    length = min(pages - 1, FILE_PAGES)
    token = begin_truncate(file, length)
    do_truncate(files[file].f_mapping.host, length * PAGE_SIZE)
    end_truncate(file, length, since, token)


def op_invalidate(file):
    cut(file)
    invalidate_inode_pages(files[file].f_mapping)


def op_invalidate_page(file, index):
    cut(file)
    invalidate_mapping_pages(files[file].f_mapping, index, index)


def op_invalidate2(file):
    """Invalidate a file, as a caller does that accepts the loss of dirty pages."""
    since = now()
    cut(file)
    error = invalidate_inode_pages2(files[file].f_mapping)
    saw_file("discard", file, 0, since)
    saw_error(file, None, error, "invalidate2", since)


def op_invalidate2_page(file, index):
    since = now()
    cut(file)
    error = invalidate_inode_pages2_range(files[file].f_mapping, index, index)
    saw_page("discard", FILE_NAMES[file], index, 0, since)
    saw_error(file, index, error, "invalidate2", since)


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
    exit_all()
    for held in references:
        if held.state == 2:
            held.state = 0
            if held.pinned:
                bio_put(held.bio)
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


def op_direct_write_mapped(number, page, file, index):
    """Write from memory that the device reads. If the block is a hole, the kernel copies the memory, as in op_write_mapped()."""
    if enter(number) is None:
        return
    token = truncates(file)
    since = now()
    buf = at(number, page)
    begun = buf.where[2]
    pinned = begin_direct(number, page)
    cut(file)
    begin_past_cache(file)
    written = generic_file_write(files[file], index, buf, 1)
    end_past_cache(file)
    moved = buf.moved
    judged = coherent(number, page, pinned)
    for word, value in enumerate(moved):
        if judged:
            saw_load(number, page, begun, word, value, since)
        saw("direct store" if written > 0 else "may", FILE_NAMES[file], (index, word), value, since)
    for word, value, copied in buf.copied:
        saw("store", FILE_NAMES[file], (index, word), value, copied)
    buf.where, buf.copied, buf.moved = None, (), ()
    if written == PAGE_SIZE:
        reaches(file, index, token)
    elif moved:
        saw_error(file, index, written, "direct_write", since)
    elif written != -ENOMEM:
        saw_page("may", FILE_NAMES[file], index, 0, since)
    saw_page("discard", FILE_NAMES[file], index, 0, since)
    if current().flags & PF_MEMDIE:
        killed(number, page, begun, "SIGKILL", "direct_write_mapped")
    return written


# ---- a server ----------------------------------------------------------------------------------------------------------------


def op_revalidate(file, index, value):
    """The disk is the server. A page that the file has no block for stays as it is. Revalidation drops what is dirty by then."""
    inode = files[file].f_mapping.host
    since = now()
    cut(file)
    begin_past_cache(file)
    changed = server_write(inode, index, value)
    error = nfs_revalidate_mapping(inode.i_mapping) if changed else 0
    end_past_cache(file)
    if not changed:
        return
    saw_file("discard", file, 0, since)
    if error:
        saw_page("unknown", FILE_NAMES[file], index, "a load after a revalidation that failed", since)
        saw_error(file, None, error, "revalidate", since)
    else:
        saw_page("server", FILE_NAMES[file], index, value, since)


# ---- pins ------------------------------------------------------------------------------------------------------------------


def pin_user_page(number, page, k, write_to_vm):
    """Have a driver map a page of a process for I/O: for a device to write to with `write_to_vm`, else to read from."""
    held = references[k]
    touches(WRITE, held)
    if held.state:
        return
    if enter(number) is None:
        return
    held.state = 1
    held.pinned = 1 + write_to_vm
    held.written = 0
    begun = access(number, page)
    since = now()
    begin_pin(k, number, page, write_to_vm)
    bio = __bio_map_user_iov(held.bio, None, USER_ADDRESSES[page], write_to_vm)
    error = bio if isinstance(bio, int) else 0
    held.page = None if error else bio.bi_io_vec[0].bv_page
    end_pin(k)
    if write_to_vm:
        saw_rewrite(number, page, begun, since)         # the page is dirty, and again when the pin is dropped
    hand_over(held, 0 if error else 2)
    if current().flags & PF_MEMDIE:
        killed(number, page, None, "SIGKILL", "pin")
    return error


def op_pin(number, page, k):
    return pin_user_page(number, page, k, 1)


def op_pin_read(number, page, k):
    return pin_user_page(number, page, k, 0)


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
    """The page need not be dirty before the pin is dropped, so what the device stores is not on disk for certain."""
    held = use_pin(k, 2)
    if held is None:
        return
    begun = pin_shows(k)
    since = now()
    held.written = 1
    device_write(held.page, value)
    for word in (0, 1):
        saw_device_store(k, begun, word, value, since, 1)
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
    held = use_pin(k, 1)
    if held is None:
        return
    page = held.page if held.pinned == 2 else None
    __bio_unmap_user(held.bio)
    held.page = None
    if page:
        held.dirtied = tuple(each for each in (*held.dirtied, page) if each._mapping is None)
    touches(WRITE, held)
    held.state = 0


# ---- readahead -------------------------------------------------------------------------------------------------------------


def op_readahead(file):
    got = sys_readahead(files[file], 0, FILE_PAGES * PAGE_SIZE)
    not_a_victim()
    return got


# ---- direct reads ----------------------------------------------------------------------------------------------------------


def begin_past_cache(file):
    touches(WRITE, writes_past_cache[file])
    writes_past_cache[file].begun += 1


def end_past_cache(file):
    touches(WRITE, writes_past_cache[file])
    writes_past_cache[file].ended += 1


def op_direct_read(file, index):
    """A read that overlaps a write past the cache is not judged: a cached read may be the later one and see the older value."""
    past = writes_past_cache[file]
    touches(READ, past)
    writes = past.begun if past.begun == past.ended else None
    length = long_enough(file, index)
    since = now()
    buf = holding(0)
    got = __generic_file_aio_read(files[file], index, buf)
    read = (read_word_of(buf.data, 0), read_word_of(buf.data, 1)) if got > 0 else got or None
    touches(READ, past)
    if past.begun == writes:
        saw_read("disk load", file, index, read, length, since)
    return got


# ---- more calls on memory ------------------------------------------------------------------------------------------------


def op_msync(number, page):
    """Write a file with the dirty bit of one pte. Stores through other mappings need not be on disk then."""
    if enter(number) is None:
        return
    begun = access(number, page)
    since = now()
    shown = begun[0]
    alone = shown is not None and shown[0] == "shared" and not shown_elsewhere(number, page, shown[1], shown[2])
    touches(READ, *references)
    alone = alone and not any([held.state and held.pinned == 2 for held in references])
    error = sys_msync(USER_ADDRESSES[page], PAGE_SIZE, MS_SYNC)
    if not error and accessed(number, page, begun) is not None and shown[0] == "shared":
        saw_file("synced", shown[1], 0, since)
        if alone:
            saw_page("msynced", FILE_NAMES[shown[1]], shown[2], 0, since)
    return error


def op_dontneed(number, page):
    if enter(number) is None:
        return
    begun = begin_discard(number, page)
    error = sys_madvise(USER_ADDRESSES[page], PAGE_SIZE, MADV_DONTNEED)
    end_discard(number, page, begun, error)
    return error


def op_mremap(number, page, other, target):
    """Move a mapping within one address space."""
    if other != number or target == page:
        return
    if enter(number) is None:
        return
    since = now()
    begun = begin_move(number, page, target)
    address = sys_mremap(USER_ADDRESSES[page], PAGE_SIZE, PAGE_SIZE, MREMAP_FIXED | MREMAP_MAYMOVE, USER_ADDRESSES[target])
    end_move(number, page, target, begun, address < 0, since)
    return error_of(address)
