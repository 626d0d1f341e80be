# SPDX-License-Identifier: MIT
"""A canary for each invariant of a family: operations that leave a sound state, and the one change of it that the invariant forbids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Names = Any         # the namespace of an image, by attribute


@dataclass(frozen=True)
class Broken:
    """`spoil(k)` makes a change, to the state after `operations`, that must be reported by `title`. `k` has the kernel's names.

    `variant`: the one that has the data in question, "" for the base.
    """

    title: str
    operations: str
    spoil: Callable[[Names], object]
    variant: str = ""


def put(obj: object, slot: str, value: object) -> None:
    setattr(obj, slot, value)


def add(obj: object, slot: str, number: int) -> None:
    setattr(obj, slot, getattr(obj, slot) + number)


def flip(k: Names, page: Any, flag: str) -> None:
    page.flags.word ^= 1 << getattr(k, flag)


def copied_twice(k: Any) -> None:
    """Have a pte map the third page, after a first copy that shrink_page_list() is the reason of and a second that no function is."""
    k.m0.pte0.copied = (frame(k.m0.pte0), "shrink_page_list"), (frame(k.m0.pte1), "")
    k.m0.pte0._val = k.m0.pte1._val


def frame(slot: Any) -> Any:
    """Return the page that a pte maps."""
    return slot._val[0]


def cached(k: Names, file: str, index: int = 0) -> Any:
    """Return a page of a file in the page cache of 2.4."""
    mapping = getattr(k, file).i_mapping
    return next(page for page in k.mem_map if page._mapping is mapping and page._index == index)


def map_also(slot: Any, other: Any) -> None:
    """Map the page of one pte by another pte as well, and count that."""
    slot._val = other._val
    frame(other).count.counter += 1


def map_also_2_6(k: Names, slot: Any, value: tuple[Any, ...], mm: Any) -> None:
    """Map a page by a pte of `mm` that maps none so far, and count that."""
    slot._val = value
    value[0]._count.counter += 1
    value[0]._mapcount.counter += 1
    kind = "anon_rss" if value[0]._mapping is k.PAGE_MAPPING_ANON else "file_rss"
    add(mm, "_" + kind if hasattr(mm, "_" + kind) else kind, 1)


def lose_from_cache(k: Names) -> None:
    """Drop a page from the page cache and keep its pte."""
    page = cached(k, "f0")
    page._mapping = None
    page.count.counter -= 1


def first_free(k: Names, link: str) -> Any:
    return next(page for page in k.mem_map if getattr(page, link).on is k.zone_normal.free_list)


SOUND = "store m0.0"
FILE = "mmap_shared m0.0 f0.0; load m0.0"
LRU_FREE_2_4 = (
    Broken("use after free in user_space", SOUND, lambda k: put(k.m0.pte1, "_val", (first_free(k, "list"), 0, 0, 0))),
    Broken("INVARIANT: a free page has a count, a lock or a place on the LRU", SOUND,
           lambda k: add(first_free(k, "list").count, "counter", 1)),
    Broken("INVARIANT: a page stays locked and nobody will unlock it", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_locked")),
    Broken("INVARIANT: PG_lru and PG_active disagree with the lists", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_active")),
    Broken("INVARIANT: free_pages differs from the length of the free list", SOUND, lambda k: add(k.zone_normal, "_free_pages", 1)),
    Broken("INVARIANT: nr_active_pages or nr_inactive_pages differs from the lists", SOUND, lambda k: add(k.vm, "_nr_active_pages", 1)),
    Broken("INVARIANT: mmap_cache is no vma of its address space", SOUND, lambda k: put(k.m0, "_mmap_cache", k.m1.vma0)),
    Broken("INVARIANT: an mm's rss differs from its ptes", SOUND, lambda k: add(k.m0, "rss", 1)),
    Broken("INVARIANT: map_count differs from the vmas", SOUND, lambda k: add(k.m0, "map_count", 1)),
    Broken("INVARIANT: map_count differs from the vmas", SOUND, lambda k: put(k.m0, "_mm_rb", k.m0._mm_rb._vm_rb)),
    Broken("INVARIANT: a page of a shared mapping is not in the page cache", FILE, lose_from_cache),
    Broken("INVARIANT: a private mapping may write a page that another pte maps", SOUND, lambda k: map_also(k.m0.pte1, k.m0.pte0)),
    Broken("INVARIANT: a private mapping may write a page that is another pte's in swap",
           "store m0.0; swap_out; swap_out; load m0.0; store m0.0",
           lambda k: (put(frame(k.m0.pte0), "_mapping", k.swapper_space), put(frame(k.m0.pte0), "_index", k.SWP_ENTRY(0, 1)),
                      put(k.m0.pte1, "_val", k.SWP_ENTRY(0, 1)))),
    Broken("INVARIANT: a private mapping may write a page of the page cache", "read f0.0; mmap_private m0.0 f0.0; load m0.0",
           lambda k: put(k.m0.pte0, "_val", (frame(k.m0.pte0), 1, 0, 0))),
    Broken("INVARIANT: a page in the hash is not of its chain", "read f0.0", lambda k: put(cached(k, "f0"), "_index", 1)),
    Broken("INVARIANT: a page and the lists of its mapping disagree", "read f0.0",
           lambda k: put(cached(k, "f0"), "_mapping", k.f1.i_mapping)),
    Broken("INVARIANT: nrpages differs from the pages in the page cache", "read f0.0", lambda k: add(k.f0.i_mapping, "_nrpages", 1)),
    Broken("INVARIANT: page_cache_size or the hash differs from the pages in the page cache", "read f0.0",
           lambda k: add(k.vm.page_cache_size, "counter", 1)),
    Broken("INVARIANT: swap_map counts more users of an entry than there are", SOUND,
           lambda k: k.swap_info[0].swap_map.items.__setitem__(5, 1)),
    Broken("INVARIANT: swap_map counts fewer users of an entry than there are", SOUND,
           lambda k: put(k.m0.pte1, "_val", k.SWP_ENTRY(0, 1))),
    Broken("INVARIANT: nr_swap_pages differs from the free slots", SOUND, lambda k: add(k.vm, "_nr_swap_pages", 1)),
    Broken("LEAK: a page that nobody owns is not free", SOUND, lambda k: put(k.m0.pte0, "_val", None)),
    Broken("LEAK: lost page: no reference, not free", "read f0.0; store m0.0; pin m0.0 k0; unmap m0.0",
           lambda k: (put(k.k0.maplist[0].count, "counter", 0), put(k.k0, "nr_pages", 0), k.__lru_cache_del(k.k0.maplist[0]))),
    Broken("LEAK: deferred page: no reference, not free", "store m0.0; pin m0.0 k0; unmap m0.0",
           lambda k: (put(k.k0.maplist[0].count, "counter", 0), put(k.k0, "nr_pages", 0))),
    Broken("REFCOUNT: page.count counts more references than there are owners, at rest", SOUND,
           lambda k: add(frame(k.m0.pte0).count, "counter", 1)),
    Broken("REFCOUNT: page.count counts fewer references than there are owners, at rest", "store m0.0; pin m0.0 k0",
           lambda k: add(frame(k.m0.pte0).count, "counter", -1)),
)

INVALIDATE_2_6 = (
    Broken("INVARIANT: a page lock was given back by somebody who did not hold it", SOUND,
           lambda k: put(frame(k.m0.pte0), "unlocked_by_other", 1)),
    Broken("use after free in user_space", SOUND, lambda k: put(k.m0.pte1, "_val", (first_free(k, "lru"), 0, 0, 0))),
    Broken("INVARIANT: a free page has a count, a lock, a mapping or a place on the LRU", SOUND,
           lambda k: add(first_free(k, "lru")._count, "counter", 1)),
    Broken("INVARIANT: a page stays locked and nobody will unlock it", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_locked")),
    Broken("INVARIANT: a page stays under writeback and nobody will end it", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_writeback")),
    Broken("INVARIANT: PG_lru and PG_active disagree with the lists", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_lru")),
    Broken("INVARIANT: page._mapcount counts more mappings than there are ptes", SOUND,
           lambda k: add(frame(k.m0.pte0)._mapcount, "counter", 1)),
    Broken("INVARIANT: page._mapcount counts fewer mappings than there are ptes", FILE,
           lambda k: add(frame(k.m0.pte0)._mapcount, "counter", -1)),
    Broken("REFCOUNT: page._count counts more references than there are owners, at rest", SOUND,
           lambda k: add(frame(k.m0.pte0)._count, "counter", 1)),
    Broken("REFCOUNT: page._count counts fewer references than there are owners, at rest", FILE,
           lambda k: add(frame(k.m0.pte0)._count, "counter", -1)),
    Broken("LEAK: a page that nobody owns is not free", "read f0.0; take f0.0 k0; truncate f0 1; reclaim",
           lambda k: put(k.references[0], "page", None)),
    Broken("LEAK: lost page: no reference, not free", "read f0.0; take f0.0 k0; truncate f0 1; reclaim",
           lambda k: (put(k.references[0].page._count, "counter", 0), put(k.references[0], "page", None))),
    Broken("INVARIANT: PG_private disagrees with page->private", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_private")),
    Broken("INVARIANT: a write section stays open and nobody will end it", SOUND,
           lambda k: add(k.f0.i_mapping.invalidate_lock.writers, "counter", 1), "andrea_seqschedlock"),
    Broken("INVARIANT: a mapped page is not in the page cache", FILE,
           lambda k: (put(frame(k.m0.pte0), "_mapping", None), put(k.f0.i_mapping.page_tree, "items", [None, None]))),
    Broken("INVARIANT: a mapped page is not uptodate", FILE, lambda k: flip(k, frame(k.m0.pte0), "PG_uptodate")),
    Broken("INVARIANT: a page without a mapping is dirty", "read f0.0; take f0.0 k0; truncate f0 1",
           lambda k: flip(k, k.references[0].page, "PG_dirty")),
    Broken("INVARIANT: an mm's rss differs from its ptes", SOUND, lambda k: add(k.m0, "anon_rss", 1)),
    Broken("INVARIANT: map_count differs from the vmas", SOUND, lambda k: add(k.m0, "map_count", 1)),
    Broken("INVARIANT: a shared mapping maps a page of another place", "read f0.1; mmap_shared m0.0 f0.0; mmap_shared m0.1 f0.1; load m0.1",
           lambda k: map_also_2_6(k, k.m0.pte0, k.m0.pte1._val, k.m0)),
    Broken("INVARIANT: a private mapping may write a page that another pte maps", SOUND,
           lambda k: map_also_2_6(k, k.m0.pte1, k.m0.pte0._val, k.m0)),
    Broken("INVARIANT: a private mapping may write a page of a file", "mmap_private m0.0 f0.0; load m0.0",
           lambda k: put(k.m0.pte0, "_val", (frame(k.m0.pte0), 1, 0, 0))),
    Broken("INVARIANT: an empty slot of the page cache has a tag", SOUND, lambda k: put(k.f0.i_mapping.tag_dirty, "items", [1, 0])),
    Broken("INVARIANT: a page in the page cache says it is elsewhere", "read f0.0",
           lambda k: put(k.f0.i_mapping.page_tree.items[0], "_index", 1)),
    Broken("INVARIANT: a dirty page is not tagged dirty", "read f0.0", lambda k: flip(k, k.f0.i_mapping.page_tree.items[0], "PG_dirty")),
    Broken("INVARIANT: nrpages differs from the pages in the page cache", "read f0.0", lambda k: add(k.f0.i_mapping, "_nrpages", 1)),
    Broken("INVARIANT: a page with a mapping is not in the page cache", "read f0.0",
           lambda k: put(k.f0.i_mapping.page_tree, "items", [None, None])),
    Broken("INVARIANT: free_pages differs from the length of the free list", SOUND, lambda k: add(k.zone_normal, "_free_pages", 1)),
    Broken("INVARIANT: nr_active or nr_inactive differs from the lists", SOUND, lambda k: add(k.zone_normal, "_nr_active", 1)),
    Broken("INVARIANT: nr_mapped counts more pages than are mapped", SOUND, lambda k: add(k.nr_mapped, "counter", 1)),
    Broken("INVARIANT: nr_mapped counts fewer pages than are mapped", SOUND, lambda k: add(k.nr_mapped, "counter", -1)),
)

SWAPPED = "store m0.0; reclaim_page m0.0"
CACHED = SWAPPED + "; load m0.0"                # the page is clean, and its slot keeps it
PINNED = "store m0.0; pin m0.0 k0"
UNMAPPED = "store m0.0; refill_inactive 1; pin m0.0 k0; unmap m0.0"        # no pagevec has the page: the pin alone keeps it
COW_SWAP_2_6 = (
    Broken("INVARIANT: two requests for one swap slot overlapped", SWAPPED, lambda k: put(k.swap_disks[0], "overlapped", 1)),
    Broken("INVARIANT: a page lock was released by a task that did not hold it", SOUND,
           lambda k: put(frame(k.m0.pte0), "unlocked_by_other", 1)),
    Broken("use after free in user_space", SOUND, lambda k: put(k.m0.pte1, "_val", (first_free(k, "lru"), 0, 0, 0))),
    Broken("INVARIANT: a free page has a count, a lock, a mapping or a place on the LRU or in swap", SOUND,
           lambda k: add(first_free(k, "lru")._count, "counter", 1)),
    Broken("REFCOUNT: page._count counts more references than there are owners, at rest", SOUND,
           lambda k: add(frame(k.m0.pte0)._count, "counter", 1)),
    Broken("REFCOUNT: page._count counts fewer references than there are owners, at rest", CACHED,
           lambda k: add(frame(k.m0.pte0)._count, "counter", -1)),
    Broken("LEAK: a page that nobody owns is not free", UNMAPPED, lambda k: put(k.references[0], "page", None)),
    Broken("LEAK: lost page: no reference, not free", UNMAPPED,
           lambda k: (put(k.references[0].page._count, "counter", 0), put(k.references[0], "page", None))),
    Broken("REFCOUNT: the count of the zero page has more references than there are pins of it", SOUND,
           lambda k: add(k.empty_zero_page._count, "counter", 1)),
    Broken("INVARIANT: free_pages differs from the length of the free list", SOUND, lambda k: add(k.zone_normal, "_free_pages", 1)),
    Broken("INVARIANT: nr_active or nr_inactive differs from the lists", SOUND, lambda k: add(k.zone_normal, "_nr_active", 1)),
    Broken("INVARIANT: a page stays locked and nobody will unlock it", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_locked")),
    Broken("INVARIANT: a page stays under writeback and nobody will end it", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_writeback")),
    Broken("INVARIANT: PG_lru and PG_active disagree with the lists", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_lru")),
    Broken("INVARIANT: page._mapcount counts more mappings than there are ptes", SOUND,
           lambda k: add(frame(k.m0.pte0)._mapcount, "counter", 1)),
    Broken("INVARIANT: a page in use is not uptodate", SOUND, lambda k: flip(k, frame(k.m0.pte0), "PG_uptodate")),
    Broken("INVARIANT: PG_swapcache disagrees with the swap cache", CACHED, lambda k: flip(k, frame(k.m0.pte0), "PG_swapcache")),
    Broken("INVARIANT: a migration entry stays and nobody will remove it", SOUND,
           lambda k: put(k.m0.pte0, "_val", k.swp_entry(k.SWP_MIGRATION_READ, 0))),
    Broken("INVARIANT: anon_rss counts more pages than the mm maps", SOUND, lambda k: add(k.m0, "anon_rss", 1)),
    Broken("INVARIANT: an mm that has ended after a migration counts pages in anon_rss",
           "store m0.0; fork m0 m1; refill_inactive 2; migrate_all m1.0; exit m1", lambda k: add(k.m1, "anon_rss", 1)),
    Broken("INVARIANT: a page in the swap cache is there for another entry", CACHED,
           lambda k: put(frame(k.m0.pte0), "_private", k.swp_entry(0, 2))),
    Broken("INVARIANT: a clean page differs from its swap slot", CACHED, lambda k: put(k.swap_disks[0].slot1, "word0", 99)),
    Broken("INVARIANT: total_swapcache_pages counts more pages than the swap cache has", CACHED,
           lambda k: add(k.swapper_space, "_nrpages", 1)),
    Broken("INVARIANT: swap_map counts fewer users of a slot than there are", SWAPPED,
           lambda k: put(k.m0.pte1, "_val", k.m0.pte0._val)),
    Broken("INVARIANT: a pte or the swap cache has an entry of an area that is gone", SWAPPED,
           lambda k: put(k.m0.pte1, "_val", k.swp_entry(1, 1))),
    Broken("INVARIANT: inuse_pages counts more slots than are in use", SOUND, lambda k: add(k.swap_info[0], "inuse_pages", 1)),
    Broken("INVARIANT: a free swap slot is outside lowest_bit and highest_bit", SOUND, lambda k: add(k.swap_info[0], "lowest_bit", 1)),
    Broken("INVARIANT: nr_swap_pages or total_swap_pages differs from the slots", SOUND, lambda k: add(k.vm, "_nr_swap_pages", -1)),
    Broken("INVARIANT: missed copy: a process may write a page that copy_one_pte mapped for another one",
           "store m0.0; fork m0 m1; load m1.0", lambda k: put(k.m0.pte0, "_val", (frame(k.m0.pte0), 1, 1, 1))),
    Broken("INVARIANT: missed copy: a process may write a page that copy_one_pte mapped for another one",      # and not mprotect
           "store m0.0; fork m0 m1; protect m1.0", lambda k: put(k.m0.pte0, "_val", (frame(k.m0.pte0), 1, 1, 1))),
    Broken("INVARIANT: missed copy: a process may write a page that another one has in swap",
           "store m0.0; fork m0 m1; reclaim_page m0.0; load m0.0", lambda k: put(k.m0.pte0, "_val", (frame(k.m0.pte0), 1, 1, 1))),
    Broken("INVARIANT: unnecessary copy: a device writes a page that its process no longer has", PINNED + "; store m0.1",
           lambda k: (put(k.m0.pte0, "copied", ((frame(k.m0.pte0), ""),)), put(k.m0.pte0, "_val", k.m0.pte1._val))),
    Broken("INVARIANT: wrong copy: a device writes a page that its process does not get back from swap", PINNED + "; store m0.1",
           lambda k: put(k.m0.pte0, "_val", k.m0.pte1._val)),
    Broken("INVARIANT: unnecessary copy beside shrink_page_list: a device writes a page that its process no longer has",
           PINNED + "; store m0.1", copied_twice),
    Broken("INVARIANT: wrong copy: a device writes a page that its process does not get back from swap", PINNED + "; reclaim_page m0.0",
           lambda k: k.swapper_space.page_tree.slots.items.__setitem__(1, None)),
    Broken("INVARIANT: an anon_vma without vmas is not free, or one with vmas is free", SOUND,
           lambda k: put(k.m0.vma0._anon_vma, "in_use", 0)),
    Broken("INVARIANT: a vma is not on the list of its anon_vma", SOUND, lambda k: put(k.m0.vma0, "_anon_vma", k.anon_vma_cachep[0][1])),
    Broken("INVARIANT: a pte is of no vma", SOUND, lambda k: put(k.m0.vma0, "in_use", 0)),
    Broken("INVARIANT: rmap does not find a pte that maps a page", SOUND, lambda k: add(frame(k.m0.pte0), "_index", 1)),
    Broken("INVARIANT: map_count differs from the vmas", SOUND, lambda k: add(k.m0, "map_count", 1)),
    Broken("INVARIANT: an mm has a swap entry and swapoff does not find it", SWAPPED, lambda k: k.list_del(k.m0.mmlist)),
)

CANARIES: dict[str, tuple[Broken, ...]] = {"lru_free_2_4": LRU_FREE_2_4, "invalidate_2_6": INVALIDATE_2_6,
                                           "cow_swap_2_6": COW_SWAP_2_6}
