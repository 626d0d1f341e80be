# SPDX-License-Identifier: MIT
"""User space knows which stores its addresses allow, which values move with a page, and which are thrown away, also while calls overlap."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.replay import named_schedule as schedule
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.variants.family import FAMILIES, Variant, family

from tests.fuzz.family_programs import program

SIGSEGV = "USER: SIGSEGV in store, the page is mapped"


@functools.cache
def executor(name: str, kernel: str = "") -> Executor:
    """Return the executor of a family's base, with a module of kernels/ over it."""
    made = family(name)
    base = next(iter(made.variants))
    if not kernel:
        return Executor(made, base)
    broken = Variant(kernel, (f"tests.variants.kernels.{kernel}",), "broken", "tests")
    return Executor(replace(made, variants={**made.variants, kernel: broken}), kernel)


def titles(runner: Executor, setup: str, *tasks: str, preemptions: int = 1) -> set[str]:
    """Return the titles of every schedule of a program with at most `preemptions` preemptions. Operations are separated by "; "."""
    ops = [[line for line in text.split("; ") if line] for text in (setup, *tasks)]
    prepared = runner.prepare(program(*ops))
    return {title for outcome in every_schedule(lambda scheduler: runner.run(prepared, scheduler), preemptions) for title in outcome.titles}


def having(*words: str) -> list[str]:
    """List the families that have these operations."""
    return [name for name in FAMILIES if {*words} <= {*executor(name).operations()}]


WITH_MREMAP = having("mremap")


# ---- stores that mprotect forbids and allows ---------------------------------------------------------------------------------

ALLOWED_AGAIN = [("", "protect m0.0; unprotect m0.0; store m0.0"),
                 ("protect m0.0", "unprotect m0.0; store m0.0"),
                 ("", "protect m0.0; mremap m0.0 m0.1; unprotect m0.1; store m0.1"),
                 ("protect m0.0; fork m0 m1", "unprotect m1.0; store m1.0"),
                 ("", "protect m0.0; unprotect m0.0; fork m0 m1; store m1.0")]


@pytest.mark.parametrize("setup, task", ALLOWED_AGAIN)
def test_a_store_that_mprotect_allows_again_and_that_fails_is_reported(setup: str, task: str) -> None:
    assert titles(executor("lru_free_2_4", "mprotect_forgets"), setup, task, preemptions=0) == {SIGSEGV}


JUDGED = [*ALLOWED_AGAIN, ("", "protect m0.0; map m0.0; store m0.0"), ("", "protect m0.0; store m0.0")]


@pytest.mark.parametrize("name, setup, task", [(name, *case) for case in JUDGED
                                               for name in (WITH_MREMAP if "mremap" in case[1] else FAMILIES)])
def test_a_store_is_reported_neither_after_it_was_allowed_nor_while_it_is_forbidden(name: str, setup: str, task: str) -> None:
    assert titles(executor(name), setup, task, preemptions=0) == set()


OVERLAPS = [("", "protect m0.0", "unprotect m0.0; store m0.0"),
            ("", "protect m0.0; unprotect m0.0", "store m0.0; store m0.0"),
            ("protect m0.0", "protect m0.0", "map m0.0; store m0.0"),
            ("", "protect m0.0; store m0.0", "mremap m0.0 m0.1; store m0.1"),
            ("protect m0.0", "unprotect m0.0", "mremap m0.0 m0.1; store m0.1"),
            ("", "protect m0.0", "fork m0 m1; store m1.0"),
            ("protect m0.0", "unprotect m0.0", "fork m0 m1; store m1.0"),
            ("protect m0.0", "unprotect m0.0; protect m0.0", "unprotect m0.0; store m0.0")]


@pytest.mark.parametrize("name, setup, first, second", [(name, *case) for case in OVERLAPS
                                                        for name in (WITH_MREMAP if "mremap" in case[2] else FAMILIES)])
def test_calls_that_overlap_may_leave_a_store_allowed_or_forbidden(name: str, setup: str, first: str, second: str) -> None:
    assert titles(executor(name), setup, first, second) == set()


# ---- mremap ------------------------------------------------------------------------------------------------------------------

UNMAPPED = "USER: SIGSEGV in load, the page is mapped"
MOVES_THAT_FAIL = [("", "store m0.0; mremap m0.0 m0.1; load m0.0"), ("mmap_shared m0.0 f0.0", "mremap m0.0 m0.1; load m0.0")]


@pytest.mark.parametrize("setup, task", MOVES_THAT_FAIL)
@pytest.mark.parametrize("name", WITH_MREMAP)
def test_a_failed_mremap_that_unmaps_the_old_address_is_reported(name: str, setup: str, task: str) -> None:
    assert titles(executor(name, "mremap_fails_and_unmaps"), setup, task, preemptions=0) == {UNMAPPED}


@pytest.mark.parametrize("setup, task", MOVES_THAT_FAIL)
@pytest.mark.parametrize("name", WITH_MREMAP)
def test_a_failed_mremap_that_keeps_the_old_address_is_not_reported(name: str, setup: str, task: str) -> None:
    assert titles(executor(name, "mremap_fails"), setup, task, preemptions=0) == set()


@pytest.mark.parametrize("tasks", [("mremap m0.0 m0.1", "store m0.0; load m0.0"), ("mremap m0.0 m0.1", "map m0.0; load m0.0"),
                                   ("mremap m0.0 m0.1", "mremap m0.0 m0.2; load m0.0"), ("mremap m0.0 m0.1", "map m0.1; load m0.1")])
@pytest.mark.parametrize("kernel", ["", "mremap_fails"])
@pytest.mark.parametrize("name", WITH_MREMAP)
def test_calls_beside_an_mremap_that_fails_or_not_are_not_reported(name: str, kernel: str, tasks: tuple[str, str]) -> None:
    assert titles(executor(name, kernel), "store m0.0", *tasks) == set()


LOST = "DATA: a load returns an old value"
FROM_THE_FILE = "DATA: a load returns another address space's store"
MOVES = ["store m0.0; mremap m0.0 m0.1; load m0.1", "store m0.0; mremap m0.0 m0.1; mremap m0.1 m0.2; load m0.2",
         "store m0.0; mremap m0.0 m0.1; fork m0 m1; load m1.1", "mmap_private m0.0 f0.0; store m0.0; mremap m0.0 m0.1; load m0.1",
         "store m0.0; pin m0.0 k0; dma k0; mremap m0.0 m0.1; load m0.1"]


@pytest.mark.parametrize("task", MOVES)
@pytest.mark.parametrize("name, kernel", [("lru_free_2_4", "mremap_moves_nothing_2_4"), ("invalidate_2_6", "mremap_moves_nothing_2_6")])
def test_a_move_that_loses_the_page_is_reported_by_the_next_load(name: str, kernel: str, task: str) -> None:
    found = titles(executor(name, kernel), "", task, preemptions=0)
    assert found == {FROM_THE_FILE if "mmap_private" in task else LOST}


BESIDE_A_MOVE = [("store m0.0", "store m0.0; load m0.1"), ("pin m0.0 k0", "dma k0; load m0.1"), ("", "pin m0.0 k0; dma k0; load m0.1"),
                 ("mmap_private m0.0 f0.0; store m0.0", "truncate f0 1; truncate f0 3; load m0.1"),
                 ("store m0.0", "dontneed m0.0; load m0.1"), ("store m0.0", "fork m0 m1; load m1.1; load m1.0"),
                 ("store m0.0", "store m0.1; load m0.1"),
                 ("store m0.0; mremap m0.0 m0.2", "mremap m0.2 m0.0; load m0.0")]


@pytest.mark.parametrize("setup, beside", BESIDE_A_MOVE)
@pytest.mark.parametrize("name", WITH_MREMAP)
def test_a_load_after_calls_beside_a_move_is_judged_leniently(name: str, setup: str, beside: str) -> None:
    assert titles(executor(name), setup, "mremap m0.0 m0.1; load m0.1", beside) == set()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_device_store_while_another_process_is_made_may_be_in_either(name: str) -> None:
    assert titles(executor(name), "store m0.0; pin m0.0 k0", "dma k0", "fork m0 m1; load m1.0; load m1.0; load m0.0") == set()


# ---- madvise(MADV_DONTNEED) --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("beside", ["load m0.1", "protect m0.0", "map m0.1; unmap m0.1"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_discard_that_keeps_the_page_is_reported_by_the_next_load(name: str, beside: str) -> None:
    assert titles(executor(name, "madvise_discards_nothing"), "store m0.0", "dontneed m0.0; load m0.0", beside) == {LOST}


@pytest.mark.parametrize("name", FAMILIES)
def test_an_unmap_beside_a_discard_may_come_before_it_or_after_it(name: str) -> None:
    assert titles(executor(name), "", "dontneed m0.0; load m0.0", "unmap m0.0; load m0.0") == set()


BESIDE_A_DISCARD = [(name, *case) for name in FAMILIES
                    for case in [("", "map m0.0; store m0.0; load m0.0"), ("unmap m0.0", "map m0.0; pin m0.0 k0; dma k0; load m0.0"),
                                 ("store m0.0", "fork m0 m1; load m1.0; load m0.0")]]
BESIDE_A_DISCARD += [(name, *case) for name in having("mmap_private")
                     for case in [("mmap_shared m0.0 f0.0", "map m0.0; pin m0.0 k0; dma k0; load m0.0"),
                                  ("mmap_shared m0.0 f0.0", "mmap_private m0.0 f0.0; store m0.0; load m0.0"),
                                  ("", "mmap_private m0.0 f0.0; store m0.0; load m0.0; unmap m0.0"),
                                  ("mmap_private m0.0 f0.0; store m0.0", "load m0.0; map m0.0; store m0.0; load m0.0"),
                                  ("mmap_private m0.0 f0.0; store m0.0", "fork m0 m1; dontneed m1.0; load m1.0"),
                                  ("mmap_private m0.1 f0.0; store m0.1", "mremap m0.1 m0.0; load m0.0")]]


@pytest.mark.long
@pytest.mark.parametrize("name, setup, beside", BESIDE_A_DISCARD)
def test_calls_beside_a_discard_may_come_before_it_or_after_it(name: str, setup: str, beside: str) -> None:
    assert titles(executor(name), setup, "dontneed m0.0; load m0.0", beside) == set()


# ---- failures without a cause ------------------------------------------------------------------------------------------------

TWO = ("lru_free_2_4", "invalidate_2_6")
FAILURES = [(name, *case) for name in TWO
            for case in [("faults_find_no_memory", "store m0.0", "SIGKILL in store, memory is free"),
                         ("faults_find_no_page", "store m0.0", "SIGBUS in store, the page exists"),
                         ("faults_find_no_page", "mmap_shared m0.0 f0.1; load m0.0", "SIGBUS in load, the page exists"),
                         ("reads_end_early", "read f0.0", "read returns nothing, the file is long enough")]]
FAILURES += [("lru_free_2_4", "writes_fail", "write f0.0", "-EIO in write, no I/O failed"),
             ("invalidate_2_6", "writes_fail", "write f0.0", "-EIO in write, the file is clean"),
             ("invalidate_2_6", "writes_fail", "direct_write f0.0", "-EIO in direct_write, the file is clean"),
             ("cow_swap_2_6", "pins_find_no_memory", "pin m0.0 k0", "-ENOMEM in pin, memory is free"),
             ("cow_swap_2_6", "pins_find_no_page", "pin m0.0 k0", "-EFAULT in pin, the page is mapped")]


@pytest.mark.parametrize("name, kernel, task, what", FAILURES)
def test_a_failure_without_a_cause_is_reported_and_the_call_that_succeeds_is_not(name: str, kernel: str, task: str, what: str) -> None:
    assert titles(executor(name, kernel), "", task, preemptions=0) == {f"USER: {what}"}
    assert titles(executor(name), "", task, preemptions=0) == set()


CAUSES = [(name, *case) for name in TWO
          for case in [("faults_find_no_page", "truncate f0 1; mmap_shared m0.0 f0.1; load m0.0"),
                       ("reads_end_early", "truncate f0 1; read f0.0")]]
CAUSES += [("invalidate_2_6", "writes_fail", "mmap_shared m0.0 f0.0; mmap_shared m0.1 f0.0; store m0.0; direct_write f0.0"),
           ("cow_swap_2_6", "pins_find_no_page", "unmap m0.0; pin m0.0 k0")]


@pytest.mark.parametrize("name, kernel, task", CAUSES)
def test_a_failure_with_a_cause_is_not_reported(name: str, kernel: str, task: str) -> None:
    assert titles(executor(name, kernel), "", task, preemptions=0) == set()


def ended(name: str, setup: list[str], tasks: list[list[str]], *lines: str) -> set[str]:
    """Return the titles of one schedule of a program."""
    runner = executor(name)
    made = program(setup, *tasks)
    return {*runner.run(runner.prepare(made), Named([schedule.parse(line) for line in lines], made.keys())).titles}


SHORT = [([], "read f0.0",
          ["cpu0 until blocked", "irq 0 on cpu0 until done", "cpu1 to the end", "cpu0 until before put_page_testzero(B) in put_page"]),
         (["mmap_shared m0.0 f0.0"], "load m0.0",
          ["cpu0 until before lock m0.mmap_sem in do_page_fault", "cpu1 to the end",
           "cpu0 until before unlock m0.mmap_sem in do_page_fault"])]


@pytest.mark.parametrize("setup, task, lines", SHORT)
def test_a_read_or_a_load_of_a_file_that_was_short_meanwhile_may_fail(setup: list[str], task: str, lines: list[str]) -> None:
    """It looks at the size between a truncate and a write, which makes the file longer again before it returns."""
    tasks = [[task], ["truncate f0 1"], ["write f0.0"]]
    assert ended("invalidate_2_6", setup, tasks, *lines, "cpu2 to the end", "cpu0 to the end") == set()


OUT_OF_MEMORY = ["swapoff", "store m0.0", "store m0.1", "hog 4", *["reclaim"] * 9]        # the next reclaim fails for the tenth time
KILLS = [("read vm.oom_count in out_of_memory", {"USER: SIGKILL in store, memory is free"}), ("yield_cpu in oom_kill", set())]


@pytest.mark.parametrize("stop, found", KILLS)
def test_a_process_is_killed_without_need_if_memory_was_free_when_that_was_decided(stop: str, found: set[str]) -> None:
    """A driver gives its pages back before out_of_memory() decides, or after it."""
    lines = (f"cpu0 until before {stop}", "cpu1 to the end", "cpu0 to the end")
    assert ended("lru_free_2_4", OUT_OF_MEMORY, [["store m0.2"], ["unhog"]], *lines) == found


# ---- devices -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("task", ["store m0.0; pin m0.0 k0; dma k0; load m0.0", "store m0.0; pin m0.0 k0; load_pin k0",
                                  "store m0.0; pin_read m0.0 k0; load_pin k0"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_device_that_does_nothing_is_reported_and_one_that_does_its_work_is_not(name: str, task: str) -> None:
    assert titles(executor(name, "devices_do_nothing"), "", task, preemptions=0) == {LOST}
    assert titles(executor(name), "", task, preemptions=0) == set()


DIRECT = "direct_write_mapped m0.0 f0.0"
BESIDE_A_DIRECT_WRITE = [["map m0.0", "dma k0"], ["dontneed m0.0", "dma k0"], ["mremap m0.0 m0.1", "store m0.1"],
                         ["fork m0 m1", "store m0.0", "dma k0", "load m0.0"]]


@pytest.mark.parametrize("beside", BESIDE_A_DIRECT_WRITE)
def test_a_direct_write_from_a_page_that_its_address_no_longer_shows_is_not_judged(beside: list[str]) -> None:
    """The device that reads the page is late, and finds what another device or another address has stored to it meanwhile."""
    assert ended("invalidate_2_6", ["store m0.0", "pin m0.0 k0"], [beside, [DIRECT, "load m0.0"]], "cpu1 until blocked", "cpu0 to the end",
                 "irq 0 on cpu0 until done", "cpu1 to the end") == set()


@pytest.mark.parametrize("beside", ["store m0.0", "dma k0", "map m0.1", "dontneed m0.1", "protect m0.0"])
def test_a_direct_write_from_a_page_that_its_address_shows_is_judged(beside: str) -> None:
    found = titles(executor("invalidate_2_6", "direct_writes_move_zeros"), "store m0.0; pin m0.0 k0", DIRECT, beside, preemptions=0)
    assert found == {LOST}
