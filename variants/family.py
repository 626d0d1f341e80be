# SPDX-License-Identifier: GPL-2.0-only
"""The shared VM interface: the operations a user of the VM has, and what a family and a variant are.

One operation language for all families. A family has an operation if its kernel source defines `op_NAME`; a variant may
lack more. An operation whose operand is gone (exited, unmapped, never pinned) is a no-op by rule, so every program is
legal. Operands are symbolic:

    m0 .. m3      address spaces: m0 is alive at boot, fork makes the others
    m0.2          a page of one
    f0, f1        files     f0.1  a page of one
    k0 .. k3      pins (a get_user_pages reference, or another that is kept for a while)
    3             a small number
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.link.linker import Image, link

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
    """One thing a user of the VM can do: its name, the kinds of its operands, what it means. `writes`: it is given a value that
    no other operation of the program writes."""

    name: str
    operands: tuple[str, ...]
    meaning: str
    writes: bool = False


OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in (
    Operation("map", ("page",), "mmap one anonymous private page"),
    Operation("unmap", ("page",), "munmap it"),
    Operation("store", ("page",), "write a value nobody else writes to both words of a page", True),
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
    Operation("shrink_cache", ("number",), "reclaim so many pages from the inactive list"),
    Operation("refill_inactive", ("number",), "move so many pages from the active to the inactive list"),
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
    Operation("write", ("fpage",), "write(2) of a file page, with a value nobody else writes in both words", True),
    Operation("direct_write", ("fpage",), "the same with O_DIRECT, past the page cache", True),
    Operation("write_mapped", ("page", "fpage"), "write(2) of a file page from a page of memory, which may be a mapping of it"),
    Operation("populate", ("page", "fpage"), "remap_file_pages: let a page of a shared mapping show that page of its file, and map it"),
    Operation("take", ("fpage", "pin"), "find a cached file page and keep the reference for a while, as a scanner does"),
    Operation("invalidate_page", ("fpage",), "invalidate_mapping_pages, of one page"),
    Operation("invalidate2_page", ("fpage",), "invalidate_inode_pages2_range, of one page"),
    Operation("writeback", ("file",), "start to write the dirty pages of a file, as pdflush does"),
    Operation("sync", ("file",), "fsync: write the dirty pages of a file and wait for them"),
)}


@dataclass(frozen=True)
class Variant:
    """A patch, or none: the modules linked over the family's base, and where it comes from."""

    name: str
    modules: tuple[str, ...]
    summary: str
    source: str


@dataclass
class Family:
    """A set of variants over one base. `check` judges an image at rest: (title, detail) for each invariant that fails.

    `drained` does so after everything was given up and reclaimed; `describe` tells each page in a few words.

    The linked operations define, besides each `op_NAME`: `boot(threads)`, which makes the first process, with `threads[mm]`
    tasks in each address space to come; `start()`, the end of the setup; `leave(task, mms)`, a task's last act, with the
    address spaces it names; `drain()`, which gives everything up.
    """

    name: str
    summary: str
    era: str
    base: tuple[str, ...]
    variants: dict[str, Variant]
    check: Callable[[Image], Iterable[tuple[str, str]]]
    drained: Callable[[Image], Iterable[tuple[str, str]]]
    describe: Callable[[Image], dict[str, str]]
    tail: tuple[str, ...] = ()
    seeds: str = ""
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)       # variant -> operations it lacks

    def link(self, variant: str, core: str = "fast", probes: bool = False, toolkit: dict[str, Any] | None = None) -> Image:
        """The image of one variant: base, its patches, then the operations."""
        modules = (*self.base, *self.variants[variant].modules, *self.tail)
        image = link(*modules, core=core, probes=probes, toolkit=toolkit)
        image.name = f"{self.name}/{variant}"
        return image

    def operations(self, image: Image, variant: str) -> tuple[str, ...]:
        """The operations this variant has, in the order of the shared interface."""
        lacks = self.without.get(variant, ())
        return tuple(name for name in OPERATIONS if name not in lacks and image.defines(f"op_{name}"))


# name -> module with FAMILY; one line per family
FAMILIES: dict[str, str] = {
    "lru_free_2_4": "variants.lru_free_2_4.family",
    "invalidate_2_6": "variants.invalidate_2_6.family",
}


def family(name: str) -> Family:
    """The family of that name. KeyError if there is none."""
    return importlib.import_module(FAMILIES[name]).FAMILY
