# SPDX-License-Identifier: MIT
"""Each patch of invalidate_2_6 changes what it should for one task alone; random programs without a race do no harm."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.fuzz.programs.generate import program
from vmrace.fuzz.run.executor import Executor, SetupFailed
from vmrace.fuzz.run.rest import at_boot
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import family
from vmrace.variants.invalidate_2_6.invariants import uptodate_if_mapped
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import parse_op

FAMILY = family("invalidate_2_6")
BOOT_CONTENT = 1000         # of page 0 of f0


class Kernel:
    """A variant on which one task runs. It is linked when a test asks for it: every worker imports this file."""

    def __init__(self, variant: str, cpus: int = 2):
        self.executor = Executor(FAMILY, variant, checked=True)
        self.cpus = cpus

    @functools.cached_property
    def image(self) -> Any:
        return self.executor.image(self.cpus)

    @property
    def f0(self) -> Any:
        return self["f0"].i_mapping

    def __getitem__(self, name: str) -> Any:
        return self.image[name]

    def op(self, line: str, value: int = 0) -> tuple[Any, tuple[Any, ...]]:
        parsed = parse_op(line, "test")
        args = [int(part) for operand in parsed.operands for part in operand.lstrip("mfk").split(".")]
        return self[f"op_{parsed.name}"], (*args, value) if OPERATIONS[parsed.name].writes else tuple(args)

    def run(self, *steps: str | tuple[str, int] | Callable[[], Any]) -> list[Any]:
        """Boot, then run the steps: operations, or functions whose results are returned."""
        image = self.image
        image.load(image.boot)
        image.load_volatile(image.at_rest)
        image.lockdep.set_exact(True)
        results: list[Any] = []
        calls: list[Any] = [(self["boot"], ((1, 1, 1, 1),))]
        for step in steps:
            if isinstance(step, str):
                calls.append(self.op(step))
            elif isinstance(step, tuple):
                calls.append(self.op(*step))
            else:
                calls.append((lambda function: results.append(function()), (step,)))
        m.run(image, [(0, calls)], NoPreempt(), self.executor.backend, self.cpus)
        assert not m.findings and not m.notes, [finding.title for finding in (*m.findings, *m.notes)]
        at_boot(m)
        return results

    def invalidate2(self) -> Any:
        return self["invalidate_inode_pages2"](self.f0)

    def cached(self) -> Any:
        return self.f0.page_tree.items[0]

    def pte(self) -> Any:
        return self["m0"].pte0._val

    def uptodate(self, page: Any) -> bool:
        return bool(page.flags.word >> self["PG_uptodate"] & 1)


BASE = Kernel("pre_2_6_15")
SEQSCHEDLOCK, SEQSCHEDLOCK_2 = Kernel("andrea_seqschedlock"), Kernel("andrea_seqschedlock_2")
FIND_LOCK_PAGE = Kernel("andrea_find_lock_page")
PAGE_COUNT, CLEAR_UPTODATE = Kernel("andrea_page_count"), Kernel("page_count_clear_uptodate")
PG_TRUNCATE = Kernel("andrea_pg_truncate")
ALL = {kernel.executor.variant: kernel for kernel in (
    SEQSCHEDLOCK, SEQSCHEDLOCK_2, FIND_LOCK_PAGE, PAGE_COUNT, CLEAR_UPTODATE, PG_TRUNCATE)}
each = pytest.mark.parametrize("kernel", ALL.values(), ids=ALL)

MAPPED = ("mmap_shared m0.0 f0.0", "load m0.0")


# ---- all patches ---------------------------------------------------------------------------------------------------------------


@each
def test_on_every_variant_a_fault_maps_the_page_of_the_cache(kernel: Kernel) -> None:
    kernel.run(*MAPPED)
    assert kernel.pte()[0] is kernel.cached() and kernel.cached().flags.word & 1 == 0
    assert FAMILY.check(kernel.image) == []


@each
def test_on_every_variant_a_write_fault_on_a_private_mapping_copies_at_once(kernel: Kernel) -> None:
    kernel.run("mmap_private m0.0 f0.0", ("store m0.0", 7))
    assert kernel.pte()[0] is not kernel.cached() and kernel.pte()[0].data.word0 == 7
    assert not (kernel.pte()[0].flags.word | kernel.cached().flags.word) & 1
    assert FAMILY.check(kernel.image) == []


@pytest.mark.long
@each
def test_random_programs_without_preemption_leave_no_page(kernel: Kernel) -> None:
    """They find only the mistakes that the variants make with one task alone."""
    alone = {"andrea_seqschedlock": {"LIVELOCK: do_no_page", "INVARIANT: a write section stays open and nobody will end it"},
             "page_count_clear_uptodate": {"BUG at fs/mpage.c:468 in __mpage_writepage"}}.get(kernel.executor.variant, set())
    executor = Executor(FAMILY, kernel.executor.variant)
    rng = random.Random(3)
    for _ in range(40):
        drawn = program(rng, executor.operations())
        try:
            prepared = executor.prepare(drawn)
        except SetupFailed as failed:
            assert failed.finding.title in alone
            continue
        outcome = executor.run(prepared, NoPreempt())
        assert set(outcome.titles) <= alone, drawn
        assert outcome.titles or executor.leaks(prepared, outcome) == [], drawn


# ---- the seqschedlock ------------------------------------------------------------------------------------------------------------


def test_each_mapping_has_a_seqschedlock_and_no_mapping_of_the_base_has() -> None:
    assert SEQSCHEDLOCK["f0"].i_mapping.invalidate_lock is not SEQSCHEDLOCK["f1"].i_mapping.invalidate_lock
    assert not hasattr(BASE["f0"].i_mapping, "invalidate_lock")


def test_an_invalidate_makes_one_write_section_for_each_page() -> None:
    SEQSCHEDLOCK.run("read f0.0", "read f0.1", "invalidate f0")
    lock = SEQSCHEDLOCK.f0.invalidate_lock
    assert (lock.sequence.counter, lock.writers.counter) == (2, 0)
    SEQSCHEDLOCK.run(*MAPPED, SEQSCHEDLOCK.invalidate2)
    assert (lock.sequence.counter, lock.writers.counter) == (1, 0)


@pytest.mark.parametrize(("kernel", "writers"), [(SEQSCHEDLOCK, 1), (SEQSCHEDLOCK_2, 0)], ids=["as posted", "reconstructed"])
def test_as_posted_an_invalidate_of_a_mapped_page_leaves_its_write_section_open(kernel: Kernel, writers: int) -> None:
    kernel.run(*MAPPED, "invalidate_page f0.0")
    assert kernel.f0.invalidate_lock.writers.counter == writers
    titles = [title for title, *_ in FAMILY.check(kernel.image)]
    assert titles == ["INVARIANT: a write section stays open and nobody will end it"] * writers


def test_with_one_cpu_the_seqschedlock_is_compiled_to_nothing() -> None:
    kernel = Kernel("andrea_seqschedlock", cpus=1)
    kernel.run(*MAPPED, "invalidate_page f0.0")
    assert (kernel.f0.invalidate_lock.writers.counter, FAMILY.check(kernel.image)) == (0, [])


# ---- the count ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kernel", "error"), [(BASE, 0), (SEQSCHEDLOCK_2, 0), (FIND_LOCK_PAGE, 0), (PG_TRUNCATE, 0), (PAGE_COUNT, -5)],
                         ids=lambda value: value.executor.variant if isinstance(value, Kernel) else str(value))
def test_a_passing_reference_makes_invalidate2_fail_where_it_reads_the_count(kernel: Kernel, error: int) -> None:
    assert kernel.run("read f0.0", "read f0.1", "take f0.0 k0", kernel.invalidate2) == [error]
    assert (kernel.cached() is not None) == bool(error)


def test_a_page_in_a_pagevec_has_a_reference_that_makes_invalidate2_fail() -> None:
    """Commit 016eb4a0 was taken back for invalidate_inode_pages2() by a fix for 2.6.18.x because of this: no race is needed."""
    assert PAGE_COUNT.run("read f0.0", PAGE_COUNT.invalidate2) == [-5]
    assert BASE.run("read f0.0", BASE.invalidate2) == [0]


def test_with_the_count_a_direct_write_to_a_page_that_was_just_read_fails() -> None:
    def write(kernel: Kernel) -> Any:
        return kernel["generic_file_write"](kernel["f0_file"], 0, kernel["holding"](7), 1)
    assert PAGE_COUNT.run("read f0.0", lambda: write(PAGE_COUNT)) == [-5]
    assert BASE.run("read f0.0", lambda: write(BASE)) == [BASE["PAGE_SIZE"]]


# ---- PG_uptodate -----------------------------------------------------------------------------------------------------------------


def test_an_invalidated_page_in_use_stays_mapped_and_is_no_longer_uptodate() -> None:
    assert CLEAR_UPTODATE.run(*MAPPED, CLEAR_UPTODATE.invalidate2) == [0]
    page = CLEAR_UPTODATE.cached()
    assert CLEAR_UPTODATE.pte()[0] is page and not CLEAR_UPTODATE.uptodate(page)
    assert FAMILY.check(CLEAR_UPTODATE.image) == []


def test_only_page_count_clear_uptodate_may_map_pages_that_are_not_uptodate() -> None:
    assert [name for name, kernel in ALL.items() if not uptodate_if_mapped(kernel.image)] == ["page_count_clear_uptodate"]
    assert uptodate_if_mapped(BASE.image)


def test_the_next_read_refills_a_page_in_use_from_disk_under_the_old_mapping() -> None:
    def other_content() -> None:
        CLEAR_UPTODATE["f0_disk"].block0.word0 = CLEAR_UPTODATE["f0_disk"].block0.word1 = BOOT_CONTENT + 50
    CLEAR_UPTODATE.run(*MAPPED, CLEAR_UPTODATE.invalidate2, other_content, "load m0.0", "read f0.0", "load m0.0")
    loads = [value for what, _, _, value, _, _ in m.history if what == "load"]
    assert loads == [BOOT_CONTENT] * 4 + [BOOT_CONTENT + 50] * 4


def test_with_clear_uptodate_dirty_buffers_are_an_error_as_before() -> None:
    assert CLEAR_UPTODATE.run(("write f0.0", 7), CLEAR_UPTODATE.invalidate2) == [-5]
    assert CLEAR_UPTODATE.uptodate(CLEAR_UPTODATE.cached())


def test_with_clear_uptodate_an_unused_page_is_dropped_as_before() -> None:
    assert CLEAR_UPTODATE.run("read f0.0", "read f0.1", CLEAR_UPTODATE.invalidate2) == [0]
    assert CLEAR_UPTODATE.cached() is None


# ---- PG_truncate -----------------------------------------------------------------------------------------------------------------


def test_an_invalidated_page_is_marked_until_it_is_free() -> None:
    held: list[Any] = []

    def marked() -> int:
        return held[0].flags.word >> PG_TRUNCATE["PG_truncate"] & 1
    flags = PG_TRUNCATE.run("read f0.0", "take f0.0 k0", lambda: held.append(PG_TRUNCATE.cached()), marked, PG_TRUNCATE.invalidate2,
                            marked, "read f0.1", "read f1.0", "put k0", marked)[1:]
    assert flags == [0, 0, 1, 0]
    assert held[0].lru.on is PG_TRUNCATE["zone_normal"].free_list


def test_the_check_at_allocation_and_not_at_free_includes_pg_truncate() -> None:
    assert PG_TRUNCATE["PREP_CHECK"] >> PG_TRUNCATE["PG_truncate"] & 1
    assert not PG_TRUNCATE["FREE_CHECK"] >> PG_TRUNCATE["PG_truncate"] & 1
