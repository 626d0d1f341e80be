# SPDX-License-Identifier: MIT
"""Each call of user space and each pin of invalidate_2_6 does its work for one task alone."""

from __future__ import annotations

from typing import Any

from vmrace.harness.machine.machine import m

from tests.variants.test_invalidate_2_6 import BOOT_CONTENT, F0, KERNEL, cached, flags, pte, run

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
