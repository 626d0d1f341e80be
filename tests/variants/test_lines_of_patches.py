# SPDX-License-Identifier: MIT
"""The lines of checks that a patch moves: titles have those of the patched file, and one identity on all variants."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from vmrace.fuzz.campaign import status
from vmrace.fuzz.compare import outcomes
from vmrace.fuzz.compare.outcomes import contenders
from vmrace.fuzz.compare.reached_text import text_of
from vmrace.fuzz.corpus.verdict import bug
from vmrace.fuzz.verify.scope_document import Row, rows_of, written
from vmrace.harness.link.linker import files_of
from vmrace.variants.family import FAMILIES, Family, family, identity

BASE, PATCHED = "lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count"
MOVED = [(f"{name}/{variant.name}", file) for name in FAMILIES for variant in family(name).variants.values() for file in variant.lines]


def checks(path: pathlib.Path) -> Iterator[tuple[str, int]]:
    """Yield the kernel file and the line of each BUG(), and of each use of a macro that may hold one."""
    file = ""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__FILE__":
            assert isinstance(node.value, ast.Constant)
            file = node.value.value
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and call.args and isinstance(call.args[-1], ast.Constant) and type(call.args[-1].value) is int:
                yield file, call.args[-1].value


def lines_in(modules: tuple[str, ...], file: str) -> set[int]:
    return {line for path in files_of(modules) for name, line in checks(path) if name == file}


@pytest.mark.parametrize(("name", "file"), MOVED)
def test_a_table_of_moved_lines_names_checks_of_the_base_and_none_twice(name: str, file: str) -> None:
    owner, _, variant = name.partition("/")
    found: Family = family(owner)
    lines = found.variants[variant].lines[file]
    assert len(set(lines.values())) == len(lines)
    assert set(lines.values()) <= lines_in(found.base, file)
    added = lines_in(found.variants[variant].modules, file) - set(lines)
    assert not added & set(lines.values()), "a check that the patch adds would have the title of another one of the base"


def test_a_check_outside_the_patch_is_printed_with_the_line_of_the_patched_file() -> None:
    image = family("lru_free_2_4").link("daniel_lru_count")
    lines = {origin.function: origin for origin in image.origin.values()}
    assert image.line_of(lines["refill_inactive"], 552) == 550
    assert image.line_of(lines["rmqueue"], 231) == 222
    assert image.line_of(lines["swap_out_vma"], 239) == 239
    assert image.line_of(lines["can_share_swap_page"], 264) == 264
    base = family("lru_free_2_4").link("pre_patch")
    assert base.line_of({origin.function: origin for origin in base.origin.values()}["refill_inactive"], 552) == 552


def test_one_check_has_one_identity_on_both_kernels() -> None:
    assert identity(PATCHED, "BUG at mm/page_alloc.c:91 in __free_pages_ok") == "BUG at mm/page_alloc.c:100 in __free_pages_ok"
    assert identity(BASE, "BUG at mm/page_alloc.c:100 in __free_pages_ok") == "BUG at mm/page_alloc.c:100 in __free_pages_ok"
    line_95 = "BUG at mm/page_alloc.c:95 in __free_pages_ok"        # in an interrupt; with the patch: no valid page
    assert identity(PATCHED, line_95) != identity(BASE, line_95)
    assert identity(PATCHED, "double free in __free_pages_ok") == "double free in __free_pages_ok"
    assert identity("no_family/none", "double free in f") == "double free in f"


def test_a_table_of_small_scopes_has_one_letter_for_a_check_and_a_line_for_each_of_its_titles() -> None:
    rows = [Row(BASE, "--size 1 --cpus 1", None, 1, 1, 0, ("BUG at mm/page_alloc.c:100 in __free_pages_ok",)),
            Row(PATCHED, "--size 1 --cpus 1", None, 0, 2, 0, ("BUG at mm/page_alloc.c:91 in __free_pages_ok", "double free in f"))]
    text = written(rows)
    assert "| `pre_patch` | 1 proved, 1 BUG (a) |" in text and "| `daniel_lru_count` | 0 proved, 2 BUG (a b) |" in text
    assert "- **a** BUG at mm/page_alloc.c:91 in __free_pages_ok `daniel_lru_count`" in text and "- **b** double free in f\n" in text
    assert sorted(rows_of(text), key=lambda row: row.variant) == sorted(rows, key=lambda row: row.variant)


def test_an_entry_of_one_kernel_makes_the_title_of_the_other_known(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    title = "BUG at mm/page_alloc.c:91 in __free_pages_ok"
    kept = SimpleNamespace(path=tmp_path, family="lru_free_2_4", found_on=BASE, title="BUG at mm/page_alloc.c:100 in __free_pages_ok",
                           expect={"daniel_lru_count": bug(title)})
    monkeypatch.setattr(status, "load_all", lambda corpus: ([kept], []))
    options: Any = SimpleNamespace(corpus=tmp_path, family="lru_free_2_4", variant="daniel_lru_count")
    assert status.known_titles(options)[0] == {title: tmp_path}
    kept.expect = {"daniel_lru_count": bug("BUG at mm/page_alloc.c:95 in __free_pages_ok")}
    assert not status.known_titles(options)[0]


def test_a_diff_compares_findings_by_their_identity() -> None:
    sides = contenders([(family("lru_free_2_4"), "pre_patch"), (family("lru_free_2_4"), "daniel_lru_count")])
    titles = [f"BUG at mm/page_alloc.c:{line} in __free_pages_ok" for line in (100, 91)]
    base, patched = (outcomes._finding(side, title) for side, title in zip(sides, titles, strict=True))
    assert base == patched and text_of(base) != text_of(patched)
