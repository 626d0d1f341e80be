# SPDX-License-Identifier: MIT
"""The patches of cow_swap_2_6 on small programs of two tasks.

`found` runs every schedule with at most one preemption. `stopped` runs a part of them that suits longer programs: one task is stopped at
each of its points in turn until the other one has ended. Both are exact, so a fault is there or not. A kernel that differs from the
faulty one in the statement at fault must be clean in the same schedules.
"""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.exhaustive import Explorer
from vmrace.harness.machine.machine import Machine
from vmrace.harness.schedulers import Walk
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.harness.schedulers.follower import Follower
from vmrace.variants.family import family
from vmrace.variants.program import Program

from tests.fuzz.family_programs import program

FAMILY = family("cow_swap_2_6")
MISSED = "INVARIANT: missed copy: a process may write a page that {} mapped for another one"
OTHERS = "DATA: a load returns another address space's store"
OLD = "DATA: a load returns an old value"
COMPLAINTS = {f"PRINTK: swap_free: {text} entry in swap_info_get" for text in ("Unused swap file", "Bad swap offset", "Unused swap offset")}
STOPS_MAX = 300         # the first load, or the search of swapoff, is over by then

# Two processes have a page. One writes to it while a third task moves it to another frame.
MIGRATED = program(["store m0.0", "fork m0 m1"], ["migrate_all m0.0", "load m0.0"], ["store m1.0"])
# Both write to it, and a thread of the first one reads it.
BOTH_WRITE = program(["store m0.0", "fork m0 m1"], ["store m0.0"], ["store m1.0", "load m0.0"])
# A device has the page by a pin, and the process writes to it while reclaim has it locked (seed 001).
PINNED = program(["store m0.0", "pin m0.0 k0", "protect m0.0", "unprotect m0.0"], ["store m0.0", "dma k0", "load m0.0", "unpin k0"],
                 ["reclaim_page m0.0"])
# A process writes to a page that it shares, while a driver that drops its pin has the page locked.
SHARED = program(["store m0.0", "pin m0.0 k0", "fork m0 m1"], ["store m0.0"], ["unpin k0"])
# A thread drops the page that another one is about to write to.
DROPPED = program(["store m0.0", "protect m0.0", "unprotect m0.0"], ["store m0.0"], ["dontneed m0.0"])
# One process has the page in its page table, another one in swap; the second reads it while the first writes.
SWAPPED = program(["store m0.0", "fork m0 m1", "reclaim_page m0.0", "load m0.0"], ["store m0.0", "load m0.0"], ["load m1.0"])


# Two processes have three pages in swap, which is full. A thread of the first one finds page 0 in the swap cache and waits for its lock.
# Meanwhile another thread copies the page, and the second process reuses it, so that its slot is free; the copy gets this slot.
SWAPPED_OUT = ["store m0.0", "store m0.1", "store m0.2", "fork m0 m1", "reclaim_page m0.0", "reclaim_page m0.1", "reclaim_page m0.2"]
SLOT_AGAIN = program(SWAPPED_OUT, ["load m0.0", "load m0.0"], ["store m0.0", "store m1.0", "reclaim_page m0.0"])
# As before, and then the page itself goes to swap again, to a slot of another area.
PAGE_AGAIN = program([*SWAPPED_OUT, "add_swap 1"], ["load m0.0", "load m0.0"],
                     ["store m0.0", "store m1.0", "reclaim_page m0.0", "reclaim_page m1.0"])
# One process has the page in its page table, another one in swap, and swap is full. The first writes while the second reads the page.
SWAPPED_FULL = program(["store m0.0", "store m0.1", "fork m0 m1", "reclaim_page m0.0", "reclaim_page m0.1", "load m0.0"],
                       ["store m0.0"], ["load m1.0"])
# The same with a swapoff, which gives the page to the second.
SWAPPED_IN = program(["store m0.0", "fork m0 m1", "reclaim_page m0.0", "load m0.0"], ["store m0.0"], ["swapoff"])
# One process alone has the page in its page table, and it is in the swap cache. The process writes while a swapoff gives the area up.
GIVEN_UP = program(["store m0.0", "reclaim_page m0.0", "load m0.0"], ["swapoff"], ["store m0.0"])
# A process writes to a page that it has in swap, while another one that maps the page forks.
SWAPPED_FORK = program(["store m0.0", "fork m0 m1", "reclaim_page m0.0", "load m0.0"], ["store m1.0"], ["fork m0 m2"])
# Swapoff has found the page of a slot and waits for its lock. Meanwhile the slot becomes free, and the page gets one of another area.
SWAPPED_OFF = program(["store m0.0", "reclaim_page m0.0", "add_swap 2"], ["swapoff", "load m0.0"], ["store m0.0", "reclaim_page m0.0"])


@functools.cache
def executor(variant: str) -> Executor:
    return Executor(FAMILY, variant)


def found(variant: str, what: Program, preemptions: int = 1) -> Counter[str]:
    """Count the titles of all schedules of a program with at most that many preemptions."""
    prepared = executor(variant).prepare(what)
    outcomes = list(every_schedule(lambda scheduler: executor(variant).run(prepared, scheduler), preemptions))
    assert len(outcomes) > (60 if preemptions else 0)
    return Counter(title for outcome in outcomes for title in {finding.title for finding in outcome.findings})


class Stop(Follower):
    """Run task 0 up to its point `number`, then task 1 to its end. Interrupts come at once, on the last cpu."""

    def __init__(self, number: int):
        self.number = number
        self.stopped = False

    def begin(self, m: Machine) -> None:
        m.want(self.number)

    def wake(self, m: Machine) -> None:
        m.want(m.step + 1)

    def at(self, m: Machine) -> int:
        self.stopped = self.stopped or m.step >= self.number
        m.want(1 << 60 if self.stopped else self.number)
        return self.forced(m, m.enabled or m.choices())

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        interrupts = [choice for choice in choices if choice >= len(m.tasks)]
        first = (1, 0) if self.stopped else (0, 1)
        return interrupts[-1] if interrupts else next((task for task in first if task in choices), choices[0])


def titles_of_stops(variant: str, what: Program) -> Iterator[set[str]]:
    prepared = executor(variant).prepare(what)
    number = steps = 1
    while number <= steps:
        outcome = executor(variant).run(prepared, Stop(number))
        yield {finding.title for finding in outcome.findings}
        number, steps = number + 1, min(outcome.steps, STOPS_MAX)


def stopped(variant: str, what: Program) -> Counter[str]:
    """Count the titles of the runs in which task 0 is stopped at each of its first points, until task 1 has ended."""
    return Counter(title for titles in titles_of_stops(variant, what) for title in titles)


LONG = pytest.mark.long     # of the variants beside the seed and the base: the short tier links few of them


@pytest.mark.parametrize(("variant", "holders"), [("pre_2_6_26", {"", "set_page_dirty_lock"}), ("nick_lock_page", {""}),
                                                  pytest.param("merged_2_6_29", {""}, marks=LONG)])
def test_a_copy_has_the_name_of_the_lock_s_holder_only_if_do_wp_page_did_not_wait_for_the_lock(variant: str, holders: set[str]) -> None:
    """The name is for the title of an unnecessary copy. Without a lock in the way, the page is copied because it is shared."""
    prepared = executor(variant).prepare(SHARED)
    names = set()

    def run(scheduler: Any) -> Any:
        outcome = executor(variant).run(prepared, scheduler)
        names.update(holder for _, holder in executor(variant).image(2).namespace["m0"].pte0.copied)
        return outcome

    assert len(list(every_schedule(run, 1))) > 20
    assert names == holders



@pytest.mark.parametrize("variant", ["hugh_can_reuse", pytest.param("hugh_interim_jun19", marks=LONG)])
def test_a_page_under_migration_is_reused_though_two_processes_have_it(variant: str) -> None:
    """A migration entry is in neither of the two counts that the patch adds up, and the arm without swap asks for no page lock."""
    titles = found(variant, MIGRATED)
    missed = MISSED.format("remove_migration_pte")
    assert titles[missed] and titles[OTHERS]
    assert set(titles) == {missed, OTHERS}


@pytest.mark.parametrize("variant", ["pre_2_6_26", *(pytest.param(each, marks=LONG) for each in ("nick_lock_page", "merged_2_6_29"))])
def test_the_lock_of_a_page_under_migration_keeps_it_from_being_reused(variant: str) -> None:
    assert not found(variant, MIGRATED)


OUT_OF_SWAP = [SWAPPED_IN, pytest.param(SWAPPED_FULL, marks=LONG)]


@pytest.mark.parametrize(("variant", "what", "mapped_in"), [
    ("hugh_can_reuse", SWAPPED_IN, "unuse_pte"),
    pytest.param("hugh_can_reuse", SWAPPED_FULL, "do_swap_page", marks=LONG),
    pytest.param("hugh_interim_jun19", SWAPPED_IN, "unuse_pte", marks=LONG)])
def test_a_page_that_leaves_the_swap_cache_between_two_tests_is_reused_though_two_processes_have_it(variant: str, what: Program,
                                                                                                    mapped_in: str) -> None:
    """The first test has seen one mapping. Then the other process gets the page out of swap, and the page leaves the swap cache: the second
    test finds it there no more, so nothing asks for the page lock or for the sum."""
    assert found(variant, what)[MISSED.format(mapped_in)]


@pytest.mark.parametrize("variant", ["pre_2_6_26", *(pytest.param(each, marks=LONG) for each in ("nick_lock_page", "merged_2_6_29"))])
@pytest.mark.parametrize("what", OUT_OF_SWAP, ids=["swapoff", "full"])
def test_the_page_lock_keeps_it_from_being_reused(variant: str, what: Program) -> None:
    assert not found(variant, what)


def test_a_fork_raises_the_mapcount_of_a_locked_page() -> None:
    """The first claim of the comment of seed 001, as a check. The sum stays right: the entry of the page still counts."""
    assert set(found("hugh_can_reuse_claims", SWAPPED_FORK)) == {"WARN at mm/swapfile.c:316 in page_swapcount"}
    assert not found("hugh_can_reuse", SWAPPED_FORK)


@pytest.mark.parametrize("variant", ["hugh_can_reuse_rc7", pytest.param("pre_2_6_26_rc7_tail", marks=LONG)])
def test_the_end_of_do_wp_page_of_rc7_shows_a_thread_the_store_of_another_process(variant: str) -> None:
    assert set(found(variant, BOTH_WRITE)) == {OTHERS}


@pytest.mark.parametrize("variant", ["pre_2_6_26", "hugh_can_reuse"])
def test_the_end_of_do_wp_page_of_2_6_26_does_not(variant: str) -> None:
    assert not found(variant, BOTH_WRITE)


def test_a_pinned_page_is_copied_while_reclaim_has_it_locked() -> None:
    assert found("pre_2_6_26", PINNED)[OLD]


@pytest.mark.parametrize("variant", ["hugh_can_reuse", *(pytest.param(each, marks=LONG) for each in ("nick_lock_page", "merged_2_6_29"))])
def test_each_patch_of_2008_keeps_the_pinned_page(variant: str) -> None:
    assert not found(variant, PINNED)


@pytest.mark.long
def test_a_page_count_copies_a_pinned_page_in_every_schedule() -> None:
    """Its reference is what the count of 5.9 sees: no other task is needed."""
    alone = program(["store m0.0", "pin m0.0 k0", "protect m0.0", "unprotect m0.0"], ["store m0.0", "dma k0", "load m0.0"])
    assert found("page_count_5_9", alone, preemptions=0)[OLD]


@pytest.mark.long
def test_the_first_version_of_the_page_count_unlocks_a_page_that_is_free() -> None:
    assert set(found("page_count_5_9_rc4", DROPPED)) == {"BUG at mm/filemap.c:567 in unlock_page"}
    assert not found("page_count_5_9", DROPPED)


@pytest.mark.parametrize("variant", ["hugh_can_reuse", pytest.param("merged_2_6_29", marks=LONG)])
def test_a_page_that_may_leave_the_swap_cache_under_a_reference_is_mapped_in_place_of_another(variant: str) -> None:
    """The race of Andrea Arcangeli's fix of 3 Sep 2010: the pte has the same entry again, and it is of the copy."""
    titles = stopped(variant, SLOT_AGAIN)
    assert titles[MISSED.format("do_swap_page")] and titles[OTHERS]


@pytest.mark.parametrize("variant", ["pre_2_6_26", pytest.param("swapin_recheck_half", marks=LONG)])
def test_a_page_that_stays_in_the_swap_cache_or_is_looked_at_again_is_not(variant: str) -> None:
    assert not stopped(variant, SLOT_AGAIN)


@pytest.mark.long
def test_the_half_of_the_fix_misses_a_page_that_is_back_in_the_swap_cache_with_another_entry() -> None:
    """The schedule of Hugh Dickins' mail of 19 Sep 2010, and his fix."""
    assert stopped("merged_2_6_29", PAGE_AGAIN)[OTHERS]
    assert stopped("swapin_recheck_half", PAGE_AGAIN)[OTHERS]
    assert not stopped("swapin_recheck", PAGE_AGAIN)


def test_swapoff_takes_a_page_out_of_the_swap_cache_that_has_the_entry_of_another_area() -> None:
    """Patch 5 of 8 of 23 Nov 2008 looks for this: the page was not written yet, so its data is lost."""
    assert stopped("hugh_can_reuse", SWAPPED_OFF)[OLD]


@pytest.mark.parametrize("variant", ["pre_2_6_26", pytest.param("merged_2_6_29", marks=LONG)])
def test_swapoff_leaves_it_where_the_page_keeps_its_entry_or_the_entry_is_looked_at(variant: str) -> None:
    assert not stopped(variant, SWAPPED_OFF)


@pytest.mark.long
def test_two_separate_looks_miss_a_reference_that_moves_between_them() -> None:
    """The schedule needs two preemptions. Random walks met it in 5 of 500 runs, so 1,500 of them miss it with probability e^-15."""
    prepared = executor("hugh_interim_jun19").prepare(SWAPPED)
    titles = {finding.title for seed in range(1500)
              for finding in executor("hugh_interim_jun19").run(prepared, Walk(random.Random(seed))).findings}
    assert MISSED.format("do_swap_page") in titles


@pytest.mark.long
def test_a_swap_count_without_the_page_lock_is_of_an_entry_that_a_swapoff_may_free() -> None:
    """The hunk of 19 Jun asks for it where it did not get the page lock. 2.6.26 copies then. The schedules need two preemptions."""
    null = {f"OOPS: NULL pointer dereference in {function}" for function in ("swap_info_get", "page_swapcount")}
    explored = Explorer(FAMILY, "hugh_interim_jun19").explore(GIVEN_UP, bound=2)
    assert explored.complete and set(explored.titles) == COMPLAINTS | null
    assert Explorer(FAMILY, "pre_2_6_26").explore(GIVEN_UP, bound=2).proved
