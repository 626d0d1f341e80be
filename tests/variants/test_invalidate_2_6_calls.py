# SPDX-License-Identifier: MIT
"""Each call of user space and each pin of invalidate_2_6 does its work for one task alone."""

from __future__ import annotations

from typing import Any

from vmrace.fuzz.run.executor import Executor
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt

from tests.fuzz.family_programs import program as tasks
from tests.variants.test_invalidate_2_6 import BOOT_CONTENT, F0, FAMILY, KERNEL, M0, cached, flags, loads, pte, run

DISK = KERNEL["f0_disk"]


def disk(index: int = 0) -> tuple[int, int]:
    block = (DISK.block0, DISK.block1)[index]
    return block.word0, block.word1


def read_directly() -> list[Any]:
    """Return the values that direct reads have returned, in order."""
    return [value for what, _, _, value, _, _ in m.history if what == "disk load"]


# ---- msync -----------------------------------------------------------------------------------------------------------------


def test_msync_writes_what_a_shared_mapping_has_stored_and_leaves_it_mapped_and_clean() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "msync m0.0")
    assert disk() == (7, 7) and F0.tag_dirty.items == [0, 0]
    page, write, dirty, young = pte()
    assert (page, write, dirty, young) == (cached(), 1, 0, 1) and not flags(page) & {"dirty", "writeback"}


def test_msync_moves_the_dirty_bit_of_its_own_range_only_but_writes_the_whole_file() -> None:
    run("mmap_shared m0.0 f0.0", "mmap_shared m0.1 f0.1", ("store m0.0", 7), ("store m0.1", 8), "msync m0.1")
    assert disk(0) == (BOOT_CONTENT, BOOT_CONTENT) and disk(1) == (8, 8) and pte(0)[2] == 1
    run(("write f0.0", 7), "mmap_shared m0.1 f0.1", "msync m0.1")
    assert disk(0) == (7, 7)


def test_msync_of_a_private_mapping_writes_nothing_and_of_a_hole_fails() -> None:
    def msync() -> int:
        result: int = KERNEL["sys_msync"](KERNEL["USER_ADDRESSES"][0], KERNEL["PAGE_SIZE"], KERNEL["MS_SYNC"])
        return result
    assert run("mmap_private m0.0 f0.0", ("store m0.0", 7), "load m0.1", msync) == [0]
    assert disk() == (BOOT_CONTENT, BOOT_CONTENT) and pte()[2] == 1
    assert run("unmap m0.0", "load m0.1", msync) == [-KERNEL["ENOMEM"]]


def test_msync_says_that_a_word_is_on_disk_only_if_no_other_mapping_may_be_dirty() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "msync m0.0")
    assert ("msynced", "f0", (0, 0)) in [entry[:3] for entry in m.history]
    run("mmap_shared m0.0 f0.0", "mmap_shared m0.1 f0.0", ("store m0.1", 7), "msync m0.0")
    assert disk() == (BOOT_CONTENT, BOOT_CONTENT) and not [entry for entry in m.history if entry[0] == "msynced"]
# ---- direct reads ----------------------------------------------------------------------------------------------------------


def test_a_direct_read_writes_dirty_pages_first_and_brings_none_into_the_cache() -> None:
    run("direct_read f0.1", ("write f0.0", 7), "direct_read f0.0")
    assert read_directly() == [BOOT_CONTENT + 1] * 2 + [7] * 2
    assert cached(1) is None and disk(0) == (7, 7) and not flags(cached(0)) & {"dirty", "writeback"}


def test_a_direct_read_of_a_hole_or_beyond_the_end_returns_no_old_block() -> None:
    run("truncate f0 1", "direct_read f0.0", "truncate f0 3", "direct_read f0.0")
    assert read_directly() == [0, 0] and disk() == (BOOT_CONTENT, BOOT_CONTENT)


def test_a_direct_read_sees_what_a_shared_mapping_has_stored_only_after_msync_or_unmap() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "direct_read f0.0", "unmap m0.0", "direct_read f0.0")
    assert read_directly() == [BOOT_CONTENT] * 2 + [7, 7]
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "msync m0.0", "direct_read f0.0")
    assert read_directly() == [7, 7]


# ---- pins ------------------------------------------------------------------------------------------------------------------


def held(k: int = 0) -> Any:
    return KERNEL["references"][k]


def test_a_pin_makes_the_page_present_and_holds_a_reference() -> None:
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0")
    assert held().page is cached() is pte()[0] and held().state == 2
    assert cached()._count.counter == 4 and pte()[1:3] == (1, 1)        # the cache, the pagevec, the pte, the pin
    run("mmap_shared m0.0 f0.0", "pin_read m0.0 k0")
    assert held().page is cached() and pte()[1:3] == (1, 0) and "dirty" not in flags(cached())


def test_a_pin_for_writing_takes_a_private_page_out_of_the_cache_and_one_for_reading_does_not() -> None:
    run("mmap_private m0.0 f0.0", "pin_read m0.0 k0", "pin m0.0 k1")
    assert held(0).page is cached() and held(1).page is pte()[0] is not cached()
    run("pin_read m0.0 k0", ("store m0.0", 7), "pin m0.0 k1")
    assert held(0).page is KERNEL["empty_zero_page"] and held(1).page is pte()[0] and pte()[0].data.word0 == 7


def test_a_pin_of_what_is_not_mapped_or_beyond_the_end_of_the_file_holds_nothing() -> None:
    run("unmap m0.0", "pin m0.0 k0", "mmap_shared m0.1 f0.1", "truncate f0 2", "pin m0.1 k1", "unpin k0", ("dma k1", 7), "load_pin k1")
    assert [held(k).state for k in (0, 1)] == [0, 0] and held(0).page is held(1).page is None


def test_unpin_dirties_what_a_device_may_have_written_and_the_data_reaches_the_disk() -> None:
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0", "msync m0.0", ("dma k0", 7), "sync f0", lambda: disk(), "unpin k0", "sync f0")
    assert disk() == (7, 7) and held().page is None
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0", "msync m0.0", ("dma k0", 7), "unpin k0")
    assert "dirty" in flags(cached()) and pte()[2] == 0


def test_a_pin_for_reading_takes_no_dma_and_dirties_nothing() -> None:
    run("mmap_shared m0.0 f0.0", "pin_read m0.0 k0", ("dma k0", 7), "load_pin k0", "unpin k0", "load m0.0")
    assert loads() == [BOOT_CONTENT] * 4 and "dirty" not in flags(cached())


def test_put_drops_what_no_device_has_written_to_and_unpin_drops_pins_only() -> None:
    run("read f0.0", "take f0.0 k0", "unpin k0", "mmap_shared m0.0 f0.0", "pin m0.0 k1", "put k1", "pin m0.0 k2", ("dma k2", 7), "put k2")
    assert [held(k).state for k in (0, 1, 2)] == [2, 0, 2]


def test_a_pin_that_was_dropped_by_put_can_be_taken_again() -> None:
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0", "put k0", "pin_read m0.0 k0", "put k0", "take f0.0 k0", "put k0", "pin m0.0 k0", "unpin k0")
    assert not held().bio.in_use


def test_two_tasks_may_fail_to_make_the_same_pin() -> None:
    checked = Executor(FAMILY, "pre_2_6_15", checked=True)
    prepared = checked.prepare(tasks(["unmap m0.0"], ["pin m0.0 k0"], ["pin m0.0 k0"]))
    assert [finding.title for finding in checked.run(prepared, NoPreempt()).findings] == []


def test_a_pin_that_another_task_drops_is_handed_over_in_order() -> None:
    """The first task has freed the page before it pins it again. What the second one does with the pin comes after all of that."""
    checked = Executor(FAMILY, "pre_2_6_15", checked=True)
    prepared = checked.prepare(tasks(["pin m0.0 k0", "map m0.0"], ["unpin k0", "pin m0.0 k0"], ["unpin k0"]))
    assert [finding.title for finding in checked.run(prepared, NoPreempt()).findings] == []


def test_a_truncated_page_that_two_pins_hold_is_dirty_and_goes_with_the_second() -> None:
    run("mmap_shared m0.0 f0.1", "pin m0.0 k0", "pin m0.0 k1", "truncate f0 2", ("dma k0", 7), "unpin k0")
    assert held(1).page._mapping is None and "dirty" in flags(held(1).page)
    run("mmap_shared m0.0 f0.1", "pin m0.0 k0", "pin m0.0 k1", "truncate f0 2", ("dma k0", 7), "unpin k0", "unpin k1")
    assert KERNEL["zone_normal"]._free_pages == 8


def test_a_page_that_was_dropped_before_its_pin_is_dirty_as_long_as_a_pagevec_has_it() -> None:
    """The other cpu has the page in its pagevec. What the device stored is judged as data, not by the dirty bit."""
    checked = Executor(FAMILY, "pre_2_6_15", checked=True)
    for drop in ("truncate f0 1", "invalidate2 f0", "revalidate f0.0"):
        prepared = checked.prepare(tasks(["mmap_shared m0.0 f0.0", "pin m0.0 k0"], ["load m0.1"], [drop, "unpin k0"]))
        for lead in (0, 1):
            assert [finding.title for finding in checked.run(prepared, NoPreempt(lead)).findings] == [], drop


def test_a_page_that_was_dropped_before_its_pin_stays_excused_when_the_place_of_the_pin_has_another_page() -> None:
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0", "pin m0.0 k1", "invalidate2 f0", "unpin k1", "pin m0.0 k1", "unpin k1")
    assert held().page._mapping is None and "dirty" in flags(held().page)


def test_a_pin_keeps_a_page_from_reclaim_but_not_its_pte() -> None:
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0", "shrink_cache 4", *["refill_inactive 4", "shrink_cache 4"] * 3)
    assert pte() is None and held().page is cached()


def test_a_load_returns_what_a_device_has_stored_and_a_device_what_a_process_has_stored() -> None:
    run(("store m0.0", 7), "pin m0.0 k0", "load_pin k0", ("dma k0", 8), "load m0.0", "unpin k0")
    assert loads() == [7, 7, 8, 8]
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0", ("dma k0", 7), "read f0.0", "unpin k0", "sync f0", "direct_read f0.0")
    assert loads() == [7, 7] and read_directly() == [7, 7]


def test_what_a_device_stores_is_not_on_disk_for_certain_before_the_pin_is_dropped() -> None:
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0", "msync m0.0", ("dma k0", 7), "msync m0.0", "direct_read f0.0",
        "unpin k0", "direct_read f0.0")
    assert read_directly() == [BOOT_CONTENT] * 2 + [7, 7]


def test_after_a_truncate_the_page_of_a_pin_is_no_page_of_the_file() -> None:
    run("mmap_shared m0.0 f0.1", "pin m0.0 k0", "truncate f0 2", "truncate f0 3", ("dma k0", 7), "read f0.1", "unpin k0")
    assert loads() == [0, 0]


# ---- madvise ---------------------------------------------------------------------------------------------------------------


def test_dontneed_discards_an_anonymous_page_and_keeps_the_data_of_a_shared_one() -> None:
    run(("store m0.0", 7), "dontneed m0.0", "load m0.0", ("store m0.0", 8), "load m0.0")
    assert loads() == [0, 0, 8, 8]
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "dontneed m0.0", lambda: pte(), "load m0.0")
    assert loads() == [7, 7] and "dirty" in flags(cached()) and pte()[2] == 0


def test_dontneed_discards_the_copy_of_a_private_mapping() -> None:
    run("mmap_private m0.0 f0.0", ("store m0.0", 7), "dontneed m0.0", "load m0.0")
    assert pte()[0] is cached()


def test_dontneed_leaves_a_nonlinear_pte_its_page_of_the_file() -> None:
    assert run("mmap_shared m0.0 f0.0", "populate m0.0 f0.1", "dontneed m0.0", lambda: pte(), "load m0.0") == [1]
    assert loads() == [BOOT_CONTENT + 1] * 2


def test_after_dontneed_no_process_sees_what_a_device_stores_through_an_older_pin_of_private_memory() -> None:
    run(("store m0.0", 7), "pin m0.0 k0", "dontneed m0.0", ("dma k0", 8), "load m0.0", "unpin k0")
    assert loads() == [0, 0]
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0", "dontneed m0.0", ("dma k0", 8), "load m0.0", "unpin k0")
    assert loads() == [8, 8]


def test_dontneed_of_what_is_not_mapped_does_nothing() -> None:
    run("unmap m0.0", "dontneed m0.0", "load m0.0", "load m0.1")
    assert loads() == [0, 0]


# ---- mprotect --------------------------------------------------------------------------------------------------------------


def test_a_protected_page_can_be_read_and_takes_no_store_until_it_is_unprotected() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "protect m0.0", ("store m0.0", 8), "load m0.0", lambda: pte())
    assert loads() == [7, 7] and pte()[1:] == (0, 1, 1) and M0.vma0.vm_page_prot == KERNEL["PAGE_READONLY"]
    run("mmap_shared m0.0 f0.0", "protect m0.0", ("store m0.0", 7), "unprotect m0.0", ("store m0.0", 8), "load m0.0")
    assert loads() == [8, 8] and pte()[1:] == (1, 1, 1)


def test_an_unprotected_private_page_is_still_copied_on_write() -> None:
    run(("store m0.0", 7), "fork m0 m1", "protect m0.0", "unprotect m0.0", ("store m0.0", 8), "load m1.0", "load m0.0")
    assert loads() == [7, 7, 8, 8]


def test_a_protected_page_takes_no_pin_for_writing() -> None:
    run("protect m0.0", "pin m0.0 k0", "pin_read m0.0 k1")
    assert [held(k).state for k in (0, 1)] == [0, 2]


def test_mprotect_of_what_is_not_mapped_fails() -> None:
    assert run("unmap m0.0", "load m0.1", lambda: KERNEL["sys_mprotect"](KERNEL["USER_ADDRESSES"][0], KERNEL["PAGE_SIZE"], 1)) == [
        -KERNEL["ENOMEM"]]


def test_a_store_may_fault_where_its_process_or_the_parent_of_that_has_forbidden_it() -> None:
    run("protect m0.0", "fork m0 m1", ("store m1.0", 7), "unprotect m0.0", ("store m0.0", 8), "load m0.0", "load m1.0")
    assert loads() == [8, 8, 0, 0]


# ---- mremap ----------------------------------------------------------------------------------------------------------------


def test_mremap_moves_the_pte_and_leaves_the_old_address_unmapped() -> None:
    run(("store m0.0", 7), lambda: pte(0), "mremap m0.0 m0.1", "load m0.1", "load m0.0")
    assert loads() == [7, 7] and pte(0) is None and M0.map_count == 2 and not M0.vma0.in_use
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "mremap m0.0 m0.1", "load m0.1", "read f0.0")
    assert loads() == [7] * 4 and pte(1)[0] is cached() and pte(1)[2] == 1 and cached()._mapcount.counter == 0 and F0._nr_mmap == 1


def test_mremap_unmaps_what_is_at_the_target() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.1", 7), "mremap m0.0 m0.1", "load m0.1")
    assert loads() == [BOOT_CONTENT] * 2 and (M0.anon_rss, M0.file_rss) == (0, 1)


def test_mremap_of_what_is_not_mapped_unmaps_the_target_and_fails() -> None:
    run("unmap m0.0", ("store m0.1", 7), "mremap m0.0 m0.1", "load m0.1", "load m0.2")
    assert loads() == [0, 0] and M0.map_count == 1


def test_mremap_to_itself_or_to_another_address_space_does_nothing() -> None:
    run(("store m0.0", 7), "fork m0 m1", "mremap m0.0 m0.0", "mremap m0.0 m1.1", "load m0.0")
    assert loads() == [7, 7] and M0.map_count == 3


def test_a_moved_vma_counts_as_looked_at_by_truncation_only_if_both_were() -> None:
    counts = run("mmap_shared m0.0 f0.0", lambda: KERNEL["unmap_mapping_range"](F0, KERNEL["PAGE_SIZE"], 0, 0), "load m0.0",
                 "mremap m0.0 m0.1", lambda: (F0._truncate_count, M0.vma1._vm_truncate_count))
    assert counts[-1] == (1, 0)


def test_mremap_moves_a_nonlinear_pte_and_its_list() -> None:
    run("mmap_shared m0.0 f0.0", "populate m0.0 f0.1", "mremap m0.0 m0.1", "load m0.1")
    assert loads() == [BOOT_CONTENT + 1] * 2 and M0.vma1.vm_flags & KERNEL["VM_NONLINEAR"]


def test_after_mremap_a_device_stores_to_the_page_at_its_new_address_and_a_protected_page_stays_protected() -> None:
    run(("store m0.0", 7), "pin m0.0 k0", "mremap m0.0 m0.1", ("store m0.1", 8), ("dma k0", 9), "load m0.1", "map m0.0", "load m0.0")
    assert loads() == [9, 9, 0, 0]
    run("protect m0.0", "mremap m0.0 m0.1", ("store m0.1", 7), "load m0.1", "unprotect m0.1", ("store m0.1", 8), "load m0.1")
    assert loads() == [0, 0, 8, 8]
# ---- direct writes from memory ---------------------------------------------------------------------------------------------


def test_a_direct_write_from_memory_sends_the_page_to_the_disk_and_drops_the_cached_one() -> None:
    run("read f0.0", ("store m0.0", 7), "direct_write_mapped m0.0 f0.0", "read f0.0")
    assert loads() == [BOOT_CONTENT] * 2 + [7] * 4 and disk() == (7, 7)
    assert pte()[0]._count.counter == 1 and pte()[0]._mapcount.counter == 0         # the pte: the references of the write are dropped


def test_a_direct_write_from_a_mapping_of_its_own_page_writes_what_was_stored_there_and_unmaps_it() -> None:
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), "direct_write_mapped m0.0 f0.0", lambda: pte(), "load m0.0")
    assert disk() == (7, 7) and loads() == [7] * 4
    assert run("mmap_shared m0.0 f0.0", "direct_write_mapped m0.0 f0.0", lambda: (pte(), cached())) == [(None, None)]


def test_a_direct_write_from_memory_to_a_hole_goes_through_the_cache() -> None:
    run("truncate f0 1", "truncate f0 3", ("store m0.0", 7), "direct_write_mapped m0.0 f0.0", "read f0.0")
    assert loads() == [7] * 4 and disk() == (7, 7) and cached() is not None


def test_a_direct_write_from_memory_that_is_not_there_writes_nothing() -> None:
    run("unmap m0.0", "direct_write_mapped m0.0 f0.0")
    assert disk() == (BOOT_CONTENT, BOOT_CONTENT)


# ---- readahead -------------------------------------------------------------------------------------------------------------


def test_readahead_starts_to_read_what_is_not_cached() -> None:
    run("read f0.0", "readahead f0", "load m0.0", "read f0.1")
    assert flags(cached(1)) == {"uptodate", "referenced", "lru"} and loads() == [BOOT_CONTENT] * 2 + [0, 0] + [BOOT_CONTENT + 1] * 2
    run("readahead f0", lambda: KERNEL["sys_readahead"](KERNEL["f0_file"], 0, 2 * KERNEL["PAGE_SIZE"]))
    assert F0._nrpages == 2


def test_readahead_stops_at_the_end_of_the_file_and_at_half_of_the_free_memory() -> None:
    run("truncate f0 2", "readahead f0")
    assert cached(0) is not None and cached(1) is None
    assert run(lambda: KERNEL["max_sane_readahead"](9)) == [4]


# ---- a server --------------------------------------------------------------------------------------------------------------


def test_revalidate_brings_what_the_server_has_to_readers_and_to_mappings() -> None:
    run("read f0.0", "mmap_shared m0.0 f0.0", "load m0.0", ("revalidate f0.0", 7), "load m0.0", "read f0.0", "direct_read f0.1")
    assert loads() == [BOOT_CONTENT] * 4 + [7] * 4
    assert [entry for entry in m.history if entry[0] == "server"]


def test_revalidate_changes_no_page_that_the_file_has_not() -> None:
    run("truncate f0 2", ("revalidate f0.1", 7), "truncate f0 3", ("revalidate f0.1", 8), "read f0.1")
    assert disk(1) == (BOOT_CONTENT + 1, BOOT_CONTENT + 1) and loads() == [0, 0]


def test_after_a_write_of_the_client_a_change_of_the_server_is_not_judged() -> None:
    run(("write f0.0", 7), ("revalidate f0.0", 8), "read f0.0")
    assert loads() == [7, 7] and disk() == (7, 7)           # the client's write reaches the server last
    run("mmap_shared m0.0 f0.0", ("store m0.0", 7), ("revalidate f0.1", 8), "load m0.0")
    assert loads() == [7, 7]                                # what the mapping has stored is written first


def test_a_pin_for_writing_makes_the_client_write_the_page() -> None:
    run("mmap_shared m0.0 f0.0", "pin m0.0 k0", ("revalidate f0.0", 7), "unpin k0", "load m0.0")
    assert loads() == [BOOT_CONTENT] * 2 and disk() == (BOOT_CONTENT, BOOT_CONTENT)     # the old value reaches the server last
    assert [entry for entry in m.history if entry[0] == "rewrite"]


def test_a_pin_of_the_setup_was_made_before_the_first_step_of_the_tasks() -> None:
    executor = Executor(FAMILY, "pre_2_6_15")
    made = tasks(["pin_read m0.0 k0", "store m0.0"], ["load_pin k0"])
    assert executor.run(executor.prepare(made), NoPreempt()).titles == []
    assert [entry[3:5] for entry in m.history if entry[0] == "load"] and all(entry[4] < 0 for entry in m.history if entry[0] == "load")
