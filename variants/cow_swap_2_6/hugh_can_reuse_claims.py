# SPDX-License-Identifier: GPL-2.0-only
"""The claims of the comment above page_swapcount() in seed 001, as checks. Linked over hugh_can_reuse, whose text they leave alone.

Each check has the line of its sentence in the patched mm/swapfile.c, and warns. Its reads are loads like those of the kernel, each a step:
what they see depends on the schedule, so an exploration must try their orders, too.

    316  with the page locked, the mapcount cannot rise
    319  without it, the swap count is stable while swap_lock is held
    320  nor can the mapcount rise from 1, while the caller holds the lock of that pte
    326  swapcount + mapcount is never seen too low: not as 1 while a pte of another process leads to the page

The check of line 316 fails: a fork of another process that maps the page raises the mapcount under two pte locks, without the page's lock.
The check of line 320 fails: another process that swaps the page in raises the mapcount under the page's lock and its own pte lock. The
sum stays right, as the swap count cannot fall before swap_lock is free. Hugh Dickins wrote on 23 Nov 2008 that migration had spoilt his
optimisations: a migration entry is in neither count.
"""
from vmrace.harness.kernel import WARN_ON, current, data_race, smp_rmb, spin_is_locked, spin_lock, spin_unlock
from vmrace.variants.cow_swap_2_6.hugh_can_reuse import swap_info_get
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import PageSwapCache, page_mapcount, page_private
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import is_migration_entry, swp_offset
from vmrace.variants.cow_swap_2_6.types import m0, m1, m2, m3, swap_lock


__FILE__ = "mm/swapfile.c"


def leads_to(pte, page):
    """True if a pte is of the page, or of its swap entry while it is cached, or a migration entry of it."""
    if pte.__class__ is tuple:
        return pte[0] is page
    if pte is None:
        return False
    if is_migration_entry(pte):
        return swp_offset(pte) == page.pfn
    return PageSwapCache(page) and page_private(page) == pte


def true_references(page):
    """The ptes of other processes that lead to the page. One whose lock a task holds may be on its way out, or from one count to the
    other."""
    return sum(leads_to(data_race(slot.val), page) for mm in (m0, m1, m2, m3)
               if mm is not current().mm and not spin_is_locked(mm.page_table_lock) for slot in (mm.pte0, mm.pte1, mm.pte2))


def page_swapcount(page, add_mapcount):
    """Count as hugh_can_reuse does, and check the claims. The caller of a page that is not locked holds the lock of one pte of it."""
    count = 0

    spin_lock(swap_lock)
    locked = page.locker is current()
    before = page_mapcount(page)
    if add_mapcount:
        count = before
    if PageSwapCache(page):
        # private can be relied on once PageSwapCache is visible
        smp_rmb()
        entry = page_private(page)
        p = swap_info_get(entry)
        if p:
            # the swap cache itself is not counted
            swapcount = p.swap_map[swp_offset(entry)]
            count += swapcount - 1
            WARN_ON(swapcount != p.swap_map[swp_offset(entry)], 319)
    after = page_mapcount(page)
    if locked:
        WARN_ON(after > before, 316)
    elif before == 1:
        WARN_ON(after > 1, 320)
    if add_mapcount and count == 1:
        WARN_ON(true_references(page), 326)
    spin_unlock(swap_lock)
    return count
