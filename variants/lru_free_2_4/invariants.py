# SPDX-License-Identifier: GPL-2.0-only
"""What must hold at rest: all tasks done, no interrupt pending. Oracles O1, O3, O8 to O11 of the family's history.

Each check yields (title, detail). A page's owners: one reference for each pte, one for the mapping, one for its buffers,
one for each pin, and in the variants that count it one for the LRU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.link import Image


def counted(image: Image) -> bool:
    """Does membership of the LRU own a reference?"""
    return image.defines("LRU_PLUS_CACHE")


def check(image: Image) -> Iterator[tuple[str, str]]:
    """At rest."""
    ns = image.namespace
    lru_bit, active_bit, locked_bit = 1 << ns["PG_lru"], 1 << ns["PG_active"], 1 << ns["PG_locked"]
    zone, active, inactive = ns["zone_normal"], ns["active_list"], ns["inactive_list"]
    lru_counts = counted(image)
    references, swapped = _references(ns)
    free = active_seen = inactive_seen = 0
    for page in ns["mem_map"]:
        word, count = page.flags.word, page.count.counter
        on_lru, where = word & lru_bit, page.lru.on
        owners = references.get(page, 0) + (page._mapping is not None) + (page._buffers is not None)
        if page.list.on is zone.free_list:
            free += 1
            if count or on_lru or word & (active_bit | locked_bit) or where is not None or owners:
                yield _in_use(page, count, owners, word, where)
            continue
        if word & locked_bit:
            yield "INVARIANT: a page stays locked and nobody will unlock it", page.name
        if (where is not None) != bool(on_lru) or (where is active) != bool(word & active_bit):
            yield "INVARIANT: PG_lru and PG_active disagree with the lists", f"{page.name} is on {where}, flags {word:#x}"
        active_seen += where is active
        inactive_seen += where is inactive
        expected = owners + (1 if lru_counts and on_lru else 0)
        if count != expected:
            yield _miscount(page, count, expected)
        elif not count:
            kind = "deferred" if where is not None else "lost"
            yield f"LEAK: {kind} page: no reference, not free", page.name
    if zone._free_pages != free:
        yield "INVARIANT: free_pages differs from the length of the free list", f"{zone._free_pages}, not {free}"
    vm = ns["vm"]
    if (vm._nr_active_pages, vm._nr_inactive_pages) != (active_seen, inactive_seen):
        yield ("INVARIANT: nr_active_pages or nr_inactive_pages differs from the lists",
               f"{vm._nr_active_pages} and {vm._nr_inactive_pages}, not {active_seen} and {inactive_seen}")
    yield from _swap(ns, swapped)


def _references(ns: dict[str, Any]) -> tuple[dict[Any, int], dict[int, int]]:
    """References to pages from ptes and pins, and to swap entries from ptes."""
    pages: dict[Any, int] = {}
    entries: dict[int, int] = {}
    for name in ("m0", "m1", "m2", "m3"):
        mm = ns[name]
        for slot in (mm.pte0, mm.pte1, mm.pte2):
            value = slot._val
            if value is None:
                continue
            if isinstance(value, int):
                entries[value] = entries.get(value, 0) + 1
            else:
                pages[value[0]] = pages.get(value[0], 0) + 1
    for name in ("k0", "k1", "k2", "k3"):
        iobuf = ns[name]
        if iobuf.nr_pages:
            for page in iobuf.maplist:
                pages[page] = pages.get(page, 0) + 1
    return pages, entries


def _in_use(page: Any, count: int, owners: int, word: int, where: Any) -> tuple[str, str]:
    if owners:
        return "use after free in user_space", f"{page.name} is on the free list and has {owners} owners"
    return "INVARIANT: a free page has a count, a lock or a place on the LRU", f"{page.name}: count {count}, flags {word:#x}, on {where}"


def _miscount(page: Any, count: int, expected: int) -> tuple[str, str]:
    if not expected:
        return "LEAK: a page that nobody owns is not free", f"{page.name}: count {count}"
    word = "more" if count > expected else "fewer"
    return f"REFCOUNT: page.count counts {word} references than there are owners, at rest", f"{page.name}: {count}, not {expected}"


def _swap(ns: dict[str, Any], swapped: dict[int, int]) -> Iterator[tuple[str, str]]:
    cached: dict[int, int] = {}
    space = ns["swapper_space"]
    for page in ns["mem_map"]:
        if page._mapping is space:
            cached[page._index] = 1
    device = ns["swap_info"][0]
    free = 0
    for offset in range(1, len(device.swap_map)):
        entry = ns["SWP_ENTRY"](0, offset)
        users = swapped.get(entry, 0) + cached.get(entry, 0)
        have = device.swap_map.items[offset]
        free += not have
        if have != users:
            word = "more" if have > users else "fewer"
            yield f"INVARIANT: swap_map counts {word} users of an entry than there are", f"slot {offset}: {have}, not {users}"
    if ns["vm"]._nr_swap_pages != free:
        yield "INVARIANT: nr_swap_pages differs from the free slots", f"{ns['vm']._nr_swap_pages}, not {free}"


def drained(image: Image) -> Iterator[tuple[str, str]]:
    """After everybody has exited, all pins are dropped, all files truncated and everything reclaimed."""
    ns = image.namespace
    for page in ns["mem_map"]:
        if page.list.on is not ns["zone_normal"].free_list:
            kind = "on the LRU" if page.lru.on is not None else "linked nowhere"
            yield f"LEAK: page left over after full reclaim, {kind}", f"{page.name}: count {page.count.counter}, flags {page.flags.word:#x}"
            return
    for offset in range(1, len(ns["swap_info"][0].swap_map)):
        if ns["swap_info"][0].swap_map.items[offset]:
            yield "LEAK: swap slot left over after full reclaim", f"slot {offset}"
            return


def describe(image: Image) -> dict[str, str]:
    """Each page that is in use, in a few words: its count and what it is part of."""
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
