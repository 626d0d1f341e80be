# SPDX-License-Identifier: MIT
"""Titles of findings follow a closed grammar, and only the module of kinds makes them."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest
from vmrace.harness.finding import Finding, Kind, kind_of

ROOT = pathlib.Path(__file__).parents[2]

GOOD = [
    "BUG at mm/page_alloc.c:95 in __free_pages_ok", "WARN at mm/filemap.c:12 in F", "PRINTK: text in F",
    "OOPS: NULL pointer dereference in shrink_cache", "double free in F", "use after free in F", "allocation of a linked object in F",
    "REFCOUNT: page.count below zero in F", "LIST: list_add of a linked page.lru in F", "LOCKDEP: lock order a -> b -> a",
    "SLEEP: sleeping in an interrupt in F", "LOCKSET: page.mapping touched without its lock in F", "RACE: field in F and G",
    "DEADLOCK: nobody can run: a in F", "LIVELOCK: F, G", "LEAK: orphan page", "INVARIANT: x", "DATA: a load returns an old value",
    "OOPS: a\nb in F",          # a user may name an exception so: see harness/printable.py
]
BAD = ["", "BUG", "bug at a.c:1 in F", "BUG at a.c in F", "BUG at a.c:1 in ", "LEAK:", "LEAK: ", "PANIC: x", "double free",
       "use after free in two words", "RACE x"]


@pytest.mark.parametrize("title", GOOD)
def test_a_title_of_the_grammar_makes_a_finding(title: str) -> None:
    assert Finding(title, "test").title == title


@pytest.mark.parametrize("title", BAD)
def test_a_title_outside_the_grammar_makes_no_finding(title: str) -> None:
    with pytest.raises(AssertionError, match="outside the grammar"):
        Finding(title, "test")


SOURCES = sorted(path for room in ("harness", "variants") for path in (ROOT / room).rglob("*.py")
                 if path.name not in ("table.py", "finding.py"))


@pytest.mark.parametrize(("title", "kind"), [
    ("BUG at mm/page_alloc.c:95 in f", Kind.BUG), ("double free in f", Kind.DOUBLE_FREE),
    ("allocation of a linked object in f", Kind.LINKED),
    ("OOPS: a\nb in F", Kind.OOPS), ("LEAK: orphan page", Kind.LEAK), ("LEAK", None), ("PANIC: x", None)])
def test_a_title_begins_with_the_kind_of_its_finding(title: str, kind: Kind | None) -> None:
    assert kind_of(title) is kind
    if kind is not None:
        assert Finding(title, "test").kind is kind and kind.title(title.removeprefix(kind.value).strip()) == title


def titles_in(path: pathlib.Path) -> list[str]:
    """Return the string literals of a file that begin like a title, with X for each value in an f-string."""
    out = []
    tree = ast.parse(path.read_text())
    pieces = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in pieces:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if re.match(r"(BUG at|WARN at|double free|use after free|allocation of|[A-Z]{4,}: )", text):
            out.append(text)
    return out


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_kinds_of_finding_make_titles(path: pathlib.Path) -> None:
    assert [title for title in titles_in(path) if "\n" not in title] == []
