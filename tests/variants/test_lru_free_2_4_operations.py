# SPDX-License-Identifier: MIT
"""Operations of lru_free_2_4 do their work for one task alone, and leave nothing wrong at rest, with and without Daniel's patch."""

from __future__ import annotations

import functools
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

FAMILY = family("lru_free_2_4")
AT_BOOT = (1000, 1000)      # the words of page 0 of f0 on disk


@functools.cache
def executor(variant: str) -> Executor:
    return Executor(FAMILY, variant, checked=True)


@pytest.fixture(params=FAMILY.variants)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return Kernel(request.param)


class Kernel:
    """A kernel that runs operations and functions in one task."""

    def __init__(self, variant: str):
        self.executor = executor(variant)
        self.image = self.executor.image(2)
        self.names = self.image.namespace

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    def call(self, line: str, value: int = 0) -> tuple[Any, tuple[Any, ...]]:
        """Return an operation as (function, arguments); `value` is the value that it writes, if it writes."""
        op = parse_op(line, "test")
        args = [int(part) for operand in op.operands for part in operand.lstrip("mfk").split(".")]
        return self.image[f"op_{op.name}"], (*args, value) if OPERATIONS[op.name].writes else tuple(args)

    def run(self, *steps: str | tuple[str, int] | Callable[[], Any]) -> list[Any]:
        """Boot, then run the steps in one task: operations, or functions whose results are returned.

        Fails if something is wrong at rest, or if a page is left over when everything is freed.
        """
        self.image.load(self.image.boot)
        self.image.load_volatile(self.image.at_rest)
        self.image.lockdep.set_exact(True)
        results: list[Any] = []
        calls: list[Any] = [(self.image["boot"], ((1, 1, 1, 1),))]
        for step in steps:
            if isinstance(step, str):
                calls.append(self.call(step))
            elif isinstance(step, tuple):
                calls.append(self.call(*step))
            else:
                calls.append((lambda function: results.append(function()), (step,)))
        self._run(calls)
        at_boot(m)
        assert FAMILY.check(self.image) == []
        assert judge(m.history) == []
        self.loads = [value for what, _, _, value, _, _ in m.history if what == "load"]
        self._run([(self.image["drain"], ())])
        assert list(FAMILY.drained(self.image)) == []
        return results

    def _run(self, calls: list[Any]) -> None:
        m.run(self.image, [(0, calls)], NoPreempt(), self.executor.backend, 2)
        assert not m.findings and not m.notes, [(finding.title, finding.detail) for finding in (*m.findings, *m.notes)]

    def pte(self, page: int = 0, mm: str = "m0") -> Any:
        """Return a pte as it is now."""
        return (self[mm].pte0, self[mm].pte1, self[mm].pte2)[page]._val

    def cached(self, index: int = 0, file: str = "f0") -> Any:
        """Return the page of a file in the page cache, or None."""
        mapping = self[file].i_mapping
        for page in self["mem_map"]:
            if page._mapping is mapping and page._index == index:
                return page
        return None

    def state(self, index: int = 0, file: str = "f0") -> set[str]:
        """Return the flags of the buffer of a file page."""
        word = self.cached(index, file)._buffers.b_state.word
        return {name for name in ("Uptodate", "Dirty", "Lock", "Req", "Mapped", "New") if word >> self[f"BH_{name}"] & 1}

    def read(self, index: int = 0, file: str = "f0") -> Callable[[], Any]:
        """Return a step that reads a page with read(2)."""
        return lambda: self["do_generic_file_read"](self[f"{file}_file"], index)

    def disk(self, index: int = 0, file: str = "f0") -> Callable[[], Any]:
        """Return a step that looks at a block on disk."""
        return lambda: (self[f"{file}_disk"].word0.items[index], self[f"{file}_disk"].word1.items[index])

    def free(self) -> int:
        return sum(page.list.on is self["zone_normal"].free_list for page in self["mem_map"])


# ---- madvise -------------------------------------------------------------------------------------------------------------


def test_memory_that_is_not_needed_reads_as_zeros(kernel: Kernel) -> None:
    gone, = kernel.run(("store m0.0", 7), "load m0.0", "dontneed m0.0", kernel.pte, "load m0.0")
    assert gone is None
    assert kernel.loads == [7, 7, 0, 0]


def test_memory_that_is_not_needed_is_given_back(kernel: Kernel) -> None:
    before, after = kernel.run(("store m0.0", 7), kernel.free, "dontneed m0.0", kernel.free)
    assert after == before + 1


def test_a_child_keeps_what_its_parent_does_not_need(kernel: Kernel) -> None:
    kernel.run(("store m0.0", 7), "fork m0 m1", "dontneed m0.0", "load m1.0", "load m0.0")
    assert kernel.loads == [7, 7, 0, 0]


def test_no_advice_is_taken_about_an_address_that_is_not_mapped(kernel: Kernel) -> None:
    kernel.run("unmap m0.0", "dontneed m0.0", "load m0.0")
    assert kernel.loads == []


# ---- pins for reading ------------------------------------------------------------------------------------------------------


def test_a_pin_for_reading_does_not_copy_a_shared_page(kernel: Kernel) -> None:
    parent, child, pinned = kernel.run(("store m0.0", 7), "fork m0 m1", "pin_read m0.0 k0", kernel.pte, lambda: kernel.pte(0, "m1"),
                                       lambda: kernel["k0"].maplist[0], "load_pin k0", "unpin k0")
    assert parent[0] is child[0] is pinned
    assert not parent[1]                    # still write-protected


def test_a_pin_for_writing_copies_a_shared_page(kernel: Kernel) -> None:
    parent, child = kernel.run(("store m0.0", 7), "fork m0 m1", "pin m0.0 k0", kernel.pte, lambda: kernel.pte(0, "m1"), "put k0")
    assert parent[0] is not child[0]


def test_a_pin_for_reading_of_memory_never_stored_to_is_one_of_the_zero_page(kernel: Kernel) -> None:
    assert kernel.run("pin_read m0.0 k0", lambda: kernel["k0"].maplist[0], "irq_put k0") == [kernel["empty_zero_page"]]


def test_a_device_does_not_write_through_a_pin_for_reading(kernel: Kernel) -> None:
    assert kernel.run(("store m0.0", 7), "pin_read m0.0 k0", ("dma k0", 8), kernel.pte, "load m0.0", "unpin k0")[0][0]._word0 == 7
    assert kernel.loads == [7, 7]


def test_a_device_reads_what_memory_holds(kernel: Kernel) -> None:
    assert kernel.run(("store m0.0", 7), "pin_read m0.0 k0", lambda: kernel["dma_read"](kernel["k0"].maplist[0]), "unpin k0") == [(7, 7)]


# ---- mprotect ----------------------------------------------------------------------------------------------------------------


def test_a_protected_page_is_read_but_not_stored_to(kernel: Kernel) -> None:
    protected, = kernel.run(("store m0.0", 7), "protect m0.0", kernel.pte, ("store m0.0", 8), "load m0.0")
    assert protected[1:] == (0, 1, 1)           # not writable, and as dirty and young as before
    assert kernel.loads == [7, 7]


def test_an_unprotected_page_is_stored_to_without_a_copy(kernel: Kernel) -> None:
    before, after = kernel.run(("store m0.0", 7), kernel.pte, "protect m0.0", "unprotect m0.0", ("store m0.0", 8), kernel.pte, "load m0.0")
    assert before[0] is after[0]
    assert kernel.loads == [8, 8]


def test_a_page_that_is_unprotected_still_belongs_to_the_child_too(kernel: Kernel) -> None:
    kernel.run(("store m0.0", 7), "fork m0 m1", "protect m0.0", "unprotect m0.0", ("store m0.0", 8), "load m1.0", "load m0.0")
    assert kernel.loads == [7, 7, 8, 8]


def test_a_shared_mapping_can_be_written_at_once_when_it_is_unprotected(kernel: Kernel) -> None:
    before, after = kernel.run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "protect m0.0", kernel.pte, "unprotect m0.0", kernel.pte)
    assert (before[1], after[1]) == (0, 1)


def test_a_child_inherits_the_protection(kernel: Kernel) -> None:
    kernel.run(("store m0.0", 7), "protect m0.0", "fork m0 m1", ("store m1.0", 8), "load m1.0")
    assert kernel.loads == [7, 7]


def test_memory_that_may_not_be_written_cannot_be_pinned_for_writing(kernel: Kernel) -> None:
    assert kernel.run("protect m0.0", "pin m0.0 k0", lambda: kernel["k0"].nr_pages, "pin_read m0.0 k0", lambda: kernel["k0"].nr_pages,
                      "unpin k0") == [0, 1]


# ---- write(2), fsync, bdflush ------------------------------------------------------------------------------------------------


def test_a_read_returns_what_was_written_before_it_is_on_disk(kernel: Kernel) -> None:
    words, disk, state = kernel.run(("write f0.0", 7), kernel.read(), kernel.disk(), kernel.state)
    assert (words, disk, state) == ((7, 7), AT_BOOT, {"Uptodate", "Dirty", "Mapped"})


def test_fsync_writes_the_page_and_waits_for_the_disk(kernel: Kernel) -> None:
    disk, state, queued = kernel.run(("write f0.0", 7), "sync f0", kernel.disk(), kernel.state,
                                     lambda: kernel.cached()._buffers._b_inode)
    assert (disk, state, queued) == ((7, 7), {"Uptodate", "Mapped", "Req"}, None)


def test_fsync_writes_what_a_shared_mapping_has_left_dirty(kernel: Kernel) -> None:
    """2.4's fsync does not look at ptes: the store is written once the page is unmapped."""
    before, after = kernel.run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "sync f0", kernel.disk(), "unmap m0.0", "sync f0", kernel.disk())
    assert (before, after) == (AT_BOOT, (7, 7))


def test_bdflush_writes_all_dirty_buffers_of_all_files(kernel: Kernel) -> None:
    def look() -> Any:
        return kernel["lru_list"][kernel["BUF_DIRTY"]]._nr, kernel["lru_list"][kernel["BUF_LOCKED"]]._nr
    written = (("write f0.0", 7), ("write f0.1", 8), ("write f1.0", 9))
    before, after, one, two, three = kernel.run(*written, look, "bdflush", look, "read f0.0", "sync f0", "sync f1",
                                                kernel.disk(), kernel.disk(1), kernel.disk(0, "f1"))
    assert (before, after) == ((3, 0), (0, 3))
    assert (one, two, three) == ((7, 7), (8, 8), (9, 9))


def test_a_writer_that_dirties_too_much_writes_some_buffers_itself(kernel: Kernel) -> None:
    dirty, = kernel.run(("write f0.0", 7), ("write f0.1", 8), ("write f1.0", 9), ("write f1.1", 10),
                        lambda: kernel["lru_list"][kernel["BUF_DIRTY"]]._nr)
    assert dirty == 4 - kernel["NRSYNC"]


def test_a_write_behind_the_end_leaves_a_hole_of_zeros(kernel: Kernel) -> None:
    size, hole, words = kernel.run(("write f0.0", 7), "truncate f0 1", ("write f0.1", 8), lambda: kernel["f0"]._i_size, kernel.read(0),
                                   kernel.read(1))
    assert (size, hole, words) == (2 * kernel["PAGE_SIZE"], (0, 0), (8, 8))


def test_a_truncate_drops_dirty_buffers(kernel: Kernel) -> None:
    dirty, cached, disk = kernel.run(("write f0.0", 7), "truncate f0 1", lambda: kernel["lru_list"][kernel["BUF_DIRTY"]]._nr,
                                     kernel.cached, "sync f0", kernel.disk())
    assert (dirty, cached, disk) == (0, None, AT_BOOT)


def test_a_dirty_page_stays_in_the_cache_when_clean_ones_are_dropped(kernel: Kernel) -> None:
    assert kernel.run(("write f0.0", 7), "invalidate f0", kernel.read()) == [(7, 7)]


def test_reclaim_writes_a_dirty_page_before_it_frees_it(kernel: Kernel) -> None:
    """The first visit marks the buffers, the second writes them, the third may free them."""
    disk, words = kernel.run(("write f0.0", 7), *["shrink_cache 1"] * 6, kernel.disk(), kernel.read())
    assert (disk, words) == ((7, 7), (7, 7))


# ---- reclaim -----------------------------------------------------------------------------------------------------------------


def test_reclaim_below_the_file_system_frees_clean_pages(kernel: Kernel) -> None:
    before, after = kernel.run("read f0.0", "read f0.1", "read f1.0", "refill_inactive 4", kernel.free, "reclaim_nofs f1.1", kernel.free)
    assert after > before


def test_reclaim_below_the_file_system_leaves_the_page_alone_that_its_caller_has_locked(kernel: Kernel) -> None:
    def drop_buffers() -> None:
        page = kernel.cached()
        kernel["lock_page"](page)
        assert kernel["try_to_free_buffers"](page, 0)
        kernel["unlock_page"](page)
    _, page = kernel.run("read f0.0", "read f1.0", drop_buffers, "reclaim_nofs f0.0", kernel.cached)
    assert page is not None


def test_reclaim_below_the_file_system_writes_no_dirty_page(kernel: Kernel) -> None:
    """The page was dirtied through a mapping, so that only writepage() could clean it."""
    disk, words = kernel.run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "unmap m0.0", *["reclaim_nofs f1.0"] * 3, kernel.disk(),
                             kernel.read())
    assert (disk, words) == (AT_BOOT, (7, 7))


def test_kswapd_sleeps_on_while_memory_is_not_short(kernel: Kernel) -> None:
    before, after = kernel.run("read f0.0", "refill_inactive 1", kernel.free, "kswapd", kernel.free)
    assert before == after


def test_kswapd_frees_pages_until_the_high_watermark_once_memory_was_short(kernel: Kernel) -> None:
    reads = ("read f0.0", "read f0.1", "read f1.0", "read f1.1")
    needed, before, after, asleep = kernel.run(
        "hog 3", *reads, lambda: kernel["zone_normal"]._need_balance, kernel.free, "kswapd", kernel.free,
        lambda: kernel["zone_normal"]._need_balance)
    assert needed and before < after and after > kernel["zone_normal"].pages_high
    assert not asleep


def test_a_driver_keeps_pages_until_it_frees_them(kernel: Kernel) -> None:
    before, kept, after = kernel.run(kernel.free, "hog 2", kernel.free, "unhog", kernel.free)
    assert (before, kept, after) == (8, 6, 8)


def test_a_driver_and_pins_keep_at_most_four_pages(kernel: Kernel) -> None:
    pins = ("pin m0.0 k0", "pin m0.1 k1", "pin m0.2 k2")
    def pages() -> int:
        return len(kernel["hog"].pages)
    assert kernel.run(*pins, "hog 4", pages, "unpin k0", "hog 4", pages, "unpin k2", "unpin k1", "hog 4", pages, "pin m0.0 k0",
                      lambda: kernel["k0"].nr_pages, "unhog", pages, "pin m0.0 k0", lambda: kernel["k0"].nr_pages, "unpin k0") == [
        1, 2, 4, 0, 0, 1]


def test_what_a_driver_still_keeps_is_no_leak_at_rest(kernel: Kernel) -> None:
    kernel.run("hog 4")


def test_an_allocation_ends_while_the_active_list_has_the_only_page_that_can_be_freed(kernel: Kernel) -> None:
    """It looped for ever when one page on each list made none of them move: with a SWAP_CLUSTER_MAX of 2, not 32."""
    lists: list[int] = []
    kernel.run("read f1.1", "touch f1.1", "touch f1.1", "hog 4", "mmap_private m0.1 f0.0",
               lambda: lists.extend((kernel["vm"]._nr_active_pages, kernel["vm"]._nr_inactive_pages)), ("store m0.1", 7), "load m0.1")
    assert lists == [1, 0]
    assert kernel.loads[-2:] == [7, 7]


# ---- mlock -------------------------------------------------------------------------------------------------------------------


def test_locked_memory_is_present_and_writable_at_once(kernel: Kernel) -> None:
    pte, vma, locked = kernel.run("lock_memory m0.0", kernel.pte, lambda: kernel["m0"].vma0.vm_flags & kernel["VM_LOCKED"],
                                  lambda: kernel["m0"]._locked_vm)
    assert pte[1:3] == (1, 1) and vma and locked == 1


def test_swap_out_passes_by_a_locked_page_until_it_is_unlocked(kernel: Kernel) -> None:
    scans = ["refill_inactive 4", "swap_out", "swap_out"]
    kept, gone = kernel.run(("store m0.0", 7), "lock_memory m0.0", *scans, kernel.pte, "unlock_memory m0.0", *scans * 4, kernel.pte)
    assert isinstance(kept, tuple) and not isinstance(gone, tuple)


def test_memory_is_no_longer_locked_when_it_is_unmapped_or_the_process_exits(kernel: Kernel) -> None:
    assert kernel.run("lock_memory m0.0", "lock_memory m0.1", "unmap m0.0", lambda: kernel["m0"]._locked_vm, "exit m0",
                      lambda: kernel["m0"]._locked_vm) == [1, 0]


def test_a_child_inherits_no_lock(kernel: Kernel) -> None:
    assert kernel.run("lock_memory m0.0", "fork m0 m1", lambda: kernel["m1"]._locked_vm,
                      lambda: kernel["m1"].vma0.vm_flags & kernel["VM_LOCKED"]) == [0, 0]


def test_locked_memory_is_not_thrown_away(kernel: Kernel) -> None:
    kernel.run(("store m0.0", 7), "lock_memory m0.0", "dontneed m0.0", "load m0.0")
    assert kernel.loads == [7, 7]


def test_pins_a_driver_and_locked_memory_keep_at_most_four_pages(kernel: Kernel) -> None:
    assert kernel.run("pin m0.0 k0", "lock_memory m0.1", "hog 4", lambda: len(kernel["hog"].pages), "lock_memory m0.2",
                      lambda: kernel["m0"]._locked_vm, "unpin k0") == [2, 1]


# ---- mremap ------------------------------------------------------------------------------------------------------------------


def loaded(kernel: Kernel, *pages: int) -> Callable[[], Any]:
    """Return a step that loads word 0 of pages of m0."""
    return lambda: [kernel["user_load"](kernel["USER_ADDRESSES"][page], 0) for page in pages]


def test_memory_is_moved_with_its_page(kernel: Kernel) -> None:
    before, old, new, values = kernel.run(("store m0.0", 7), kernel.pte, "mremap m0.0 m0.1", kernel.pte, lambda: kernel.pte(1),
                                          loaded(kernel, 0, 1))
    assert (old, new) == (None, before)
    assert values == [(None, "SIGSEGV"), (7, None)]


def test_memory_is_moved_over_what_was_mapped_there(kernel: Kernel) -> None:
    free, after, values = kernel.run(("store m0.0", 7), ("store m0.1", 8), kernel.free, "mremap m0.0 m0.1", kernel.free, loaded(kernel, 1))
    assert (after, values) == (free + 1, [(7, None)])


def test_a_swapped_out_page_is_moved_with_its_entry(kernel: Kernel) -> None:
    scans = ["refill_inactive 4", "swap_out"] * 6
    entry, moved, values = kernel.run(("store m0.0", 7), *scans, kernel.pte, "mremap m0.0 m0.2", lambda: kernel.pte(2), loaded(kernel, 2))
    assert entry == moved and isinstance(entry, int)
    assert values == [(7, None)]


def test_a_file_mapping_that_was_moved_is_found_by_truncate(kernel: Kernel) -> None:
    assert kernel.run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "mremap m0.0 m0.1", "truncate f0 1", lambda: kernel.pte(1),
                      loaded(kernel, 1)) == [None, [(None, "SIGBUS")]]


def test_an_address_stays_what_it_is_when_it_is_moved_on_to_itself_or_into_another_address_space(kernel: Kernel) -> None:
    assert kernel.run(("store m0.0", 7), "mremap m0.0 m0.0", "mremap m0.0 m1.1", loaded(kernel, 0)) == [[(7, None)]]


def test_the_lock_of_a_page_moves_with_it(kernel: Kernel) -> None:
    before, vma, after = kernel.run("lock_memory m0.0", "mremap m0.0 m0.1", lambda: kernel["m0"]._locked_vm,
                                    lambda: kernel["m0"].vma1.vm_flags & kernel["VM_LOCKED"], "unmap m0.1", lambda: kernel["m0"]._locked_vm)
    assert (before, after) == (1, 0) and vma


def test_no_more_than_four_pages_are_locked_by_way_of_a_move(kernel: Kernel) -> None:
    def locked() -> int:
        return int(kernel["m0"]._locked_vm)
    count, unmoved = kernel.run("hog 3", "lock_memory m0.0", "mremap m0.0 m0.1", locked, kernel.pte)
    assert count == 1 and unmoved is not None
    assert kernel.run("hog 2", "lock_memory m0.0", "mremap m0.0 m0.1", "map m0.0", "lock_memory m0.0", locked) == [2]


# ---- exec --------------------------------------------------------------------------------------------------------------------


def test_a_new_program_starts_with_empty_memory(kernel: Kernel) -> None:
    kernel.run(("store m0.0", 7), "unmap m0.1", "exec m0", "load m0.0", "load m0.1")
    assert kernel.loads == [0, 0, 0, 0]


def test_an_exec_leaves_a_child_its_memory(kernel: Kernel) -> None:
    kernel.run(("store m0.0", 7), "fork m0 m1", "exec m0", "load m1.0", "load m0.0")
    assert kernel.loads == [7, 7, 0, 0]


def test_an_exec_empties_the_address_space_in_place(kernel: Kernel) -> None:
    assert kernel.run(("store m0.0", 7), "exec m0", lambda: kernel["processes"][0].mm, "exit m0") == [kernel["m0"]]


def test_an_exec_takes_another_address_space_if_swap_out_holds_the_old_one(kernel: Kernel) -> None:
    """swap_out holds an mm by mm_users; the second exec is after it has let go, and a third finds the first mm free again."""
    hold = lambda: kernel["atomic_inc"](kernel["m0"].mm_users)          # noqa: E731
    taken, spare, free, back = kernel.run(
        ("store m0.0", 7), hold, "exec m0", lambda: kernel["processes"][0].mm, lambda: kernel["have"].spare,
        lambda: kernel["mmput"](kernel["m0"]) or kernel["m0"].in_use, ("store m0.1", 8), "exec m0", "load m0.1",
        lambda: kernel["processes"][0].mm)[1:]
    assert (taken, spare, free, back) == (kernel["m4"], kernel["m0"], 0, kernel["m4"])
    assert kernel.loads == [0, 0]


def test_an_exec_fails_without_an_address_space(kernel: Kernel) -> None:
    def hold() -> None:
        kernel["atomic_inc"](kernel["m0"].mm_users)
        kernel["m4"].in_use = 1

    def let_go() -> None:
        kernel["m4"].in_use = 0
        kernel["mmput"](kernel["m0"])
    kernel.run(("store m0.0", 7), hold, "exec m0", let_go, "load m0.0")
    assert kernel.loads == [7, 7]


# ---- swapoff -----------------------------------------------------------------------------------------------------------------

SWAPPED_OUT = ["refill_inactive 4", "swap_out"] * 6


def test_swapoff_brings_every_page_back(kernel: Kernel) -> None:
    entry, page = kernel.run(("store m0.0", 7), ("store m0.1", 8), *SWAPPED_OUT, "shrink_cache 4", kernel.pte, "swapoff", kernel.pte,
                             "load m0.0", "load m0.1")
    assert isinstance(entry, int) and isinstance(page, tuple)
    assert kernel.loads == [7, 7, 8, 8]


def test_swapoff_gives_all_that_share_an_entry_one_page(kernel: Kernel) -> None:
    one, two = kernel.run(("store m0.0", 7), "fork m0 m1", *SWAPPED_OUT, "swapoff", kernel.pte, lambda: kernel.pte(0, "m1"),
                          ("store m1.0", 9), "load m0.0", "load m1.0")
    assert one[0] is two[0]
    assert kernel.loads == [7, 7, 9, 9]


def test_nothing_is_swapped_out_after_swapoff(kernel: Kernel) -> None:
    pages, pte = kernel.run(("store m0.0", 7), "swapoff", lambda: kernel["vm"]._nr_swap_pages, *SWAPPED_OUT, kernel.pte, "load m0.0")
    assert pages == 0 and isinstance(pte, tuple)


def test_swapoff_fails_and_leaves_the_device_if_memory_is_out(kernel: Kernel) -> None:
    taken: list[Any] = []

    def take_all() -> None:
        kernel["current"]().flags |= kernel["PF_MEMALLOC"]
        while page := kernel["alloc_page"](kernel["GFP_KERNEL"]):
            taken.append(page)

    def give_back() -> None:
        while taken:
            kernel["__free_page"](taken.pop())

    def swapoff() -> Any:
        return kernel["sys_swapoff"](kernel["swap_disk"])

    def swap_pages() -> Any:
        return kernel["vm"]._nr_swap_pages, kernel["vm"]._total_swap_pages
    before, _, error, _, after = kernel.run(
        ("store m0.0", 7), *SWAPPED_OUT, *["shrink_cache 4"] * 4, swap_pages, take_all, swapoff, give_back, swap_pages,
        "load m0.0", "swapoff", "load m0.0")
    assert (before, error, after) == ((4, 5), -kernel["ENOMEM"], (4, 5))
    assert kernel.loads == [7, 7, 7, 7]


# ---- shared memory -----------------------------------------------------------------------------------------------------------


def shared(kernel: Kernel) -> Callable[[], Any]:
    """Return a step that looks where page 0 of the shared memory object is: a page, or its swap entry."""
    return lambda: kernel.cached(0, "s0") or kernel["s0"].shmem_i.i_direct.items[0]


def test_two_addresses_show_one_page_of_shared_memory(kernel: Kernel) -> None:
    values, one, two = kernel.run("attach m0.0 1", "attach m0.1 3", ("store m0.0", 7), loaded(kernel, 1), kernel.pte, lambda: kernel.pte(1))
    assert values == [(7, None)] and one[0] is two[0]


def test_a_child_stores_to_the_memory_that_it_shares(kernel: Kernel) -> None:
    values, = kernel.run("attach m0.0 1", ("store m0.0", 7), "fork m0 m1", ("store m1.0", 8), loaded(kernel, 0))
    assert values == [(8, None)]


def test_shared_memory_stays_when_no_address_shows_it(kernel: Kernel) -> None:
    values, = kernel.run("attach m0.0 1", ("store m0.0", 7), "unmap m0.0", "attach m0.1 1", loaded(kernel, 1))
    assert values == [(7, None)]


def test_reclaim_moves_a_page_of_shared_memory_to_the_swap_cache_and_a_fault_moves_it_back(kernel: Kernel) -> None:
    entry, swapped, values, back, nothing = kernel.run(
        "attach m0.0 1", ("store m0.0", 7), *SWAPPED_OUT, *["shrink_cache 4"] * 6, shared(kernel), lambda: kernel["s0"].shmem_i._swapped,
        loaded(kernel, 0), shared(kernel), lambda: kernel["s0"].shmem_i._swapped)
    assert isinstance(entry, int) and entry and swapped == 1
    assert values == [(7, None)] and not isinstance(back, int) and nothing == 0


def test_swapoff_moves_a_page_of_shared_memory_back(kernel: Kernel) -> None:
    entry, back, values = kernel.run("attach m0.0 1", ("store m0.0", 7), *SWAPPED_OUT, *["shrink_cache 4"] * 6, shared(kernel), "swapoff",
                                     shared(kernel), loaded(kernel, 0))
    assert isinstance(entry, int) and not isinstance(back, int)
    assert values == [(7, None)]


def test_a_truncate_frees_the_pages_of_shared_memory_in_memory_and_on_swap(kernel: Kernel) -> None:
    gone, values, zero = kernel.run("attach m0.0 1", ("store m0.0", 7), *SWAPPED_OUT, *["shrink_cache 4"] * 6, "resize 1", shared(kernel),
                                    loaded(kernel, 0), "resize 3", loaded(kernel, 0))
    assert (gone, values, zero) == (0, [(None, "SIGBUS")], [(0, None)])
