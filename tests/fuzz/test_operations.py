# SPDX-License-Identifier: MIT
"""vmrace operations: every operation has a sentence, its operands, and a kernel function that is really called."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.programs.meaning import KINDS, meanings
from vmrace.variants.family import FAMILIES, family
from vmrace.variants.operations import OPERANDS, OPERATIONS

WORDS_MAX = 25


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_one_plain_sentence(name: str) -> None:
    meaning = OPERATIONS[name].meaning
    assert re.fullmatch(r"[A-Z][^.]*\.", meaning), meaning
    assert len(meaning.split()) <= WORDS_MAX
    assert len({operation.meaning for operation in OPERATIONS.values()}) == len(OPERATIONS)


def test_every_kind_of_operand_is_explained() -> None:
    assert KINDS.keys() == OPERANDS.keys()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_kernel_function_of_an_operation_is_one_of_the_image(name: str) -> None:
    made = family(name)
    told = {one.name: one for one in meanings(made)}
    image = made.link(next(iter(made.variants)))
    assert set(told) >= set(made.operations(image, next(iter(made.variants))))
    for one in told.values():
        assert callable(image[one.calls])
        assert one.calls not in ("enter", "current")
        assert one.kernel_file


def test_the_entry_points_are_those_a_kernel_person_expects() -> None:
    told = {one.name: one.calls for one in meanings(family("invalidate_2_6"))}
    for name, function in {"map": "do_mmap2", "exit": "exit_mm", "populate": "sys_remap_file_pages", "sync": "sys_fsync",
                           "invalidate2_page": "invalidate_inode_pages2_range", "lock": "find_lock_page"}.items():
        assert told[name] == function
    assert {one.name: one.calls for one in meanings(family("lru_free_2_4"))}["irq_unpin"] == "unmap_kiobuf"


@pytest.mark.parametrize("args", [(), *((name,) for name in FAMILIES)])
def test_the_operations_take_100_columns(args: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["operations", *args])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines if re.match(r"\S+   \d+ operations$", line)] == list(args or FAMILIES)
    assert "  NUMBER  1 .. 4        a small number" in lines


def test_an_unknown_family_is_refused_with_the_nearest_one() -> None:
    result = CliRunner().invoke(main, ["operations", "lru_free_2_5"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "vmrace: no family 'lru_free_2_5'. Did you mean lru_free_2_4?\n"
