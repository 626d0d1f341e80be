# SPDX-License-Identifier: GPL-2.0-only
"""The operations of the shared interface, and their operands."""

from __future__ import annotations

from dataclasses import dataclass

MMS, MM_PAGES, FILES, FILE_PAGES, PINS, NUMBER_MAX = 4, 3, 2, 2, 4, 4
# kind -> every operand of that kind
OPERANDS: dict[str, tuple[str, ...]] = {
    "mm": tuple(f"m{n}" for n in range(MMS)),
    "page": tuple(f"m{n}.{p}" for n in range(MMS) for p in range(MM_PAGES)),
    "file": tuple(f"f{n}" for n in range(FILES)),
    "fpage": tuple(f"f{n}.{p}" for n in range(FILES) for p in range(FILE_PAGES)),
    "pin": tuple(f"k{n}" for n in range(PINS)),
    "number": tuple(str(n) for n in range(1, NUMBER_MAX + 1)),
}


@dataclass(frozen=True)
class Operation:
    """An action of a user of the VM: its name, the kinds of its operands, and its meaning in one sentence. With `writes`, it also gets a
    value that no other operation of the program writes."""

    name: str
    operands: tuple[str, ...]
    meaning: str
    writes: bool = False


OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in (
    Operation("map", ("page",), "Map one anonymous private page with mmap."),
    Operation("unmap", ("page",), "Unmap one page with munmap."),
    Operation("store", ("page",), "Write a value that no other operation writes to both words of a page.", True),
    Operation("load", ("page",), "Read both words of a page."),
    Operation("dontneed", ("page",), "Discard what one page of memory maps with madvise(MADV_DONTNEED); the address stays mapped."),
    Operation("protect", ("page",), "Forbid stores to one page of memory with mprotect(PROT_READ)."),
    Operation("unprotect", ("page",), "Allow loads and stores of one page of memory with mprotect."),
    Operation("mremap", ("page", "page"),
              "Move one page of memory, with what it shows, to the second address of the same address space, with mremap."),
    Operation("fork", ("mm", "mm"), "Fork the first address space into the second."),
    Operation("exit", ("mm",), "End a process: each of its threads exits when it next runs an operation."),
    Operation("exec", ("mm",), "Run another program in a process with one thread: its memory is mapped afresh."),
    Operation("pin", ("page", "pin"), "Take a reference to a page for I/O, with get_user_pages for writing."),
    Operation("pin_read", ("page", "pin"), "Take a reference to a page for I/O, with get_user_pages for reading."),
    Operation("dma", ("pin",), "Have a device write through a pin.", True),
    Operation("load_pin", ("pin",), "Have a device read both words through a pin."),
    Operation("unpin", ("pin",), "Drop a pin with page_cache_release, as unmap_kiobuf and bio_unmap_user do."),
    Operation("put", ("pin",), "Drop a pin with put_page, as ptrace and the network do."),
    Operation("irq_unpin", ("pin",), "Have the completion interrupt of the device drop a pin with page_cache_release."),
    Operation("irq_put", ("pin",), "Have the completion interrupt of the device drop a pin with put_page."),
    Operation("swap_out", (), "Scan the page tables once for pages to swap out."),
    Operation("shrink_cache", ("number",), "Reclaim at most that number of pages from the inactive list."),
    Operation("refill_inactive", ("number",), "Move at most that number of pages from the active to the inactive list."),
    Operation("reclaim", (), "Reclaim pages directly, at all priorities."),
    Operation("reclaim_nofs", ("fpage",),
              "Reclaim pages without entering the file system, under the lock of a file page if it is cached and without buffers."),
    Operation("kswapd", (), "Balance the zones that are short of pages, as kswapd does each time it is woken."),
    Operation("hog", ("number",), "Have a driver allocate that number of pages and keep them."),
    Operation("unhog", (), "Have the driver free the pages that it keeps."),
    Operation("read", ("fpage",), "Read a file page with read(2)."),
    Operation("mmap_private", ("page", "fpage"), "Map a file page privately in place of what is at the address."),
    Operation("mmap_shared", ("page", "fpage"), "Map a file page shared in place of what is at the address."),
    Operation("touch", ("fpage",), "Find a cached file page and mark it accessed."),
    Operation("lock", ("fpage",), "Find a cached file page and lock it with find_lock_page, then unlock and release it."),
    Operation("truncate", ("file", "number"), "Truncate a file to one page less than that number."),
    Operation("invalidate", ("file",), "Drop the clean, unused pages of a file from the page cache with invalidate_inode_pages."),
    Operation("invalidate2", ("file",), "Drop the pages of a file from the page cache with invalidate_inode_pages2, mapped ones too."),
    Operation("swapon", (), "Read the header page of a swap device with rw_swap_page_nolock."),
    Operation("swapoff", (), "Read in all pages of the swap device and give it up."),
    Operation("lock_memory", ("page",), "Bring a page of memory in and keep it there, with mlock."),
    Operation("unlock_memory", ("page",), "Let a page of memory be swapped out again, with munlock."),
    Operation("attach", ("page", "number"), "Map a page of a shared memory object in place of what is at the address."),
    Operation("resize", ("number",), "Truncate the shared memory object to one page less than that number."),
    Operation("bdflush", (), "Write dirty buffers, as bdflush does each time it is woken."),
    Operation("write", ("fpage",), "Write a value that no other operation writes to both words of a file page with write(2).", True),
    Operation("direct_write", ("fpage",), "Write such a value to a file page with O_DIRECT, past the page cache.", True),
    Operation("direct_write_mapped", ("page", "fpage"),
              "Write a file page with O_DIRECT from a page of memory, which may be a mapping of that file."),
    Operation("write_mapped", ("page", "fpage"),
              "Write a file page with write(2) from a page of memory, which may be a mapping of that file page."),
    Operation("populate", ("page", "fpage"),
              "Have a page of a shared mapping show that page of its file, and map it, with remap_file_pages."),
    Operation("take", ("fpage", "pin"), "Find a cached file page and keep a reference to it for a while, as a scanner does."),
    Operation("invalidate_page", ("fpage",), "Drop one page of a file from the page cache with invalidate_mapping_pages."),
    Operation("invalidate2_page", ("fpage",), "Drop one page of a file from the page cache with invalidate_inode_pages2_range."),
    Operation("revalidate", ("fpage",),
              "Have the server of a file change a page of it, as another client's write does, then revalidate it, as open does on NFS.",
              True),
    Operation("writeback", ("file",), "Start to write the dirty pages of a file, as pdflush does."),
    Operation("sync", ("file",), "Write the dirty pages of a file and wait for them, with fsync."),
    Operation("readahead", ("file",), "Start to read the pages of a file that are not cached, with readahead(2)."),
    Operation("direct_read", ("fpage",), "Read a file page with O_DIRECT, past the page cache."),
    Operation("msync", ("page",), "Write the file that a page of memory shows, what was stored through the page too, with msync(MS_SYNC)."),
    Operation("pin_force", ("page", "pin"),
              "Take a reference to a page for I/O, with get_user_pages for writing, even if the process may not store to it."),
    Operation("poke", ("page",), "Write such a value to both words of a page with ptrace, even if the process may not store to it.", True),
    Operation("dontfork", ("page",), "Have forks leave out one page of memory, with madvise(MADV_DONTFORK)."),
    Operation("dofork", ("page",), "Have forks copy one page of memory again, with madvise(MADV_DOFORK)."),
    Operation("migrate", ("page",), "Move what one page of memory maps to another frame with move_pages, unless other processes map it."),
    Operation("migrate_all", ("page",), "Move what one page of memory maps to another frame with move_pages, whoever maps it."),
    Operation("reclaim_page", ("page",), "Age one page of memory until reclaim unmaps it and writes it to swap, or frees it after that."),
    Operation("add_swap", ("number",), "Put a swap area of that number of pages into use with swapon."),
)}
