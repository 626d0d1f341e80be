# SPDX-License-Identifier: GPL-2.0-only
"""The invariants of the family at rest, when all tasks have ended and no interrupt is pending (C1 to C6, I1, I2, I5, I6 of its history).

Each check returns (title, detail), and the object that fails if there is one.

A page must have one reference for each pte, one for the page cache, one for its buffers, one for each
pagevec of a cpu that it waits in, and one for each reference of the program. These are its owners. A private mapping may write a page
only if no other pte maps it and no file has it in the page cache. A shared mapping maps pages of its own file, the page of its place
unless the vma is nonlinear. A page lock is released by the task
that acquired it or, if the page is being read, by the interrupt that ends the read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vmrace.harness.finding import Failure, Kind
from vmrace.harness.link.image import Image

invariant, leak = Kind.INVARIANT.title, Kind.LEAK.title


def uptodate_if_mapped(image: Image) -> bool:
    """True unless the variant allows a mapped page that is not uptodate."""
    return not image.defines("MAPPED_NEED_NOT_BE_UPTODATE")


class _Tables:
    """The objects that the checks read. They are looked up once for each image, because a check follows every run."""

    def __init__(self, image: Image):
        ns = image.namespace
        self.lru, self.active, self.locked = 1 << ns["PG_lru"], 1 << ns["PG_active"], 1 << ns["PG_locked"]
        self.uptodate, self.dirty, self.private = 1 << ns["PG_uptodate"], 1 << ns["PG_dirty"], 1 << ns["PG_private"]
        self.writeback = 1 << ns["PG_writeback"]
        self.zone, self.zero, self.anon = ns["zone_normal"], ns["empty_zero_page"], ns["PAGE_MAPPING_ANON"]
        self.pages = tuple(ns["mem_map"])
        self.mms = (ns["m0"], ns["m1"], ns["m2"], ns["m3"])
        self.shared, self.nonlinear = ns["VM_SHARED"], ns["VM_NONLINEAR"]
        self.mappings = (ns["f0"].i_mapping, ns["f1"].i_mapping)
        self.pvecs = (*ns["lru_add_pvecs"], *ns["lru_add_active_pvecs"])
        self.references = tuple(ns["references"])
        self.nr_mapped = ns["nr_mapped"]
        self.uptodate_if_mapped = uptodate_if_mapped(image)
        self.seqschedlocks = tuple(mapping.invalidate_lock for mapping in self.mappings if hasattr(mapping, "invalidate_lock"))


def _tables(image: Image) -> _Tables:
    return image.cache.get("tables") or image.cache.setdefault("tables", _Tables(image))


def check(image: Image) -> list[Failure]:
    """Judge an image at rest: return a title, a detail and the object of each invariant that fails."""
    t = _tables(image)
    out: list[Failure] = []
    ptes = _ptes(t, out)
    tracked: dict[Any, int] = {}
    for pvec in t.pvecs:
        for page in pvec.pages:
            tracked[page] = tracked.get(page, 0) + 1
    for reference in t.references:
        if reference.page is not None:
            tracked[reference.page] = tracked.get(reference.page, 0) + 1
    dirtied = tracked.keys() & {page for reference in t.references for page in reference.dirtied}
    cached = _cached(t, out)
    zone, active, inactive = t.zone, t.zone.active_list, t.zone.inactive_list
    free = active_seen = inactive_seen = 0
    for page in t.pages:
        word, count, mapped = page.flags.word, page._count.counter, ptes.get(page, 0)
        owners = mapped + (page in cached) + (page._private is not None) + tracked.get(page, 0)
        on, mapping = page.lru.on, page._mapping
        if page.unlocked_by_other:
            out.append((invariant("a page lock was given back by somebody who did not hold it"), page.name, page))
        if on is zone.free_list:
            free += 1
            if owners:
                out.append((Kind.USE_AFTER_FREE.title("in user_space"), f"{page.name} is on the free list and has {owners} owners", page))
            elif count or word & (t.lru | t.active | t.locked) or page._mapcount.counter != -1 or mapping is not None:
                out.append((invariant("a free page has a count, a lock, a mapping or a place on the LRU"),
                            f"{page.name}: count {count}, flags {word:#x}", page))
            continue
        active_seen += on is active
        inactive_seen += on is inactive
        if word & t.locked:
            out.append((invariant("a page stays locked and nobody will unlock it"), page.name, page))
        if word & t.writeback:
            out.append((invariant("a page stays under writeback and nobody will end it"), page.name, page))
        if (on is not None) != bool(word & t.lru) or (on is active) != bool(word & t.lru and word & t.active):
            out.append((invariant("PG_lru and PG_active disagree with the lists"), f"{page.name} is on {on}, flags {word:#x}", page))
        if page._mapcount.counter + 1 != mapped:
            out.append(_more_or_fewer(invariant("page._mapcount counts {} mappings than there are ptes"),
                                      page._mapcount.counter + 1, mapped, page))
        if count != owners:
            if owners:
                out.append(_more_or_fewer(Kind.REFCOUNT.title("page._count counts {} references than there are owners, at rest"),
                                          count, owners, page))
            else:
                out.append((leak("a page that nobody owns is not free"), f"{page.name}: count {count}", page))
        elif not count:
            out.append((leak("lost page: no reference, not free"), page.name, page))
        if (page._private is not None) != bool(word & t.private):
            out.append((invariant("PG_private disagrees with page->private"), page.name, page))
        if mapping is not t.anon:
            _file_page(t, page, word, mapping, mapped, page in cached, page in dirtied, out)
    _counters(t, out, free, active_seen, inactive_seen, ptes)
    _mapped(t, ptes, out)
    for lock in t.seqschedlocks:
        if lock.writers.counter:
            out.append((invariant("a write section stays open and nobody will end it"),
                        f"{lock.name}: {lock.writers.counter} writers", lock))
    return out


def _file_page(t: _Tables, page: Any, word: int, mapping: Any, mapped: int, cached: bool, dirtied: bool,
               out: list[Failure]) -> None:
    if mapped and not cached:
        out.append((invariant("a mapped page is not in the page cache"), f"{page.name}: mapped {mapped} times, mapping {mapping}", page))
    elif mapped and t.uptodate_if_mapped and not word & t.uptodate:
        out.append((invariant("a mapped page is not uptodate"), f"{page.name}: mapped {mapped} times", page))
    # set_page_dirty_lock() also marks a page that was dropped while a device wrote to it; another pin or a pagevec may keep it
    if word & t.dirty and mapping is None and (mapped or not dirtied):
        out.append((invariant("a page without a mapping is dirty"), page.name, page))


def _ptes(t: _Tables, out: list[Failure]) -> dict[Any, int]:
    """Count the ptes that map each page, and check the rss of each mm."""
    ptes: dict[Any, int] = {}
    for mm in t.mms:
        anon = file = 0
        for slot in (mm.pte0, mm.pte1, mm.pte2):
            value = slot._val
            if value.__class__ is tuple:
                page = value[0]
                ptes[page] = ptes.get(page, 0) + 1
                if page._mapping is t.anon:
                    anon += 1
                else:
                    file += 1
        if mm.anon_rss + mm.file_rss != anon + file:
            out.append((invariant("an mm's rss differs from its ptes"),
                        f"{mm.name}: {mm.anon_rss} and {mm.file_rss}, not {anon} and {file}", mm))
    return ptes


def _mapped(t: _Tables, ptes: dict[Any, int], out: list[Failure]) -> None:
    """Check that each pte maps a page that its vma may map, and that map_count agrees with the vmas."""
    for mm in t.mms:
        listed = 0
        vma = mm.mmap
        while vma is not None and listed < 9:
            listed += 1
            vma = vma._vm_next
        if mm.mm_users.counter and mm.map_count != listed:
            out.append((invariant("map_count differs from the vmas"), f"{mm.name}: {mm.map_count}, not {listed}", mm))
        for slot, vma in ((mm.pte0, mm.vma0), (mm.pte1, mm.vma1), (mm.pte2, mm.vma2)):
            value = slot._val
            if value.__class__ is not tuple or not vma.in_use or value[0] is t.zero:
                continue
            page, mapping = value[0], value[0]._mapping
            if vma.vm_flags & t.shared:
                place = mapping is vma.vm_file.f_mapping and (vma.vm_flags & t.nonlinear or page._index == vma.vm_pgoff)
                if mapping is not None and not place:       # without a mapping: a mapped page is not in the page cache
                    out.append((invariant("a shared mapping maps a page of another place"),
                                f"{page.name} of {mm.name}: mapping {mapping}", page))
            elif value[1]:
                if ptes[page] > 1:
                    out.append((invariant("a private mapping may write a page that another pte maps"), f"{page.name} of {mm.name}", page))
                if mapping is not t.anon:
                    out.append((invariant("a private mapping may write a page of a file"),
                                f"{page.name} of {mm.name}: mapping {mapping}", page))


def _cached(t: _Tables, out: list[Failure]) -> dict[Any, Any]:
    """Map each page in the page cache to its mapping, and check that tree, page and tags agree."""
    cached: dict[Any, Any] = {}
    for mapping in t.mappings:
        seen = 0
        for index, page in enumerate(mapping.page_tree.items):
            if page is None:
                if mapping.tag_dirty.items[index] or mapping.tag_writeback.items[index]:
                    out.append((invariant("an empty slot of the page cache has a tag"), f"{mapping.name} {index}", mapping))
                continue
            seen += 1
            if page in cached or page._mapping is not mapping or page._index != index:
                out.append((invariant("a page in the page cache says it is elsewhere"), f"{page.name}: in {mapping.name} at {index}", page))
            cached[page] = mapping
            if page.flags.word & t.dirty and not mapping.tag_dirty.items[index]:
                out.append((invariant("a dirty page is not tagged dirty"), page.name, page))
        if mapping._nrpages != seen:
            out.append((invariant("nrpages differs from the pages in the page cache"),
                        f"{mapping.name}: {mapping._nrpages}, not {seen}", mapping))
    for page in t.pages:
        if page._mapping is not None and page._mapping is not t.anon and page not in cached:
            out.append((invariant("a page with a mapping is not in the page cache"), page.name, page))
    return cached


def _counters(t: _Tables, out: list[Failure], free: int, active: int, inactive: int, ptes: dict[Any, int]) -> None:
    zone = t.zone
    if zone._free_pages != free:
        out.append((invariant("free_pages differs from the length of the free list"), f"{zone._free_pages}, not {free}"))
    if zone._nr_active != active or zone._nr_inactive != inactive:
        out.append((invariant("nr_active or nr_inactive differs from the lists"),
                    f"{zone._nr_active} and {zone._nr_inactive}, not {active} and {inactive}"))
    if t.nr_mapped.counter != len(ptes):
        out.append(_more_or_fewer(invariant("nr_mapped counts {} pages than are mapped"), t.nr_mapped.counter, len(ptes), t.nr_mapped))


def _more_or_fewer(title: str, have: int, should: int, what: Any) -> Failure:
    return title.format("more" if have > should else "fewer"), f"{what.name}: {have}, not {should}", what


def drained(image: Image) -> Iterator[Failure]:
    """Judge an image after all processes have exited, references were dropped, files truncated and pages reclaimed: report the first
    page left over."""
    t = _tables(image)
    for page in t.pages:
        if page.lru.on is not t.zone.free_list:
            kind = "on the LRU" if page.lru.on is not None else "linked nowhere"
            detail = f"{page.name}: count {page._count.counter}, flags {page.flags.word:#x}"
            yield leak(f"page left over after full reclaim, {kind}"), detail, page
            return


def describe(image: Image) -> dict[str, str]:
    """Describe each page in a few words: its count, its mappings, its flags, its file and its lists."""
    t = _tables(image)
    ns = image.namespace
    out = {}
    for page in t.pages:
        word = page.flags.word
        parts = [str(page._count.counter)]
        if page._mapcount.counter >= 0:
            parts.append(f"mapped {page._mapcount.counter + 1}")
        for name in ("lru", "active", "locked", "uptodate", "dirty", "writeback"):
            if word >> ns[f"PG_{name}"] & 1:
                parts.append("LRU" if name == "lru" else name)
        if page._mapping is t.anon:
            parts.append("anon")
        elif page._mapping is not None:
            parts.append(page._mapping.name.partition(".")[0])
        if page._private is not None:
            parts.append("bh")
        if page.lru.on is t.zone.free_list:
            parts.append("FREE")
        out[page.name] = " ".join(parts)
    return out
