# SPDX-License-Identifier: GPL-2.0-only
"""The invariants of the family while no task is in an operation and no interrupt is pending.

Each check returns (title, detail), and the object that fails if there is one.

A page must have one reference for each pte, one for the swap cache, one for each pagevec of a cpu that it waits in, and one for each
pin of the program. These are its owners. A swap slot must have one user for each pte that has its entry, and one for the swap cache.

Three titles have the names of the classes that David Hildenbrand and Linus Torvalds use for this code (2021):

    missed copy         a process may write a page that another process has too, in its page table or in swap. The title names the
                        function that has set the pte of the other process.
    unnecessary copy    a process has copied a page that was its own, and a device still has the old one by a pin for writing. A copy
                        without a pin only costs time and memory: `vmrace cost` counts it. The title names the function that had the
                        page lock when do_wp_page() asked for it: the page was copied because that function was at work.
    wrong copy          the page of a process went to swap while a device had it by a pin for writing, and the process has got another
                        page from there, or will get one. (The classes have no such split: there, both copies of a pinned page are
                        wrong copies.)

anon_rss drifts in 2.6.26 when a migration entry is zapped or copied (see README.md). After a migration it is therefore judged only when
its process has ended: this fault would hide all others.

A pin counts until its process forks, moves or changes the mapping, or exits: then the kernels of this time promise nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from vmrace.harness.finding import Failure, Kind
from vmrace.harness.link.image import Image

invariant, leak = Kind.INVARIANT.title, Kind.LEAK.title


class _Tables:
    """The objects that the checks read. They are looked up once for each image, because a check follows every run."""

    def __init__(self, image: Image):
        ns = image.namespace
        self.lru, self.active, self.locked = 1 << ns["PG_lru"], 1 << ns["PG_active"], 1 << ns["PG_locked"]
        self.uptodate, self.dirty, self.swapcache = 1 << ns["PG_uptodate"], 1 << ns["PG_dirty"], 1 << ns["PG_swapcache"]
        self.writeback = 1 << ns["PG_writeback"]
        self.zone, self.zero = ns["zone_normal"], ns["empty_zero_page"]
        self.pages = tuple(ns["mem_map"])
        self.init_mm, self.mms = ns["init_mm"], (ns["m0"], ns["m1"], ns["m2"], ns["m3"])
        self.ptes = tuple((mm, slot, vma) for mm in self.mms
                          for slot, vma in ((mm.pte0, mm.vma0), (mm.pte1, mm.vma1), (mm.pte2, mm.vma2)))
        self.anon_vmas = tuple(each for pool in ns["anon_vma_cachep"] for each in pool)
        self.pvecs = (*ns["lru_add_pvecs"], *ns["lru_add_active_pvecs"], *ns["lru_rotate_pvecs"])
        self.tree, self.space = ns["swapper_space"].page_tree, ns["swapper_space"]
        self.areas = tuple(ns["swap_info"])[:ns["MAX_AREAS"]]
        self.disks, self.vm, self.writeok = tuple(ns["swap_disks"]), ns["vm"], ns["SWP_WRITEOK"]
        self.slots, self.type_shift, self.offset_mask = ns["SWAP_SLOTS"], ns["SWP_TYPE_SHIFT"], ns["SWP_OFFSET_MASK"]
        self.migration, self.page_shift = ns["SWP_MIGRATION_READ"], ns["PAGE_SHIFT"]
        self.references, self.pinned = tuple(ns["references"]), tuple(ns["pages_pinned"])
        self.processes, self.addresses = tuple(ns["processes"]), tuple(ns["addresses"])

    def entries(self) -> Iterator[tuple[int, Any]]:
        """Yield each entry that is in the swap cache, with its page."""
        for place, page in enumerate(self.tree.slots.items):
            if page is not None:
                yield place // self.slots << self.type_shift | place % self.slots, page

    def cached(self, entry: int) -> Any:
        """Return the page that the swap cache has for an entry, or None."""
        return self.tree.slots.items[(entry >> self.type_shift) * self.slots + (entry & self.offset_mask)]

    def count(self, entry: int) -> int | None:
        """Return the users that the swap map counts for an entry, or None if its area is gone."""
        area = self.areas[entry >> self.type_shift]
        offset = entry & self.offset_mask
        return area._swap_map.items[offset] if area._swap_map is not None and offset < area._max else None


def _tables(image: Image) -> _Tables:
    return image.cache.get("tables") or image.cache.setdefault("tables", _Tables(image))


def check(image: Image) -> list[Failure]:
    """Judge an image at rest: return a title, a detail and the object of each invariant that fails."""
    t = _tables(image)
    out: list[Failure] = []
    ptes, swapped = _ptes(t, out)
    cached = _cached(t, out, {*ptes}, {*swapped})
    _pages(t, out, ptes, cached)
    _slots(t, out, swapped)
    _areas(t, out)
    _copies(t, out, ptes, swapped)
    _mappings(t, out)
    _ring(t, out)
    for disk in t.disks:
        if disk.overlapped:
            out.append((invariant("two requests for one swap slot overlapped"), disk.name, disk))
    return out


def _pages(t: _Tables, out: list[Failure], ptes: dict[Any, int], cached: dict[Any, int]) -> None:
    """Check the count, the flags and the place of each page."""
    tracked: dict[Any, int] = {}
    held = [page for pvec in t.pvecs for page in pvec.pages] + [each.page for each in t.references if each.page is not None]
    for page in held:
        tracked[page] = tracked.get(page, 0) + 1
    free = active_seen = inactive_seen = 0
    for page in t.pages:
        word, count, mapped, on = page.flags.word, page._count.counter, ptes.get(page, 0), page.lru.on
        owners = mapped + (page in cached) + tracked.get(page, 0)
        if page.unlocked_by_other:
            out.append((invariant("a page lock was released by a task that did not hold it"), page.name, page))
        if on is t.zone.free_list:
            free += 1
            if owners:
                out.append((Kind.USE_AFTER_FREE.title("in user_space"), f"{page.name} is on the free list and has {owners} owners", page))
            elif count or word & (t.lru | t.active | t.locked | t.swapcache) or page._mapcount.counter != -1 or page._mapping is not None:
                out.append((invariant("a free page has a count, a lock, a mapping or a place on the LRU or in swap"),
                            f"{page.name}: count {count}, flags {word:#x}", page))
            continue
        active_seen += on is t.zone.active_list
        inactive_seen += on is t.zone.inactive_list
        _flags(t, out, page, mapped, page in cached)
        if count != owners:
            if owners:
                out.append(_more_or_fewer(Kind.REFCOUNT.title("page._count counts {} references than there are owners, at rest"),
                                          count, owners, page))
            else:
                out.append((leak("a page that nobody owns is not free"), f"{page.name}: count {count}", page))
        elif not count:
            out.append((leak("lost page: no reference, not free"), page.name, page))
    if t.zero._count.counter != 1 + tracked.get(t.zero, 0):
        out.append(_more_or_fewer(Kind.REFCOUNT.title("the count of the zero page has {} references than there are pins of it"),
                                  t.zero._count.counter, 1 + tracked.get(t.zero, 0), t.zero))
    zone = t.zone
    if zone._free_pages != free:
        out.append((invariant("free_pages differs from the length of the free list"), f"{zone._free_pages}, not {free}"))
    if zone._nr_active != active_seen or zone._nr_inactive != inactive_seen:
        out.append((invariant("nr_active or nr_inactive differs from the lists"),
                    f"{zone._nr_active} and {zone._nr_inactive}, not {active_seen} and {inactive_seen}"))


def _flags(t: _Tables, out: list[Failure], page: Any, mapped: int, cached: bool) -> None:
    word, on = page.flags.word, page.lru.on
    if word & t.locked:
        out.append((invariant("a page stays locked and nobody will unlock it"), page.name, page))
    if word & t.writeback:
        out.append((invariant("a page stays under writeback and nobody will end it"), page.name, page))
    if (on is not None) != bool(word & t.lru) or (on is t.zone.active_list) != bool(word & t.lru and word & t.active):
        out.append((invariant("PG_lru and PG_active disagree with the lists"), f"{page.name} is on {on}, flags {word:#x}", page))
    if page._mapcount.counter + 1 != mapped:
        out.append(_more_or_fewer(invariant("page._mapcount counts {} mappings than there are ptes"),
                                  page._mapcount.counter + 1, mapped, page))
    if (mapped or cached) and not word & t.uptodate:
        out.append((invariant("a page in use is not uptodate"), f"{page.name}: mapped {mapped} times", page))
    if bool(word & t.swapcache) != cached:
        out.append((invariant("PG_swapcache disagrees with the swap cache"), f"{page.name}: flags {word:#x}, private {page._private:#x}",
                    page))


def _ptes(t: _Tables, out: list[Failure]) -> tuple[dict[Any, int], dict[int, int]]:
    """Count the ptes that map each page and those that have each swap entry, and check the rss of each mm."""
    ptes: dict[Any, int] = {}
    swapped: dict[int, int] = {}
    present = dict.fromkeys(t.mms, 0)
    for mm, slot, _ in t.ptes:
        value = slot._val
        if value.__class__ is tuple:
            ptes[value[0]] = ptes.get(value[0], 0) + 1
            present[mm] += 1
        elif value is not None and value >> t.type_shift >= t.migration:
            out.append((invariant("a migration entry stays and nobody will remove it"), f"{slot.name}: {value:#x}", slot))
        elif value is not None:
            swapped[value] = swapped.get(value, 0) + 1
    for mm, number in present.items():
        if mm._anon_rss != number and not t.vm.migrated:
            out.append(_more_or_fewer(invariant("anon_rss counts {} pages than the mm maps"), mm._anon_rss, number, mm))
        if mm._anon_rss and t.vm.migrated and mm.mm_users.counter == 0:
            out.append((invariant("an mm that has ended after a migration counts pages in anon_rss"), f"{mm.name}: {mm._anon_rss}", mm))
    return ptes, swapped


def _cached(t: _Tables, out: list[Failure], mapped: set[Any], swapped: set[int]) -> dict[Any, int]:
    """Map each page in the swap cache to its entry, and check that tree and page agree, and that clean pages equal their slots.

    A page that no pte leads to any more need not equal its slot: zap_pte_range() drops the dirty bit of its pte.
    """
    written = {each.page for each, pin in zip(t.references, t.pinned, strict=True) if each.page is not None and pin.write}
    dirty = {value[0] for _, slot, _ in t.ptes if (value := slot._val).__class__ is tuple and value[2]}
    cached: dict[Any, int] = {}
    for entry, page in t.entries():
        if page in cached or page._private != entry:
            out.append((invariant("a page in the swap cache is there for another entry"),
                        f"{page.name}: at {entry:#x}, private {page._private:#x}", page))
        cached[page] = entry
        if page not in mapped and entry not in swapped:
            continue
        if page.flags.word & (t.dirty | t.locked | t.writeback) or not page.flags.word & t.uptodate or page in written or page in dirty:
            continue
        slot = getattr(t.disks[entry >> t.type_shift], f"slot{entry & t.offset_mask}")
        if (slot.word0, slot.word1) != (page.data.word0, page.data.word1):
            out.append((invariant("a clean page differs from its swap slot"),
                        f"{page.name}: {page.data.word0} {page.data.word1}, {slot.name}: {slot.word0} {slot.word1}", page))
    if t.space._nrpages != len(list(t.entries())):
        out.append(_more_or_fewer(invariant("total_swapcache_pages counts {} pages than the swap cache has"), t.space._nrpages,
                                  len(list(t.entries())), t.space))
    return cached


def _slots(t: _Tables, out: list[Failure], swapped: dict[int, int]) -> None:
    """Check the users of each swap slot."""
    cached = {entry for entry, _ in t.entries()}
    for number, area in enumerate(t.areas):
        for offset in range(1, area._max):
            entry = number << t.type_shift | offset
            users = swapped.get(entry, 0) + (entry in cached)
            if t.count(entry) != users:
                out.append(_more_or_fewer(invariant("swap_map counts {} users of a slot than there are"), t.count(entry) or 0, users, area))
    for entry in {*swapped, *cached}:
        if t.count(entry) is None:
            out.append((invariant("a pte or the swap cache has an entry of an area that is gone"), f"{entry:#x}"))


def _areas(t: _Tables, out: list[Failure]) -> None:
    """Check the counters of the swap areas."""
    free = total = 0
    for area in t.areas:
        if area._swap_map is None:
            continue
        counts = area._swap_map.items[1:area._max]
        used = sum(map(bool, counts))
        if area.inuse_pages != used:
            out.append(_more_or_fewer(invariant("inuse_pages counts {} slots than are in use"), area.inuse_pages, used, area))
        if any(not count and not area.lowest_bit <= offset <= area._highest_bit for offset, count in enumerate(counts, 1)):
            out.append((invariant("a free swap slot is outside lowest_bit and highest_bit"),
                        f"{area.name}: {counts}, {area.lowest_bit} .. {area._highest_bit}", area))
        if area._flags & t.writeok:
            free += len(counts) - used
            total += len(counts)
    if t.vm._nr_swap_pages != free or t.vm._total_swap_pages != total:
        out.append((invariant("nr_swap_pages or total_swap_pages differs from the slots"),
                    f"{t.vm._nr_swap_pages} of {t.vm._total_swap_pages}, not {free} of {total}", t.vm))


def _copies(t: _Tables, out: list[Failure], ptes: dict[Any, int], swapped: dict[int, int]) -> None:
    """Check that no process may write what another one has, and that a process and its devices have one page."""
    for mm, slot, _ in t.ptes:
        value = slot._val
        if value.__class__ is not tuple or not value[1]:
            continue
        page = value[0]
        if ptes[page] > 1:
            out.append((invariant(f"missed copy: a process may write a page that {_mapped_by(t, page, slot)} mapped for another one"),
                        f"{page.name} of {mm.name}", page))
        if page.flags.word & t.swapcache and swapped.get(page._private, 0):
            out.append((invariant("missed copy: a process may write a page that another one has in swap"),
                        f"{page.name} of {mm.name}, entry {page._private:#x}", page))
    wrong = invariant("wrong copy: a device writes a page that its process does not get back from swap")
    for each, pin in zip(t.references, t.pinned, strict=True):
        if each.page is None or not pin.write or pin.shows is None or pin.heirs or pin.moved:
            continue
        number, place = pin.where
        address = t.addresses[number][place]
        process = t.processes[number]
        if address.shows is not pin.shows or address.changing or address.discarding or not process.threads or process.dying:
            continue
        slot = t.ptes[number * len(t.addresses[number]) + place][1]
        value = slot._val
        last = value[0] if value.__class__ is tuple else slot.last_page
        if value is not None and last is not each.page and each.page in dict(slot.copied):
            out.append((invariant(f"unnecessary copy{_beside(slot, each.page)}: a device writes a page that its process no longer has"),
                        f"{each.page.name}, {t.mms[number].name} has got {last.name}", each.page))
        elif value is not None and last is not each.page:
            out.append((wrong, f"{each.page.name}, {t.mms[number].name} has got {last.name}", each.page))
        elif isinstance(value, int) and value >> t.type_shift < t.migration and t.cached(value) is not each.page:
            out.append((wrong, f"{each.page.name}, {t.mms[number].name} has entry {value:#x}", each.page))


def _mapped_by(t: _Tables, page: Any, writable: Any) -> str:
    """Return the functions that have set the other ptes of a page, as part of a title."""
    return " and ".join(sorted({slot.set_in for _, slot, _ in t.ptes
                                if slot is not writable and slot._val.__class__ is tuple and slot._val[0] is page}))


def _beside(slot: Any, page: Any) -> str:
    """Return the function that had the lock of the page when do_wp_page() tried it and then copied the page, as part of a title."""
    holder = dict(slot.copied).get(page)
    return f" beside {holder}" if holder else ""


def _mappings(t: _Tables, out: list[Failure]) -> None:
    """Check that rmap finds each pte, and that the lists of vmas agree."""
    linked = {}
    for anon_vma in t.anon_vmas:
        entry = anon_vma.head._next
        while entry is not anon_vma.head:
            linked[entry.struct] = anon_vma
            entry = entry._next
        if anon_vma.in_use != (anon_vma.head._next is not anon_vma.head):
            out.append((invariant("an anon_vma without vmas is not free, or one with vmas is free"), anon_vma.name, anon_vma))
    for mm, slot, vma in t.ptes:
        value = slot._val
        if vma.in_use and linked.get(vma) is not vma._anon_vma:
            out.append((invariant("a vma is not on the list of its anon_vma"), vma.name, vma))
        if value is not None and not vma.in_use:
            out.append((invariant("a pte is of no vma"), slot.name, slot))
        elif value.__class__ is tuple:
            page = value[0]
            address = vma.vm_start + (page._index - vma.vm_pgoff << t.page_shift)
            if page._mapping is None or page._mapping is not vma._anon_vma or address != vma.vm_start:
                out.append((invariant("rmap does not find a pte that maps a page"), f"{page.name} of {slot.name}", page))
    for mm in t.mms:
        listed = 0
        vma = mm.mmap
        while vma is not None and listed < 9:
            listed += 1
            vma = vma.vm_next
        if mm.mm_users.counter and mm.map_count != listed:
            out.append((invariant("map_count differs from the vmas"), f"{mm.name}: {mm.map_count}, not {listed}", mm))


def _ring(t: _Tables, out: list[Failure]) -> None:
    """Check that swapoff finds each mm that has a swap entry."""
    found = set()
    entry = t.init_mm.mmlist._next
    while entry is not t.init_mm.mmlist and len(found) <= len(t.mms):
        found.add(entry.struct)
        entry = entry._next
    for mm, slot, _ in t.ptes:
        if isinstance(slot._val, int) and slot._val >> t.type_shift < t.migration and mm not in found:
            out.append((invariant("an mm has a swap entry and swapoff does not find it"), slot.name, mm))


def _more_or_fewer(title: str, have: int, should: int, what: Any) -> Failure:
    return title.format("more" if have > should else "fewer"), f"{what.name}: {have}, not {should}", what


def drained(image: Image) -> Iterator[Failure]:
    """Judge an image after all processes have exited, pins were dropped and pages reclaimed: report the first page and slot left over."""
    t = _tables(image)
    for page in t.pages:
        if page.lru.on is not t.zone.free_list:
            kind = "on the LRU" if page.lru.on is not None else "linked nowhere"
            detail = f"{page.name}: count {page._count.counter}, flags {page.flags.word:#x}"
            yield leak(f"page left over after full reclaim, {kind}"), detail, page
            break
    for area in t.areas:
        if area._swap_map is not None and any(area._swap_map.items[1:area._max]):
            yield leak("swap slot left over after full reclaim"), f"{area.name}: {area._swap_map.items}", area
            break


def describe(image: Image) -> dict[str, str]:
    """Describe each page in a few words: its count, its mappings, its pins, its flags, its swap entry and its lists.

    A page that some process may write, one that another process has in swap, and one that a device has, behave differently in a fault and
    in reclaim. These words tell the generator so: it picks start states by them.
    """
    t = _tables(image)
    ns = image.namespace
    writable = {value[0] for _, slot, _ in t.ptes if (value := slot._val).__class__ is tuple and value[1]}
    swapped = Counter(slot._val for _, slot, _ in t.ptes if isinstance(slot._val, int))
    pinned = {each.page: pin.write for each, pin in zip(t.references, t.pinned, strict=True) if each.page is not None}
    out = {}
    for page in t.pages:
        word = page.flags.word
        parts = [str(page._count.counter)]
        if page._mapcount.counter >= 0:
            parts.append(f"mapped {page._mapcount.counter + 1}")
        if page in writable:
            parts.append("writable")
        if page in pinned:
            parts.append("pinned" if pinned[page] else "read-pinned")
        for name in ("lru", "active", "locked", "uptodate", "dirty", "writeback", "swapcache"):
            if word >> ns[f"PG_{name}"] & 1:
                parts.append("LRU" if name == "lru" else name)
        if word & t.swapcache:
            parts.append(f"swap{page._private >> t.type_shift}.{page._private & t.offset_mask}")
            if page._private in swapped:
                parts.append(f"swapped {swapped[page._private]}")
        if page._mapping is not None:
            parts.append("anon")
        if page.lru.on is t.zone.free_list:
            parts.append("FREE")
        out[page.name] = " ".join(parts)
    return out
