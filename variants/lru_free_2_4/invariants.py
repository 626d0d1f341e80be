# SPDX-License-Identifier: GPL-2.0-only
"""The invariants of the family at rest, when all tasks have ended and no interrupt is pending (O1, O3, O8 to O11 of its history).

Each check returns (title, detail), and the object that fails if there is one.

A page must have one reference for each pte, one for its mapping, one for its buffers, one for each
pin and, in variants that count it, one for the LRU. These are its owners.

A private mapping may write a page only if no other process can reach it: by a pte, by a swap entry of a pte, or in the page cache of a
file. A page of a shared mapping is the page that its file has in the page cache. A count agrees with what it counts: rss with the ptes
of pages that are not reserved, map_count with both lists of vmas, nrpages with the lists of a mapping and with the hash chains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from vmrace.harness.finding import Failure, Kind
from vmrace.harness.link.image import Image

invariant, leak = Kind.INVARIANT.title, Kind.LEAK.title


def counted(image: Image) -> bool:
    """True if the variant counts a page's place on the LRU as a reference."""
    return image.defines("LRU_PLUS_CACHE")


class _Tables:
    """The objects that the checks read. They are looked up once for each image, because a check follows every run."""

    def __init__(self, image: Image):
        ns = image.namespace
        self.lru, self.active, self.locked = 1 << ns["PG_lru"], 1 << ns["PG_active"], 1 << ns["PG_locked"]
        self.zone, self.vm = ns["zone_normal"], ns["vm"]
        self.active_list, self.inactive_list = ns["active_list"], ns["inactive_list"]
        self.pages = tuple((page, page.flags, page.count, page.lru, page.list) for page in ns["mem_map"])
        self.mms = (ns["m0"], ns["m1"], ns["m2"], ns["m3"], ns["m4"])
        self.spaces = tuple((mm, ((mm.pte0, mm.vma0), (mm.pte1, mm.vma1), (mm.pte2, mm.vma2))) for mm in self.mms)
        self.zero, self.shared = ns["empty_zero_page"], ns["VM_SHARED"]
        self.mappings = (ns["f0"].i_mapping, ns["f1"].i_mapping, ns["s0"].i_mapping, ns["swapper_space"])
        self.mapping_of = {pages: mapping for mapping in self.mappings
                           for pages in (mapping.clean_pages, mapping.dirty_pages, mapping.locked_pages)}
        self.buckets, self.hashed, self.cache_size = tuple(ns["page_hash_table"]), ns["page_hash"], ns["vm"].page_cache_size
        self.ptes = tuple(slot for mm in self.mms for slot in (mm.pte0, mm.pte1, mm.pte2))
        self.iobufs = (ns["k0"], ns["k1"], ns["k2"], ns["k3"])
        self.hog = ns["hog"]
        self.shared_memory = ns["s0"].shmem_i.i_direct.items
        self.swapper_space = ns["swapper_space"]
        self.device = ns["swap_info"][0]
        self.swap_map = self.device.swap_map.items
        self.offsets = {ns["SWP_ENTRY"](0, offset): offset for offset in range(len(self.swap_map))}
        self.lru_counts = counted(image)


def _tables(image: Image) -> _Tables:
    return image.cache.get("tables") or image.cache.setdefault("tables", _Tables(image))


def check(image: Image) -> list[Failure]:
    """Judge an image at rest: return a title, a detail and the object of each invariant that fails."""
    t = _tables(image)
    out: list[Failure] = []
    references, swapped = _references(t)
    zone, active, inactive, space = t.zone, t.active_list, t.inactive_list, t.swapper_space
    free_list = zone.free_list
    cached = []
    in_use = t.lru | t.active | t.locked
    free = active_seen = inactive_seen = 0
    for page, flags, counter, lru, link in t.pages:
        word, count = flags.word, counter.counter
        where, mapping = lru.on, page._mapping
        if link.on is free_list:
            free += 1
            if count or where is not None or word & in_use or mapping is not None or page._buffers is not None or page in references:
                owners = references.get(page, 0) + (mapping is not None) + (page._buffers is not None)
                out.append(_in_use(page, count, owners, word, where))
            continue
        owners = references.get(page, 0) + (mapping is not None) + (page._buffers is not None)
        if mapping is space:
            cached.append(page._index)
        if word & t.locked:
            out.append((invariant("a page stays locked and nobody will unlock it"), page.name, page))
        if (where is not None) != bool(word & t.lru) or (where is active) != bool(word & t.active):
            out.append((invariant("PG_lru and PG_active disagree with the lists"), f"{page.name} is on {where}, flags {word:#x}", page))
        active_seen += where is active
        inactive_seen += where is inactive
        expected = owners + (1 if t.lru_counts and word & t.lru else 0)
        if count != expected:
            out.append(_miscount(page, count, expected))
        elif not count:
            kind = "deferred" if where is not None else "lost"
            out.append((leak(f"{kind} page: no reference, not free"), page.name, page))
    if zone._free_pages != free:
        out.append((invariant("free_pages differs from the length of the free list"), f"{zone._free_pages}, not {free}"))
    vm = t.vm
    if vm._nr_active_pages != active_seen or vm._nr_inactive_pages != inactive_seen:
        out.append((invariant("nr_active_pages or nr_inactive_pages differs from the lists"),
                    f"{vm._nr_active_pages} and {vm._nr_inactive_pages}, not {active_seen} and {inactive_seen}"))
    for mm in t.mms:
        vma = mm._mmap_cache
        if vma is not None and mm.in_use and not (vma.in_use and vma.vm_mm is mm):
            whose = f"{'a' if vma.in_use else 'a freed'} vma of {vma.vm_mm}"
            out.append((invariant("mmap_cache is no vma of its address space"), f"{mm.name}: {whose}", mm))
    _check_swap(t, swapped, cached, out)
    _check_address_spaces(t, references, swapped, out)
    _check_page_cache(t, out)
    return out


def _check_address_spaces(t: _Tables, references: dict[Any, int], swapped: dict[int, int], out: list[Failure]) -> None:
    """Check what the ptes of each address space may reach, and that its counts agree with its ptes and vmas."""
    for mm, addresses in t.spaces:
        rss = 0
        for slot, vma in addresses:
            value = slot._val
            if value.__class__ is tuple and value[0] is not t.zero:
                rss += 1
                if vma.in_use and vma.vm_mm is mm:
                    _check_pte(t, mm, value[0], value[1], vma, references, swapped, out)
        if mm.rss != rss:
            out.append((invariant("an mm's rss differs from its ptes"), f"{mm.name}: {mm.rss}, not {rss}", mm))
        if mm.in_use:
            listed, by_address = _length(mm.mmap, "vm_next"), _length(mm._mm_rb, "_vm_rb")
            if not mm.map_count == listed == by_address:
                out.append((invariant("map_count differs from the vmas"),
                            f"{mm.name}: {mm.map_count}, {listed} in mmap, {by_address} in mm_rb", mm))


def _length(first: Any, link: str) -> int:
    """Return the length of a chain of vmas, at most 9 if it has no end."""
    length = 0
    while first is not None and length < 9:
        first = getattr(first, link)
        length += 1
    return length


def _check_pte(t: _Tables, mm: Any, page: Any, write: int, vma: Any, references: dict[Any, int], swapped: dict[int, int],
               out: list[Failure]) -> None:
    mapping = page._mapping
    if vma.vm_flags & t.shared:
        file = vma.vm_file.f_dentry.d_inode.i_mapping
        if mapping is not file or page._index != vma.vm_pgoff:
            out.append((invariant("a page of a shared mapping is not in the page cache"),
                        f"{page.name} of {mm.name}: mapping {mapping}", page))
    elif write:
        if references[page] > 1 and sum(slot._val.__class__ is tuple and slot._val[0] is page for slot in t.ptes) > 1:
            out.append((invariant("a private mapping may write a page that another pte maps"), f"{page.name} of {mm.name}", page))
        if mapping is t.swapper_space:
            if swapped.get(page._index):
                out.append((invariant("a private mapping may write a page that is another pte's in swap"),
                            f"{page.name} of {mm.name}", page))
        elif mapping is not None:
            out.append((invariant("a private mapping may write a page of the page cache"),
                        f"{page.name} of {mm.name}: mapping {mapping}", page))


def _check_page_cache(t: _Tables, out: list[Failure]) -> None:
    """Check that the pages with a mapping are on its lists and in the hash, and that the counts agree."""
    hashed = 0
    for bucket in t.buckets:
        page = bucket._next_hash
        while page is not None and hashed < 99:
            hashed += 1
            if page._mapping is None or t.hashed(page._mapping, page._index) is not bucket:
                out.append((invariant("a page in the hash is not of its chain"),
                            f"{page.name} in {bucket.name}: mapping {page._mapping}", page))
            page = page._next_hash
    seen = dict.fromkeys(t.mappings, 0)
    astray = []
    for page, _, _, _, link in t.pages:
        mapping = page._mapping
        if mapping in seen:
            seen[mapping] += 1
        if mapping is not t.mapping_of.get(link.on):
            astray.append((page, link.on))
    for mapping, pages in seen.items():
        for page, on in astray:
            if mapping is page._mapping or mapping is t.mapping_of.get(on):
                out.append((invariant("a page and the lists of its mapping disagree"),
                            f"{page.name}: mapping {page._mapping}, on {on}", page))
        if mapping._nrpages != pages:
            out.append((invariant("nrpages differs from the pages in the page cache"),
                        f"{mapping.name}: {mapping._nrpages}, not {pages}", mapping))
    total = sum(seen.values())
    if total != hashed or t.cache_size.counter != total:
        out.append((invariant("page_cache_size or the hash differs from the pages in the page cache"),
                    f"{t.cache_size.counter} and {hashed}, not {total}"))


def _references(t: _Tables) -> tuple[dict[Any, int], dict[int, int]]:
    """Count the references to each page from ptes, pins and a driver, and those to each swap entry from ptes and shared memory."""
    pages: dict[Any, int] = {}
    entries: dict[int, int] = {}
    for slot in t.ptes:
        value = slot._val
        if value is None:
            continue
        if value.__class__ is int:
            entries[value] = entries.get(value, 0) + 1
        else:
            pages[value[0]] = pages.get(value[0], 0) + 1
    for iobuf in t.iobufs:
        if iobuf.nr_pages:
            for page in iobuf.maplist:
                pages[page] = pages.get(page, 0) + 1
    for entry in t.shared_memory:
        if entry:
            entries[entry] = entries.get(entry, 0) + 1
    for page in t.hog.pages:
        pages[page] = pages.get(page, 0) + 1
    return pages, entries


def _in_use(page: Any, count: int, owners: int, word: int, where: Any) -> Failure:
    if owners:
        return Kind.USE_AFTER_FREE.title("in user_space"), f"{page.name} is on the free list and has {owners} owners", page
    title = invariant("a free page has a count, a lock or a place on the LRU")
    return title, f"{page.name}: count {count}, flags {word:#x}, on {where}", page


def _miscount(page: Any, count: int, expected: int) -> Failure:
    if not expected:
        return leak("a page that nobody owns is not free"), f"{page.name}: count {count}", page
    word = "more" if count > expected else "fewer"
    title = Kind.REFCOUNT.title(f"page.count counts {word} references than there are owners, at rest")
    return title, f"{page.name}: {count}, not {expected}", page


def _check_swap(t: _Tables, swapped: dict[int, int], cached: list[int], out: list[Failure]) -> None:
    """Check that swap_map counts the ptes and the swap cache page of each entry, and that the count of free slots is right."""
    users = [0] * len(t.swap_map)
    for entry, count in swapped.items():
        users[t.offsets.get(entry, 0)] += count
    for entry in set(cached):
        users[t.offsets.get(entry, 0)] += 1
    users[0] = t.swap_map[0]                # the header's
    if users != t.swap_map:
        for offset, (have, due) in enumerate(zip(t.swap_map, users, strict=True)):
            if have != due:
                word = "more" if have > due else "fewer"
                out.append((invariant(f"swap_map counts {word} users of an entry than there are"), f"slot {offset}: {have}, not {due}"))
    free = t.swap_map.count(0) - (not t.swap_map[0]) if t.device._max else 0        # none after swapoff
    if t.vm._nr_swap_pages != free:
        out.append((invariant("nr_swap_pages differs from the free slots"), f"{t.vm._nr_swap_pages}, not {free}"))


def drained(image: Image) -> Iterator[Failure]:
    """Judge an image after all processes have exited, pins were dropped, files truncated and pages reclaimed: report the first page
    and the first swap slot left over."""
    ns = image.namespace
    for page in ns["mem_map"]:
        if page.list.on is not ns["zone_normal"].free_list:
            kind = "on the LRU" if page.lru.on is not None else "linked nowhere"
            title = leak(f"page left over after full reclaim, {kind}")
            yield title, f"{page.name}: count {page.count.counter}, flags {page.flags.word:#x}", page
            return
    for offset in range(1, len(ns["swap_info"][0].swap_map)):
        if ns["swap_info"][0].swap_map.items[offset]:
            yield leak("swap slot left over after full reclaim"), f"slot {offset}"
            return


def describe(image: Image) -> dict[str, str]:
    """Describe each page in a few words: its count, who maps, pins and swapped it, its flags, its mapping and its lists."""
    t = _tables(image)
    ns = image.namespace
    mapped = Counter(slot._val[0] for slot in t.ptes if slot._val.__class__ is tuple)
    swapped = Counter(slot._val for slot in t.ptes if slot._val.__class__ is int)
    pinned = {page for iobuf in t.iobufs if iobuf.nr_pages for page in iobuf.maplist}
    out = {}
    for page, flags, counter, _, link in t.pages:
        parts = [str(counter.counter)]
        if page in mapped:
            parts.append(f"mapped {mapped[page]}")
        if page in pinned:
            parts.append("pinned")
        for name in ("lru", "active", "locked", "launder", "dirty"):
            if flags.word >> ns[f"PG_{name}"] & 1:
                parts.append("LRU" if name == "lru" else name)
        if page._mapping is t.swapper_space:
            parts.append("swap")
            if page._index in swapped:
                parts.append(f"swapped {swapped[page._index]}")
        elif page._mapping is not None:
            parts.append("file")
        if page._buffers is not None:
            parts.append("bh")
        if link.on is t.zone.free_list:
            parts.append("FREE")
        out[page.name] = " ".join(parts)
    return out
