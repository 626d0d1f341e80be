# SPDX-License-Identifier: MIT
"""Each function of the kernel of invalidate_2_6 does its work for one task alone; random programs without a race do no harm."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.fuzz.programs.generate import program
from vmrace.fuzz.run.executor import Executor, SetupFailed
from vmrace.fuzz.run.rest import at_boot
from vmrace.harness.machine.machine import m
from vmrace.harness.replay import named_schedule as schedule
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.walk import Walk
from vmrace.variants.family import family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import parse_op
from vmrace.variants.user_model import judge

from tests.fuzz.family_programs import program as tasks

FAMILY = family("invalidate_2_6")
EXECUTOR = Executor(FAMILY, "pre_2_6_15", checked=True)
IMAGE = EXECUTOR.image(2)
KERNEL = IMAGE.namespace
F0 = KERNEL["f0"].i_mapping
M0 = KERNEL["m0"]
BOOT_CONTENT = 1000         # of page 0 of f0


def op(line: str, value: int = 0) -> tuple[Any, tuple[Any, ...]]:
    """Return an operation as (function, arguments); `value` is the value that it writes, if it writes."""
    parsed = parse_op(line, "test")
    args = [int(part) for operand in parsed.operands for part in operand.lstrip("mfk").split(".")]
    return IMAGE[f"op_{parsed.name}"], (*args, value) if OPERATIONS[parsed.name].writes else tuple(args)


def run(*steps: str | tuple[str, int] | Callable[[], Any]) -> list[Any]:
    """Boot, then run the steps in one task: operations, or functions whose results are returned. Asserts that nothing is wrong at rest."""
    IMAGE.load(IMAGE.boot)
    IMAGE.load_volatile(IMAGE.at_rest)
    IMAGE.lockdep.set_exact(True)
    results: list[Any] = []
    calls: list[Any] = [(IMAGE["boot"], ((1, 1, 1, 1),))]
    for step in steps:
        if isinstance(step, str):
            calls.append(op(step))
        elif isinstance(step, tuple):
            calls.append(op(*step))
        else:
            calls.append((lambda function: results.append(function()), (step,)))
    m.run(IMAGE, [(0, calls)], NoPreempt(), EXECUTOR.backend, 2)
    assert not m.findings and not m.notes, [finding.title for finding in (*m.findings, *m.notes)]
    at_boot(m)
    assert FAMILY.check(IMAGE) == []
    assert judge(m.history) == []
    return results


def loads() -> list[Any]:
    """Return the values that user space has read, in order."""
    return [value for what, _, _, value, _, _ in m.history if what == "load"]


def cached(index: int = 0) -> Any:
    return F0.page_tree.items[index]


def flags(page: Any) -> set[str]:
    names = ("locked", "referenced", "uptodate", "dirty", "lru", "active", "private", "writeback", "reclaim")
    return {name for name in names if page.flags.word >> KERNEL[f"PG_{name}"] & 1}


def pte(page: int = 0, mm: Any = M0) -> Any:
    return (mm.pte0, mm.pte1, mm.pte2)[page]._val


# ---- the page cache ----------------------------------------------------------------------------------------------------


def test_a_read_brings_the_page_from_disk() -> None:
    run("read f0.0")
    assert loads() == [BOOT_CONTENT, BOOT_CONTENT]
    assert flags(cached()) == {"referenced", "uptodate"}
    assert cached()._count.counter == 2         # the cache and the pagevec in front of the LRU


def test_find_get_page_takes_a_reference_and_find_lock_page_the_lock_too() -> None:
    found, locked = run("read f0.0",
                        lambda: KERNEL["find_get_page"](F0, 0),
                        lambda: KERNEL["put_page"](cached()) or KERNEL["find_lock_page"](F0, 0),
                        lambda: KERNEL["unlock_page"](cached()) or KERNEL["put_page"](cached()))[:2]
    assert found is locked is cached()
    assert run(lambda: KERNEL["find_get_page"](F0, 0), lambda: KERNEL["find_lock_page"](F0, 1)) == [None, None]


def test_a_slot_of_the_page_cache_is_taken_once() -> None:
    def add_twice() -> Any:
        page = KERNEL["alloc_pages"](KERNEL["GFP_HIGHUSER"])
        error = KERNEL["add_to_page_cache"](page, F0, 0)
        KERNEL["put_page"](page)
        return error
    assert run("read f0.0", add_twice) == [-KERNEL["EEXIST"]]


def test_a_read_beyond_the_end_of_the_file_returns_nothing() -> None:
    run("truncate f0 2", "read f0.1", "load m0.0")
    assert loads() == [0, 0]


# ---- faults ------------------------------------------------------------------------------------------------------------------


def test_a_load_maps_the_page_that_the_cache_has() -> None:
    run("mmap_shared m0.0 f0.0", "load m0.0")
    page, write, dirty, young = pte()
    assert page is cached() and (write, dirty, young) == (1, 0, 1)
    assert page._mapcount.counter == 0 and M0.file_rss == 1
    assert loads() == [BOOT_CONTENT, BOOT_CONTENT]


def test_a_store_to_a_shared_mapping_dirties_the_pte_and_not_yet_the_page() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "read f0.0")
    assert pte()[2] == 1 and "dirty" not in flags(cached())
    assert loads() == [7, 7]


def test_a_store_to_a_private_mapping_makes_a_copy() -> None:
    run("mmap_private m0.0 f0.0", "load m0.0", ("store m0.0", 7), "read f0.0")
    assert pte()[0] is not cached() and pte()[0]._mapping is KERNEL["PAGE_MAPPING_ANON"]
    assert loads() == [BOOT_CONTENT] * 4 and pte()[0].data.word0 == 7
    assert (M0.file_rss, M0.anon_rss) == (0, 1)


def test_a_write_fault_on_a_private_mapping_copies_the_page_at_once() -> None:
    run("mmap_private m0.0 f0.0", ("store m0.0", 7))
    assert pte()[0] is not cached() and cached()._mapcount.counter == -1


def test_a_load_beyond_the_end_of_the_file_gets_sigbus() -> None:
    run("mmap_shared m0.0 f0.1", "truncate f0 2", "load m0.0", ("store m0.0", 7))
    assert loads() == [] and pte() is None


def test_an_anonymous_page_reads_zero_until_it_is_written() -> None:
    run("load m0.0", ("store m0.0", 7), "load m0.0")
    assert loads() == [0, 0, 7, 7]
    assert KERNEL["empty_zero_page"]._count.counter == 1


def test_fork_maps_private_copies_and_leaves_other_pages_to_faults() -> None:
    run(("store m0.0", 7), "mmap_shared m0.1 f0.0", "load m0.1", "fork m0 m1", ("store m0.0", 8), "load m1.0", "load m1.1")
    assert loads() == [BOOT_CONTENT, BOOT_CONTENT, 7, 7, BOOT_CONTENT, BOOT_CONTENT]
    assert cached()._mapcount.counter == 1


# ---- unmapping -----------------------------------------------------------------------------------------------------------------


def test_unmap_moves_the_dirty_bit_to_the_page() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "unmap m0.0")
    assert "dirty" in flags(cached()) and F0.tag_dirty.items[0] == 1
    assert cached()._mapcount.counter == -1 and F0._nr_mmap == 0


@pytest.mark.parametrize("even_cows", [0, 1])
def test_unmap_mapping_range_takes_private_copies_only_with_even_cows(even_cows: int) -> None:
    run("mmap_shared m0.0 f0.0", "load m0.0", "mmap_private m0.1 f0.0", ("store m0.1", 7),
        lambda: KERNEL["unmap_mapping_range"](F0, 0, 0, even_cows))
    assert pte(0) is None
    assert (pte(1) is None) == bool(even_cows)


def test_unmap_mapping_range_moves_truncate_count_and_never_onto_a_page_boundary() -> None:
    run(lambda: KERNEL["unmap_mapping_range"](F0, 0, 0, 0))
    assert F0._truncate_count == 1
    page_size = KERNEL["PAGE_SIZE"]

    def near_the_boundary() -> None:
        F0._truncate_count = page_size - 1
        KERNEL["unmap_mapping_range"](F0, 0, 0, 0)
    run(near_the_boundary)
    assert F0._truncate_count == page_size + 1


def test_unmap_mapping_range_reaches_each_address_space_and_no_other_page() -> None:
    run("mmap_shared m0.0 f0.0", "mmap_shared m0.1 f0.1", "fork m0 m1", "load m0.0", "load m0.1", "load m1.0",
        lambda: KERNEL["unmap_mapping_range"](F0, 0, KERNEL["PAGE_SIZE"], 0))
    assert pte(0) is None and pte(0, KERNEL["m1"]) is None and pte(1) is not None


def test_unmap_mapping_range_finds_pages_in_nonlinear_vmas() -> None:
    run("mmap_shared m0.0 f0.0", "populate m0.0 f0.1", lambda: KERNEL["unmap_mapping_range"](F0, KERNEL["PAGE_SIZE"], 0, 0), "load m0.0")
    assert loads() == [BOOT_CONTENT + 1] * 2        # the pte names the page of the file
    run("mmap_shared m0.0 f0.0", "populate m0.0 f0.1", lambda: KERNEL["unmap_mapping_range"](F0, KERNEL["PAGE_SIZE"], 0, 0))
    assert pte() == 1


# ---- invalidate, truncate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["invalidate f0", "invalidate_page f0.0", "invalidate2 f0", "invalidate2_page f0.0"])
def test_both_invalidates_drop_a_clean_page(how: str) -> None:
    run("read f0.0", how)
    assert cached() is None and F0._nrpages == 0


def test_invalidate_leaves_mapped_and_dirty_pages_in_the_cache() -> None:
    run("mmap_shared m0.0 f0.0", "load m0.0", ("write f0.1", 7), "invalidate f0")
    assert cached(0) is pte()[0] and "dirty" in flags(cached(1))


def test_invalidate2_unmaps_a_page_first_and_the_next_load_reads_the_disk() -> None:
    (error,) = run("mmap_shared m0.0 f0.0", "load m0.0", lambda: KERNEL["invalidate_inode_pages2"](F0))
    assert error == 0 and pte() is None and cached() is None
    run("mmap_shared m0.0 f0.0", "load m0.0", "invalidate2 f0", "load m0.0")
    assert [pte()[0].data.word0, pte()[0].data.word1] == [BOOT_CONTENT] * 2


def test_invalidate2_drops_a_dirty_pte_and_keeps_dirty_buffers() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "invalidate2 f0")
    assert cached() is None and KERNEL["f0_disk"].block0.word0 == BOOT_CONTENT
    (error,) = run(("write f0.0", 7), lambda: KERNEL["invalidate_inode_pages2"](F0))
    assert error == -KERNEL["EIO"] and flags(cached()) >= {"dirty", "private"}


def test_a_passing_reference_stops_reclaim_but_no_invalidate() -> None:
    run("read f0.0", "take f0.0 k0", "invalidate f0")
    assert cached() is None
    run("read f0.0", "take f0.0 k0", "shrink_cache 4", "shrink_cache 4")
    assert cached() is not None


def test_truncate_unmaps_drops_and_frees_blocks() -> None:
    run("mmap_shared m0.0 f0.1", ("store m0.0", 7), "truncate f0 2", "truncate f0 3", "read f0.1", "read f0.0")
    assert pte() is None
    assert loads() == [0, 0, BOOT_CONTENT, BOOT_CONTENT]


def test_truncate_takes_private_copies_beyond_the_end() -> None:
    run("mmap_private m0.0 f0.1", ("store m0.0", 7), "truncate f0 2", "load m0.0")
    assert pte() is None and loads() == []


# ---- reclaim -------------------------------------------------------------------------------------------------------------------


def test_reclaim_unmaps_and_frees_a_page_when_it_is_no_longer_used() -> None:
    run("mmap_shared m0.0 f0.0", "load m0.0", "shrink_cache 4", *["refill_inactive 4", "shrink_cache 4"] * 2)
    assert cached() is None and pte() is None


def test_reclaim_writes_a_dirty_page_before_it_frees_it() -> None:
    run(("write f0.0", 7), *["refill_inactive 4", "shrink_cache 4"] * 3)
    assert KERNEL["f0_disk"].block0.word0 == KERNEL["f0_disk"].block0.word1 == 7
    run(("write f0.0", 7), *["refill_inactive 4", "shrink_cache 4"] * 3, "sync f0", "shrink_cache 4", "read f0.0")
    assert loads() == [7, 7]


def test_reclaim_cannot_free_anonymous_pages() -> None:
    run(("store m0.0", 7), *["refill_inactive 4", "shrink_cache 4"] * 3, "load m0.0")
    assert loads() == [7, 7]


def test_a_task_that_needs_more_memory_than_there_is_is_killed() -> None:
    run("fork m0 m1", "fork m0 m2", *[(f"store m{mm}.{page}", 1 + 3 * mm + page) for mm in range(3) for page in range(3)])
    assert any(KERNEL["processes"][mm].dying for mm in range(3))


# ---- writing -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["writeback f0", "sync f0"])
def test_written_data_reaches_the_disk(how: str) -> None:
    run(("write f0.0", 7), ("write f0.1", 8), how)
    assert [KERNEL["f0_disk"].block0.word1, KERNEL["f0_disk"].block1.word1] == [7, 8]
    assert not flags(cached(0)) & {"dirty", "writeback"} and F0.tag_dirty.items == [0, 0]


def test_sync_does_not_look_at_ptes_and_a_direct_write_does() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "sync f0")
    assert KERNEL["f0_disk"].block0.word0 == BOOT_CONTENT
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), ("direct_write f0.1", 8))
    assert KERNEL["f0_disk"].block0.word0 == BOOT_CONTENT        # the pte of another page is dirty
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), ("direct_write f0.0", 8), "load m0.0", "read f0.0")
    assert KERNEL["f0_disk"].block0.word0 == 8 and loads() == [8] * 4


def test_a_write_beyond_the_end_makes_the_file_longer() -> None:
    run("truncate f0 1", ("write f0.1", 7), "read f0.0", "read f0.1")
    assert loads() == [0, 0, 7, 7]


def test_a_direct_write_to_a_hole_goes_through_the_cache() -> None:
    run("truncate f0 1", "truncate f0 3", ("direct_write f0.0", 7), "read f0.0")
    assert loads() == [7, 7] and KERNEL["f0_disk"].block0.word1 == 7


def test_a_write_from_memory_copies_the_mapped_data() -> None:
    run(("store m0.0", 7), "write_mapped m0.0 f0.0", "read f0.0")
    assert loads() == [7] * 4 and flags(cached()) >= {"uptodate", "dirty", "private"} and "locked" not in flags(cached())
    run("mmap_shared m0.0 f0.1", "write_mapped m0.0 f0.0", "read f0.0")
    assert loads() == [BOOT_CONTENT + 1] * 4
    run("mmap_private m0.0 f1.0", ("store m0.0", 8), "write_mapped m0.0 f0.0", "read f0.0")
    assert loads() == [8, 8, 8, 8]


def test_a_page_may_be_written_from_its_own_mapping() -> None:
    run("mmap_shared m0.0 f0.0", "write_mapped m0.0 f0.0", "sync f0", "load m0.0")
    assert loads() == [BOOT_CONTENT] * 4 and pte()[0] is cached()
    assert KERNEL["f0_disk"].block0.word0 == KERNEL["f0_disk"].block0.word1 == BOOT_CONTENT


def test_a_write_from_memory_that_is_not_there_fails_and_leaves_zeros() -> None:
    def write() -> Any:
        return KERNEL["generic_file_write"](KERNEL["f0_file"], 0, KERNEL["at"](0, 0), 0)
    assert run("unmap m0.0", "load m0.0", write) == [-KERNEL["EFAULT"]]
    assert (cached().data.word0, cached().data.word1) == (0, 0) and flags(cached()) >= {"uptodate", "dirty"}
    run(("write f0.0", 7), "unmap m0.0", "write_mapped m0.0 f0.0", "read f0.0")       # the content after a failed write is not judged
    assert loads() == [0, 0]


def test_a_copy_that_must_not_fault_writes_zeros_and_the_next_copy_faults() -> None:
    def both() -> Any:
        buf, page = KERNEL["at"](0, 0), KERNEL["find_get_page"](F0, 1)
        KERNEL["kmap_atomic"](page)
        left = KERNEL["__copy_from_user_inatomic"](page.data, buf)
        KERNEL["kunmap_atomic"]()
        between = page.data.word0, page.data.word1, pte()
        left_then = KERNEL["__copy_from_user"](page.data, buf)
        KERNEL["put_page"](page)
        return left, between, left_then, page.data.word0, page.data.word1
    page_size = KERNEL["PAGE_SIZE"]
    assert run("read f0.1", "mmap_shared m0.0 f0.0", "load m0.1", both) == [(page_size, (0, 0, None), 0, BOOT_CONTENT, BOOT_CONTENT)]
    assert pte()[0] is cached()


def test_populate_shows_another_page_of_the_file() -> None:
    run("mmap_shared m0.0 f0.0", "populate m0.0 f0.1", "load m0.0")
    assert pte()[0] is cached(1) and M0.vma0.vm_flags & KERNEL["VM_NONLINEAR"]
    assert loads() == [BOOT_CONTENT + 1] * 2


# ---- random programs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_random_programs_without_preemption_have_no_finding_and_leave_no_page(seed: int) -> None:
    executor = Executor(FAMILY, "pre_2_6_15")
    rng = random.Random(seed)
    for _ in range(50):
        drawn = program(rng, executor.operations())
        prepared = executor.prepare(drawn)
        outcome = executor.run(prepared, NoPreempt())
        assert outcome.titles == [], drawn
        assert executor.leaks(prepared, outcome) == [], drawn


@pytest.mark.long
def test_the_same_decisions_are_the_same_run_in_every_image() -> None:
    rng = random.Random(5)
    fast, checked = Executor(FAMILY, "pre_2_6_15"), Executor(FAMILY, "pre_2_6_15", checked=True)
    for number in range(15):
        drawn = program(rng, fast.operations())
        try:
            ours, theirs = fast.prepare(drawn), checked.prepare(drawn)
        except SetupFailed:
            continue
        walked = fast.run(ours, Walk(random.Random(number)))
        again = checked.replay(theirs, walked.switches, walked.forced)
        assert again.steps == walked.steps, drawn


# ---- the page that an address shows --------------------------------------------------------------------------------------------


def test_after_overlapping_calls_the_page_that_an_address_shows_is_unknown() -> None:
    """The call that returns last may not be the one that changed the address last."""
    address = KERNEL["addresses"][0][0]
    begin, end = lambda: KERNEL["begin_change"](0, 0, ("shared", 0, 0)), lambda: KERNEL["end_change"](0, 0, ("shared", 0, 0))
    shown = run(begin, begin, end, end, lambda: address.shows, begin, end, lambda: address.shows)
    assert (shown[4], shown[-1]) == (None, ("shared", 0, 0))


def test_overlapping_calls_that_map_private_memory_leave_the_register_known() -> None:
    """Either page is a register of the address space, and both calls store 0 in it."""
    address = KERNEL["addresses"][0][0]
    begin, end = lambda: KERNEL["begin_change"](0, 0, ("anon",)), lambda: KERNEL["end_change"](0, 0, ("anon",))
    shown = run(begin, begin, lambda: address.shows, end, end, lambda: address.shows)
    assert shown[2] == shown[-1] == ("anon",)


def test_each_call_sets_a_new_object_for_the_page_that_an_address_shows() -> None:
    shown = run("map m0.0", lambda: KERNEL["addresses"][0][0].shows, "map m0.0", lambda: KERNEL["addresses"][0][0].shows)
    assert shown[0] == shown[1] and shown[0] is not shown[1]


def test_a_file_mapped_during_a_populate_leaves_the_page_shown_unknown() -> None:
    """There is no error: the populate's page number holds for the file that is mapped at that time."""
    executor = Executor(FAMILY, "nick_mkwrite")
    made = tasks(["mmap_shared m0.0 f0.1"], ["populate m0.0 f0.0"], ["mmap_shared m0.0 f1.0"], ["load m0.0"])
    lines = ("cpu0 until before lock m0.mmap_sem in sys_remap_file_pages", "cpu1 to the end", "cpu0 to the end",
             "cpu2 until blocked", "irq 0 on cpu0 until done", "cpu2 to the end")
    outcome = executor.run(executor.prepare(made), Named([schedule.parse(line) for line in lines], made.keys()))
    assert outcome.titles == [] and executor.image(3)["addresses"][0][0].shows is None
    assert not [one for one in m.history if one[0] == "load"]
