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
    """An action of a user of the VM: its name, the kinds of its operands, and its meaning. With `writes`, it also gets a value that no
    other operation of the program writes."""

    name: str
    operands: tuple[str, ...]
    meaning: str
    writes: bool = False


OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in (
    Operation("map", ("page",), "mmap one anonymous private page"),
    Operation("unmap", ("page",), "munmap it"),
    Operation("store", ("page",), "write a value to both words of a page, which no other operation writes", True),
    Operation("load", ("page",), "read both words of a page"),
    Operation("fork", ("mm", "mm"), "fork the first address space into the second"),
    Operation("exit", ("mm",), "every thread of the process exits, each when it next comes by"),
    Operation("pin", ("page", "pin"), "get_user_pages for writing: take a reference for I/O"),
    Operation("dma", ("pin",), "a device writes through a pin", True),
    Operation("unpin", ("pin",), "drop a pin with page_cache_release, as unmap_kiobuf does"),
    Operation("put", ("pin",), "drop a pin with put_page, as ptrace and the network do"),
    Operation("irq_unpin", ("pin",), "the device's completion interrupt drops the pin with page_cache_release"),
    Operation("irq_put", ("pin",), "the device's completion interrupt drops the pin with put_page"),
    Operation("swap_out", (), "scan the page tables once for pages to swap out"),
    Operation("shrink_cache", ("number",), "reclaim that number of pages from the inactive list"),
    Operation("refill_inactive", ("number",), "move that number of pages from the active to the inactive list"),
    Operation("reclaim", (), "direct reclaim, all priorities"),
    Operation("read", ("fpage",), "read(2) of a file page"),
    Operation("mmap_private", ("page", "fpage"), "map a file page privately in place of what is there"),
    Operation("mmap_shared", ("page", "fpage"), "map a file page shared in place of what is there"),
    Operation("touch", ("fpage",), "find a cached file page and mark it accessed"),
    Operation("lock", ("fpage",), "find_lock_page, then unlock and release"),
    Operation("truncate", ("file", "number"), "truncate the file to one page less than that number"),
    Operation("invalidate", ("file",), "invalidate_inode_pages"),
    Operation("invalidate2", ("file",), "invalidate_inode_pages2"),
    Operation("swapon", (), "read a swap header page through rw_swap_page_nolock"),
    Operation("write", ("fpage",), "write(2) of a file page, with a value in both words that no other operation writes", True),
    Operation("direct_write", ("fpage",), "the same with O_DIRECT, past the page cache", True),
    Operation("write_mapped", ("page", "fpage"), "write(2) of a file page from a page of memory, which may be a mapping of it"),
    Operation("populate", ("page", "fpage"), "remap_file_pages: let a page of a shared mapping show that page of its file, and map it"),
    Operation("take", ("fpage", "pin"), "find a cached file page and keep the reference for a while, as a scanner does"),
    Operation("invalidate_page", ("fpage",), "invalidate_mapping_pages, of one page"),
    Operation("invalidate2_page", ("fpage",), "invalidate_inode_pages2_range, of one page"),
    Operation("writeback", ("file",), "start to write the dirty pages of a file, as pdflush does"),
    Operation("sync", ("file",), "fsync: write the dirty pages of a file and wait for them"),
)}
