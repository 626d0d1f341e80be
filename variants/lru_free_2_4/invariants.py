# SPDX-License-Identifier: GPL-2.0-only
"""The invariants of the family at rest, when all tasks have ended and no interrupt is pending (O1, O3, O8 to O11 of its history).

Each check returns (title, detail). A page must have one reference for each pte, one for its mapping, one for its buffers, one for each
pin and, in variants that count it, one for the LRU. These are its owners.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vmrace.harness.finding import Kind
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
        self.mms = (ns["m0"], ns["m1"], ns["m2"], ns["m3"])
        self.ptes = tuple(slot for mm in self.mms for slot in (mm.pte0, mm.pte1, mm.pte2))
        self.iobufs = (ns["k0"], ns["k1"], ns["k2"], ns["k3"])
        self.swapper_space = ns["swapper_space"]
        self.swap_map = ns["swap_info"][0].swap_map.items
        self.offsets = {ns["SWP_ENTRY"](0, offset): offset for offset in range(len(self.swap_map))}
        self.lru_counts = counted(image)


def check(image: Image) -> list[tuple[str, str]]:
    """Judge an image at rest: return (title, detail) for each invariant that fails."""
    t = image.cache.get("tables") or image.cache.setdefault("tables", _Tables(image))
    out: list[tuple[str, str]] = []
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
            out.append((invariant("a page stays locked and nobody will unlock it"), page.name))
        if (where is not None) != bool(word & t.lru) or (where is active) != bool(word & t.active):
            out.append((invariant("PG_lru and PG_active disagree with the lists"), f"{page.name} is on {where}, flags {word:#x}"))
        active_seen += where is active
        inactive_seen += where is inactive
        expected = owners + (1 if t.lru_counts and word & t.lru else 0)
        if count != expected:
            out.append(_miscount(page, count, expected))
        elif not count:
            kind = "deferred" if where is not None else "lost"
            out.append((leak(f"{kind} page: no reference, not free"), page.name))
    if zone._free_pages != free:
        out.append((invariant("free_pages differs from the length of the free list"), f"{zone._free_pages}, not {free}"))
    vm = t.vm
    if vm._nr_active_pages != active_seen or vm._nr_inactive_pages != inactive_seen:
        out.append((invariant("nr_active_pages or nr_inactive_pages differs from the lists"),
                    f"{vm._nr_active_pages} and {vm._nr_inactive_pages}, not {active_seen} and {inactive_seen}"))
    for mm in t.mms:
        vma = mm._mmap_cache
        if vma is not None and mm.in_use and not (vma.in_use and vma.vm_mm is mm):
            whose = f"{'a' if vma.in_use else 'a freed'} vma of {vma.vm_mm.name}"
            out.append((invariant("mmap_cache is no vma of its address space"), f"{mm.name}: {whose}"))
    _check_swap(t, swapped, cached, out)
    return out


def _references(t: _Tables) -> tuple[dict[Any, int], dict[int, int]]:
    """Count the references to each page from ptes and pins, and those to each swap entry from ptes."""
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
    return pages, entries


def _in_use(page: Any, count: int, owners: int, word: int, where: Any) -> tuple[str, str]:
    if owners:
        return Kind.USE_AFTER_FREE.title("in user_space"), f"{page.name} is on the free list and has {owners} owners"
    return invariant("a free page has a count, a lock or a place on the LRU"), f"{page.name}: count {count}, flags {word:#x}, on {where}"


def _miscount(page: Any, count: int, expected: int) -> tuple[str, str]:
    if not expected:
        return leak("a page that nobody owns is not free"), f"{page.name}: count {count}"
    word = "more" if count > expected else "fewer"
    title = Kind.REFCOUNT.title(f"page.count counts {word} references than there are owners, at rest")
    return title, f"{page.name}: {count}, not {expected}"


def _check_swap(t: _Tables, swapped: dict[int, int], cached: list[int], out: list[tuple[str, str]]) -> None:
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
    free = t.swap_map.count(0) - (not t.swap_map[0])
    if t.vm._nr_swap_pages != free:
        out.append((invariant("nr_swap_pages differs from the free slots"), f"{t.vm._nr_swap_pages}, not {free}"))


def drained(image: Image) -> Iterator[tuple[str, str]]:
    """Judge an image after all processes have exited, pins were dropped, files truncated and pages reclaimed: report the first page
    and the first swap slot left over."""
    ns = image.namespace
    for page in ns["mem_map"]:
        if page.list.on is not ns["zone_normal"].free_list:
            kind = "on the LRU" if page.lru.on is not None else "linked nowhere"
            yield leak(f"page left over after full reclaim, {kind}"), f"{page.name}: count {page.count.counter}, flags {page.flags.word:#x}"
            return
    for offset in range(1, len(ns["swap_info"][0].swap_map)):
        if ns["swap_info"][0].swap_map.items[offset]:
            yield leak("swap slot left over after full reclaim"), f"slot {offset}"
            return


def describe(image: Image) -> dict[str, str]:
    """Describe each page in a few words: its count, its flags, its mapping and its lists."""
    ns = image.namespace
    out = {}
    for page in ns["mem_map"]:
        word = page.flags.word
        parts = [str(page.count.counter)]
        for name in ("lru", "active", "locked", "launder", "dirty"):
            if word >> ns[f"PG_{name}"] & 1:
                parts.append("LRU" if name == "lru" else name)
        if page._mapping is not None:
            parts.append("swap" if page._mapping is ns["swapper_space"] else "file")
        if page._buffers is not None:
            parts.append("bh")
        if page.list.on is ns["zone_normal"].free_list:
            parts.append("FREE")
        out[page.name] = " ".join(parts)
    return out
