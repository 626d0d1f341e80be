# SPDX-License-Identifier: MIT
"""Faults with the page lock, of 2007, and the invalidates of 2.4 do their work for one task alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.rest import at_boot
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import parse_op
from vmrace.variants.user_model import judge

FAMILY = family("invalidate_2_6")
PAGE_LOCK = ("nick_lock_page", "nick_fault", "nick_mkwrite")
EXECUTORS = {name: Executor(FAMILY, name, checked=True) for name in (*PAGE_LOCK, "invalidate_2_4")}
BOOT_CONTENT = 1000         # of page 0 of f0


def run(variant: str, *steps: str | tuple[str, int] | Callable[[Any], Any]) -> list[Any]:
    """Boot `variant`, then run the steps in one task: operations, or functions of the kernel's names, whose results are returned."""
    executor = EXECUTORS[variant]
    image = executor.image(2)
    image.load(image.boot)
    image.load_volatile(image.at_rest)
    image.lockdep.set_exact(True)
    results: list[Any] = []
    calls: list[Any] = [(image["boot"], ((1, 1, 1, 1),))]
    for step in steps:
        if callable(step):
            calls.append((lambda function: results.append(function(image.namespace)), (step,)))
            continue
        line, value = (step, 0) if isinstance(step, str) else step
        parsed = parse_op(line, "test")
        args = [int(part) for operand in parsed.operands for part in operand.lstrip("mfk").split(".")]
        calls.append((image[f"op_{parsed.name}"], (*args, value) if OPERATIONS[parsed.name].writes else tuple(args)))
    m.run(image, [(0, calls)], NoPreempt(), executor.backend, 2)
    assert not m.findings and not m.notes, [finding.title for finding in (*m.findings, *m.notes)]
    at_boot(m)
    assert FAMILY.check(image) == []
    assert judge(m.history) == []
    return results


def loads() -> list[Any]:
    """Return the values that user space has read, in order."""
    return [entry[3] for entry in m.history if entry[0] == "load"]


def pte(kernel: Any) -> Any:
    return kernel["m0"].pte0._val


def cached(index: int) -> Callable[[Any], Any]:
    return lambda kernel: kernel["f0"].i_mapping.page_tree.items[index]


@pytest.mark.parametrize("variant", PAGE_LOCK)
def test_a_fault_maps_the_page_and_leaves_it_unlocked(variant: str) -> None:
    mapped, page = run(variant, "mmap_shared m0.0 f0.0", "load m0.0", pte, cached(0))
    assert mapped[0] is page
    assert loads() == [BOOT_CONTENT, BOOT_CONTENT]


@pytest.mark.parametrize("variant", PAGE_LOCK)
def test_a_write_fault_on_a_private_mapping_copies_the_page_at_once(variant: str) -> None:
    mapped, page = run(variant, "mmap_private m0.0 f0.0", ("store m0.0", 7), pte, cached(0))
    assert mapped[0] is not page and mapped[1]
    run(variant, "mmap_private m0.0 f0.1", "truncate f0 2", ("store m0.0", 7))      # SIGBUS, and no page is left


@pytest.mark.parametrize("variant", PAGE_LOCK)
def test_invalidate2_unmaps_a_page_and_the_next_load_reads_the_disk(variant: str) -> None:
    before, after, mapped = run(variant, "mmap_shared m0.0 f0.0", "load m0.0", cached(0), "invalidate2 f0", cached(0), pte, "load m0.0")
    assert before is not None and after is None and mapped is None


@pytest.mark.parametrize("variant", PAGE_LOCK)
def test_truncate_unmaps_shared_pages_and_private_copies(variant: str) -> None:
    assert run(variant, "mmap_shared m0.0 f0.0", ("store m0.0", 3), "mmap_private m0.1 f0.1", ("store m0.1", 4), "truncate f0 1", pte,
               lambda kernel: kernel["m0"].pte1._val) == [None, None]


@pytest.mark.parametrize("variant", PAGE_LOCK)
def test_populate_shows_another_page_of_the_file(variant: str) -> None:
    mapped, page = run(variant, "mmap_shared m0.0 f0.0", "populate m0.0 f0.1", pte, cached(1), "load m0.0")
    assert mapped[0] is page
    assert loads() == [BOOT_CONTENT + 1, BOOT_CONTENT + 1]


@pytest.mark.parametrize("variant", ("nick_fault", "nick_mkwrite"))
def test_a_nonlinear_page_is_faulted_in_again_from_its_pte(variant: str) -> None:
    shows, mapped, page = run(variant, "mmap_shared m0.0 f0.0", "populate m0.0 f0.1", "sync f0", "invalidate f0", "direct_write f0.0",
                              lambda kernel: kernel["unmap_mapping_range"](kernel["f0"].i_mapping, 0, 0, 0) or pte(kernel),
                              "load m0.0", pte, cached(1))
    assert shows == 1                               # the pte holds the offset, in place of the page
    assert mapped[0] is page


def test_a_shared_page_is_mapped_read_only_first_and_its_buffer_dirty_before_a_store() -> None:
    first, then, dirty = run("nick_mkwrite", "mmap_shared m0.0 f0.0", "load m0.0", pte, ("store m0.0", 5), pte,
                             lambda kernel: kernel["buffer_dirty"](pte(kernel)[0].bh))
    assert not first[1] and then[0] is first[0] and then[1] and dirty
    assert run("nick_fault", "mmap_shared m0.0 f0.0", "load m0.0", pte)[0][1]


def test_the_invalidates_of_2_4_leave_a_page_in_use_in_the_page_cache() -> None:
    before, after, uptodate = run(
        "invalidate_2_4", "mmap_shared m0.0 f0.0", "load m0.0", cached(0), "invalidate f0", "invalidate2 f0", cached(0),
        lambda kernel: kernel["PageUptodate"](pte(kernel)[0]))
    assert before is after and not uptodate
    assert run("invalidate_2_4", "read f0.0", "read f0.1", "reclaim", "invalidate_page f0.0", cached(0), cached(1))[0] is None
    assert run("invalidate_2_4", ("write f0.0", 9), "reclaim", "invalidate2_page f0.0", cached(0)) == [None]


# ---- write(2) from memory --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", EXECUTORS)
def test_a_write_from_a_mapping_copies_the_page_that_it_shows(variant: str) -> None:
    """The page stays mapped until the copy, so that no fault comes with a page locked."""
    (page,) = run(variant, "mmap_shared m0.0 f0.1", "write_mapped m0.0 f0.0", "read f0.0", "write_mapped m0.0 f0.1", cached(0))
    assert loads() == [BOOT_CONTENT + 1] * 6
    assert not page.unlocked_by_other


@pytest.mark.parametrize("variant", PAGE_LOCK)
def test_since_2_6_18_a_copy_that_must_not_fault_keeps_the_words_it_cannot_copy(variant: str) -> None:
    def copy(kernel: Any) -> Any:
        page = kernel["find_get_page"](kernel["f0"].i_mapping, 1)
        kernel["kmap_atomic"](page)
        left = kernel["__copy_from_user_inatomic_nocache"](page.data, kernel["at"](0, 0))
        kernel["kunmap_atomic"]()
        kernel["put_page"](page)
        return left, page.data.word0, page.data.word1, kernel["m0"].pte0._val
    assert run(variant, "read f0.1", "mmap_shared m0.0 f0.0", "load m0.1", copy) == [(4096, BOOT_CONTENT + 1, BOOT_CONTENT + 1, None)]


@pytest.mark.parametrize("variant", EXECUTORS)
def test_a_write_from_unmapped_memory_fails(variant: str) -> None:
    def write(kernel: Any) -> Any:
        return kernel["generic_file_write"](kernel["f0_file"], 0, kernel["at"](0, 0), 0)
    failed, page = run(variant, "unmap m0.0", "load m0.0", write, cached(0))
    assert (failed, page.data.word0, page.data.word1) == (-14, 0, 0)


def test_unprotect_leaves_it_to_the_next_store_to_tell_the_file_unless_the_page_is_dirty() -> None:
    mkwrite = PAGE_LOCK[-1]
    (clean,) = run(mkwrite, "mmap_shared m0.0 f0.0", "load m0.0", "protect m0.0", "unprotect m0.0", pte)
    assert clean[1:3] == (0, 0)
    (dirty,) = run(mkwrite, "mmap_shared m0.0 f0.0", ("store m0.0", 7), "protect m0.0", "unprotect m0.0", pte)
    assert dirty[1:3] == (1, 1)
    (page,) = run(mkwrite, "mmap_shared m0.0 f0.0", "load m0.0", "protect m0.0", "unprotect m0.0", ("store m0.0", 7), cached(0))
    assert page._private is not None                # block_page_mkwrite() has given it a buffer


@pytest.mark.parametrize("variant", PAGE_LOCK)
def test_a_pin_makes_its_page_present_by_a_fault_of_the_variant(variant: str) -> None:
    (page, mapped) = run(variant, "mmap_shared m0.0 f0.0", "pin m0.0 k0", cached(0), pte)
    assert mapped[0] is page and page._count.counter == 4 + (page._private is not None) and not page.flags.word & 1
