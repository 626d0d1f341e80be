# SPDX-License-Identifier: MIT
"""Files, classes and functions stay small, and no module imports one that imports it."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = ("vmrace", "harness", "fuzz")
LINES_MAX, CLASS_MAX, FUNCTION_MAX = 450, 300, 70

FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_classes_and_functions_are_small(path: pathlib.Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            most = CLASS_MAX if isinstance(node, ast.ClassDef) else FUNCTION_MAX
            assert lines <= most, f"{node.name} at line {node.lineno} has {lines} lines"


def module(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in ("vmrace", *parts[parts[0] == "vmrace":]) if part != "__init__")


def imported(tree: ast.AST, known: dict[str, pathlib.Path]) -> Iterator[str]:
    """Generate every module that `tree` imports, at any place, except for imports that only the type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (full if (full := f"{node.module}.{alias.name}") in known else node.module for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            yield from imported(node, known)


def test_no_imports_form_a_circle() -> None:
    """Kernel source of variants is left out: its imports declare the functions that it calls, and are never run."""
    ours = [*FILES, *(ROOT / "variants").glob("*.py")]
    known = {module(path): path for path in ours}
    graph = {one: {other for other in imported(ast.parse(path.read_text()), known) if other in known and other != one}
             for one, path in known.items()}
    while leaves := [one for one, others in graph.items() if not others]:
        for leaf in leaves:
            del graph[leaf]
        graph = {one: others - {*leaves} for one, others in graph.items()}
    before = True
    while before:                                       # removes modules that only lead into a circle
        reached = {other for others in graph.values() for other in others}
        before = bool(graph.keys() - reached)
        graph = {one: others for one, others in graph.items() if one in reached}
    assert sorted(graph) == []
