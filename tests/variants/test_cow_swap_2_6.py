# SPDX-License-Identifier: MIT
"""Each operation of cow_swap_2_6 does its work for one task alone; programs with a known race find it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.fuzz.programs.generate import program
from vmrace.fuzz.run.executor import Executor, SetupFailed
from vmrace.fuzz.run.rest import at_boot
from vmrace.harness.machine.machine import m
from vmrace.harness.replay import named_schedule
from vmrace.harness.schedulers import NoPreempt, Walk
from vmrace.variants.family import family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import parse_op
from vmrace.variants.user_model import judge

from tests.fuzz.family_programs import program as tasks

FAMILY = family("cow_swap_2_6")
EXECUTOR = Executor(FAMILY, "pre_2_6_26", checked=True)
IMAGE = EXECUTOR.image(2)
KERNEL = IMAGE.namespace
M0, M1 = KERNEL["m0"], KERNEL["m1"]
DRAIN = "drain_cpu_pagevecs"                    # without it, a page of one task stays in the pagevec of its cpu, off the LRU


def op(line: str, value: int = 0) -> tuple[Any, tuple[Any, ...]]:
    """Return an operation as (function, arguments); `value` is the value that it writes, if it writes."""
    parsed = parse_op(line, "test")
    args = [int(part) for operand in parsed.operands for part in operand.lstrip("mfk").split(".")]
    return IMAGE[f"op_{parsed.name}"], (*args, value) if OPERATIONS[parsed.name].writes else tuple(args)


def run(*steps: str | tuple[str, int] | Callable[[], Any]) -> list[Any]:
    """Boot, then run the steps in one task: operations, or functions whose results are returned. Asserts that nothing is wrong at rest."""
    results: list[Any] = []

    def returned(call: Callable[..., Any], *args: Any) -> None:
        results.append(call(*args))

    IMAGE.load(IMAGE.boot)
    IMAGE.load_volatile(IMAGE.at_rest)
    IMAGE.lockdep.set_exact(True)
    calls: list[Any] = [(IMAGE["boot"], ((1, 1, 1, 1),))]
    for step in steps:
        if isinstance(step, str):
            calls.append(op(step))
        elif isinstance(step, tuple):
            calls.append(op(*step))
        else:
            calls.append((returned, (step,)))
    m.run(IMAGE, [(0, calls)], NoPreempt(), EXECUTOR.backend, 2)
    assert not m.findings and not m.notes, [finding.title for finding in (*m.findings, *m.notes)]
    at_boot(m)
    assert list(FAMILY.check(IMAGE)) == []
    assert judge(m.history) == []
    return results


def loads() -> list[Any]:
    """Return the values that user space has read, in order."""
    return [value for what, _, _, value, _, _ in m.history if what == "load"]


def pte(page: int = 0, mm: Any = M0) -> Any:
    return (mm.pte0, mm.pte1, mm.pte2)[page]._val


def word(page: Any, name: str) -> int:
    return int(page.flags.word >> KERNEL[f"PG_{name}"] & 1)


def count(slot: int, area: int = 0) -> int:
    """Return the count of a swap slot."""
    return int(KERNEL["swap_info"][area].vmalloced.items[slot])


def pinned(pin: int = 0) -> Any:
    return KERNEL["references"][pin].page


# ---- faults and copies -----------------------------------------------------------------------------------------------------


def test_the_first_access_maps_a_page_of_zeros_that_may_be_written() -> None:
    run("load m0.0", ("store m0.1", 7), "load m0.1")
    assert loads() == [0, 0, 7, 7]
    assert pte(0)[1:3] == (1, 1) and pte(0)[0]._mapcount.counter == 0 and M0.anon_rss == 2


def test_after_a_fork_the_first_to_store_copies_and_the_second_takes_the_page() -> None:
    run(("store m0.0", 7), "fork m0 m1", ("store m0.0", 8), ("store m1.0", 9), "load m0.0", "load m1.0")
    assert loads() == [8, 8, 9, 9]
    mine, other = pte()[0], pte(0, M1)[0]
    assert mine is not other and (mine._mapcount.counter, other._mapcount.counter) == (0, 0)
    assert pte()[1] == pte(0, M1)[1] == 1


def test_a_page_that_may_not_be_stored_to_keeps_its_page_when_it_may_again() -> None:
    first: list[Any] = []
    run(("store m0.0", 7), lambda: first.append(pte()[0]), "protect m0.0", ("store m0.0", 8), "unprotect m0.0", ("store m0.0", 9),
        "load m0.0")
    assert pte()[0] is first[0] and loads() == [9, 9]


def test_dontneed_reads_zeros_and_unmap_leaves_nothing() -> None:
    run(("store m0.0", 7), "dontneed m0.0", "load m0.0", ("store m0.1", 8), "unmap m0.1", "load m0.1")
    assert loads() == [0, 0] and pte(1) is None


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_zap_frees_its_pages_under_the_lock_of_the_ptes_on_one_cpu_and_after_it_on_several(cpus: int) -> None:
    """tlb_fast_mode() of asm-generic/tlb.h."""
    what = tasks(["store m0.0"], *(["dontneed m0.0"], ["load m0.1"])[:cpus])
    executor = Executor(FAMILY, "pre_2_6_26")
    steps = [(event.function, event.label) for event in executor.trace(executor.prepare(what), NoPreempt()).events]
    frees, unlocks = steps.index(("free_swap_cache", "PageSwapCache(A)")), steps.index(("zap_pte_range", "unlock m0.page_table_lock"))
    assert (frees < unlocks) == (cpus == 1)


def test_a_page_that_forks_leave_out_is_not_in_the_child() -> None:
    run(("store m0.0", 7), ("store m0.1", 8), "dontfork m0.0", "fork m0 m1", "load m1.0", "load m1.1")
    assert loads() == [8, 8] and pte(0, M1) is None and pte()[1] == 1
    run(("store m0.0", 7), "dontfork m0.0", "dofork m0.0", "fork m0 m1", "load m1.0")
    assert loads() == [7, 7]


# ---- swap ------------------------------------------------------------------------------------------------------------------


def swapped_out(*before: str | tuple[str, int]) -> tuple[Any, ...]:
    """Steps after which page 0 of m0 is in swap, and in no frame."""
    return (*before, lambda: KERNEL[DRAIN](0), "reclaim_page m0.0", KERNEL["wait_for_writes"], "reclaim_page m0.0")


def test_reclaim_of_a_page_writes_it_to_swap_and_frees_it() -> None:
    run(*swapped_out(("store m0.0", 7)))
    assert pte() == KERNEL["swp_entry"](0, 1) and count(1) == 1 and M0.anon_rss == 0
    assert KERNEL["swapper_space"]._nrpages == 0
    assert (KERNEL["swap_disks"][0].slot1.word0, KERNEL["swap_disks"][0].slot1.word1) == (7, 7)


def test_a_page_comes_back_from_swap_for_a_load_and_stays_in_the_swap_cache() -> None:
    run(*swapped_out(("store m0.0", 7)), "load m0.0")
    assert loads() == [7, 7] and word(pte()[0], "swapcache") and pte()[1] == 0 and count(1) == 1


def test_a_store_to_a_page_read_back_takes_it_and_leaves_its_slot() -> None:
    run(*swapped_out(("store m0.0", 7)), "load m0.0", ("store m0.0", 8), "load m0.0")
    assert loads() == [7, 7, 8, 8] and word(pte()[0], "swapcache") and pte()[1] == 1


def test_parent_and_child_find_one_page_in_swap_and_copy_it_to_store() -> None:
    run(*swapped_out(("store m0.0", 7), "fork m0 m1"), ("store m1.0", 8), "load m0.0", "load m1.0")
    assert loads() == [7, 7, 8, 8] and pte()[0] is not pte(0, M1)[0]


def test_reclaim_works_on_both_lists_and_at_all_priorities() -> None:
    run(("store m0.0", 7), ("store m0.1", 8), "refill_inactive 4", "refill_inactive 4", "shrink_cache 4", "reclaim", "load m0.0",
        "load m0.1")
    assert loads() == [7, 7, 8, 8]


def test_swapoff_reads_everything_in_and_a_second_area_takes_over() -> None:
    run(*swapped_out(("store m0.0", 7)), "swapoff", "load m0.0")
    assert loads() == [7, 7] and count(1) == 0 and KERNEL["vm"]._total_swap_pages == 0
    run("swapoff", "add_swap 1", *swapped_out(("store m0.0", 7)), "load m0.0")
    assert loads() == [7, 7] and KERNEL["vm"]._total_swap_pages == 1


# ---- pins ------------------------------------------------------------------------------------------------------------------


def test_a_device_and_its_process_see_the_same_page() -> None:
    run(("store m0.0", 7), "pin m0.0 k0", "load_pin k0", ("dma k0", 8), "load m0.0", "unpin k0")
    assert loads() == [7, 7, 8, 8] and word(pte()[0], "dirty") and pinned() is None


def test_a_pin_for_reading_of_an_untouched_page_is_of_the_zero_page() -> None:
    run("pin_read m0.0 k0")
    assert pinned() is KERNEL["empty_zero_page"] and pte() is None
    run(("store m0.0", 7), "pin_read m0.0 k0", "load_pin k0")
    assert pinned() is pte()[0] and loads() == [7, 7]


def test_only_a_forced_pin_for_writing_ignores_that_stores_are_forbidden() -> None:
    run(("store m0.0", 7), "protect m0.0", "pin m0.0 k0", "pin_force m0.0 k1")
    assert pinned(0) is None and pinned(1) is pte()[0] and pte()[1] == 0
    run(("store m0.0", 7), "fork m0 m1", "protect m0.0", "pin_force m0.0 k0")
    assert pinned() is pte()[0] is not pte(0, M1)[0] and pte()[1] == 0


def test_a_debugger_writes_to_a_page_that_may_not_be_stored_to_and_the_other_process_keeps_its_own() -> None:
    run(("store m0.0", 7), "fork m0 m1", "protect m0.0", ("poke m0.0", 8), "load m0.0", "load m1.0")
    assert loads() == [8, 8, 7, 7] and pte()[1] == 0 and word(pte()[0], "dirty")


def test_a_fork_ends_the_promise_of_a_pin_unless_it_leaves_the_page_out() -> None:
    def stored() -> set[str]:
        return {what for what, _, _, value, _, _ in m.history if value == 9}
    run(("store m0.0", 7), "pin m0.0 k0", "dontfork m0.0", "fork m0 m1", ("store m0.0", 8), ("dma k0", 9), "load m0.0")
    assert loads() == [9, 9] and pinned() is pte()[0] and stored() == {"store", "load"}
    run(("store m0.0", 7), "pin m0.0 k0", "fork m0 m1", ("store m0.0", 8), ("dma k0", 9), "load m0.0")
    assert loads() == [8, 8] and pinned() is not pte()[0] and stored() == {"may"}


def test_reclaim_unmaps_a_pinned_page_but_does_not_free_it() -> None:
    page: list[Any] = []
    run(("store m0.0", 7), lambda: KERNEL[DRAIN](0), "pin m0.0 k0", lambda: page.append(pinned()), "reclaim_page m0.0", ("dma k0", 8),
        "load m0.0", "unpin k0")
    assert pte()[0] is page[0] and loads() == [8, 8]


# ---- migration -------------------------------------------------------------------------------------------------------------


def test_migration_moves_a_page_of_one_process_and_with_privilege_one_of_two() -> None:
    before: list[Any] = []
    run(("store m0.0", 7), lambda: before.append(pte()[0]), "migrate m0.0", "load m0.0")
    assert pte()[0] is not before[0] and loads() == [7, 7]
    before.clear()
    run(("store m0.0", 7), "fork m0 m1", lambda: before.append(pte()[0]), "migrate m0.0", lambda: before.append(pte()[0]),
        "migrate_all m0.0", "load m1.0")
    assert before[0] is before[1] is not pte()[0] and pte()[0] is pte(0, M1)[0] and loads() == [7, 7]


def test_a_pinned_page_is_not_migrated() -> None:
    run(("store m0.0", 7), "pin m0.0 k0", "migrate m0.0")
    assert pinned() is pte()[0]


def test_a_migration_reclaims_nothing_for_the_page_that_it_needs() -> None:
    """__alloc_pages_internal() gives up early if the page must be of one node (GFP_THISNODE), as every move asks for."""
    six = [(f"store m{mm}.{page}", 7) for mm in (0, 1) for page in (0, 1, 2)]
    before: list[Any] = []
    run("map m0.0", "fork m0 m1", *six, lambda: before.append(pte()[0]), "migrate m0.0",
        lambda: before.append(KERNEL["zone_normal"]._free_pages))
    assert before == [pte()[0], 2]          # the low watermark
    assert not any(count(slot) for slot in (1, 2, 3))


# ---- races -----------------------------------------------------------------------------------------------------------------

UNWANTED_COPY = (("store m0.0", "pin m0.0 k0", "protect m0.0", "unprotect m0.0"), ("store m0.0", "dma k0", "load m0.0"),
                 ("reclaim_page m0.0",))


def found(variant: str, runs: int, setup: tuple[str, ...], *lines: tuple[str, ...]) -> set[str]:
    """Return the titles of random schedules of one program, with few preemptions each."""
    executor = Executor(FAMILY, variant)
    prepared = executor.prepare(tasks(list(setup), *map(list, lines)))
    rng = random.Random(1)
    return {finding.title for _ in range(runs) for finding in executor.run(prepared, Walk(rng, 0.05)).findings}


@pytest.mark.long
def test_reclaim_at_work_has_a_store_copy_a_pinned_page_in_2_6_26_and_not_with_the_fixes() -> None:
    """Seed 001: do_wp_page() only tries the page lock, and copies if reclaim has it."""
    assert "DATA: a load returns an old value" in found("pre_2_6_26", 300, *UNWANTED_COPY)
    for variant in ("nick_lock_page", "hugh_can_reuse", "merged_2_6_29"):
        assert found(variant, 100, *UNWANTED_COPY) == set(), variant


def warnings_of_swap_unplug(setup: list[str], one: list[str], other: list[str], *schedule: str) -> tuple[set[str], list[str]]:
    """Run a schedule of two tasks on 2.6.26. Return the titles, and the loads by which the model asks whether a swapoff runs."""
    what = tasks(setup, one, other)
    executor = Executor(FAMILY, "pre_2_6_26")
    traced = executor.trace(executor.prepare(what), named_schedule.Named(tuple(map(named_schedule.parse, schedule)), what.keys()))
    return {found.title for found in traced.outcome.findings}, [event.label for event in traced.events if event.function == "swapoff_runs"]


def test_the_warning_about_a_page_that_leaves_the_swap_cache_is_no_finding_while_a_swapoff_runs() -> None:
    """The comment of swap_unplug_io_fn() calls it harmless then. Only a count of at most 1 has the flags of the areas looked at."""
    titles, looked = warnings_of_swap_unplug(
        ["pin m0.0 k0", "reclaim", "unpin k0", "shrink_cache 1"], ["map m0.0"], ["swapoff"],
        "cpu1 until before page_count(A) in swap_unplug_io_fn", "irq 0 on cpu0 until done", "cpu0 to the end", "cpu1 to the end")
    assert not titles
    assert "read swap0.flags" in looked


@pytest.mark.parametrize(("pages", "warns"), [(1, set()), (2, {"WARN at mm/swapfile.c:77 in swap_unplug_io_fn"})])
def test_2_6_26_warns_without_a_swapoff_if_swap_is_full(pages: int, warns: set[str]) -> None:
    """free_swap_and_cache() takes the page out of the swap cache whatever its count, if more than half of the slots are in use."""
    writes = [f"irq {number} on cpu0 until done" for number in range(pages)]
    titles, looked = warnings_of_swap_unplug(
        [f"{what} m0.{page}" for what in ("store", "reclaim_page") for page in range(pages)], ["load m0.0"], ["dontneed m0.0"], *writes,
        "cpu1 until before PagePrivate(A) in free_swap_and_cache", "cpu0 until before page_count(A) in swap_unplug_io_fn",
        "cpu1 to the end", "cpu0 to the end")
    assert titles == warns and bool(looked) == bool(warns)


MISSED_COPY = (("store m0.0", "fork m0 m1", "reclaim_page m0.0", "load m0.0"), ("store m0.0",), ("load m1.0", "load m1.0"))


@pytest.mark.long
def test_two_tests_one_after_the_other_miss_a_reference_on_its_way_from_swap_to_a_page_table() -> None:
    """Nick Piggin's answer to the hunk of 19 Jun 2008: the other process has its page read in between the two tests."""
    missed = "INVARIANT: missed copy: a process may write a page that do_swap_page mapped for another one"
    assert missed in found("hugh_interim_jun19", 1000, *MISSED_COPY)
    for variant in ("pre_2_6_26", "nick_lock_page", "hugh_can_reuse", "merged_2_6_29"):
        assert found(variant, 100, *MISSED_COPY) == set(), variant


@pytest.mark.long
def test_random_programs_of_one_task_do_no_harm() -> None:
    rng = random.Random(7)
    operations = EXECUTOR.operations()
    for _ in range(100):
        one = program(rng, operations)
        alone = tasks([str(op) for op in one.setup], [str(op) for op in one.tasks[0].ops])
        try:
            prepared = EXECUTOR.prepare(alone)
        except SetupFailed as failed:
            raise AssertionError(str(alone)) from failed
        assert not EXECUTOR.run(prepared, NoPreempt()).findings, alone
