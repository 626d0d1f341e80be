# SPDX-License-Identifier: MIT
"""The meaning of each operation of a family: its sentence, its operands, and the kernel function that it calls.

The sentence and the operands are those of the shared interface (variants/operations.py). The kernel function is read from the
family's own `op_NAME`, so it cannot differ from what runs.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.text.terminal import COLUMNS
from vmrace.fuzz.text.wording import count
from vmrace.harness.link.image import Image
from vmrace.harness.link.linker import files_of
from vmrace.variants.family import Family
from vmrace.variants.operations import OPERANDS, OPERATIONS

ENTER = "enter"         # the helper of op_NAME that lets a process go which is exiting: not what the operation is about
WIDE = 34               # columns of an operation and its operands
KINDS = {"mm": "an address space", "page": "a page of an address space", "file": "a file", "fpage": "a page of a file",
         "pin": "a reference that is kept for a while", "number": "a small number"}


@dataclass(frozen=True)
class Meaning:
    """One operation of a family. `calls`: the kernel function that it calls first; `kernel_file`: where that is in the real tree.
    `lacking`: the variants that do not have it."""

    name: str
    operands: tuple[str, ...]
    meaning: str
    calls: str
    kernel_file: str
    lacking: tuple[str, ...]


def meanings(family: Family) -> list[Meaning]:
    """Return every operation that a variant of the family has, in the order of the shared interface."""
    base = family.link(next(iter(family.variants)))
    having = {variant: set(family.operations(base, variant)) for variant in family.variants}
    files = {origin.function: origin.kernel_file for origin in base.origin.values()}
    entries = EntryPoints(family, base)
    out = []
    for name, operation in OPERATIONS.items():
        lacking = tuple(variant for variant, names in having.items() if name not in names)
        if len(lacking) < len(having):
            calls = entries.of(name)
            out.append(Meaning(name, operation.operands, operation.meaning, calls, files[calls], lacking))
    return out


class EntryPoints:
    """The kernel functions that the operations of a family call, by its modules of operations."""

    def __init__(self, family: Family, image: Image):
        self.image = image
        self.helpers: dict[str, ast.FunctionDef] = {}
        self.kernel: set[str] = set()
        for path in files_of(family.tail):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef):
                    self.helpers[node.name] = node
                elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vmrace.variants."):
                    self.kernel |= {alias.name for alias in node.names if self._is_function(alias.name)}
        self.kernel -= self.helpers.keys()          # the modules of operations import from each other

    def _is_function(self, name: str) -> bool:
        return hasattr(self.image.namespace.get(name), "__code__")

    def of(self, operation: str) -> str:
        """Return the first kernel function on the way of an operation; of an exit, which has no other, the one that ends a process."""
        reached = list(self._reached(f"op_{operation}", {ENTER})) or list(self._reached(f"op_{operation}", set()))
        assert reached, f"op_{operation} calls no kernel function"
        return reached[0]

    def _reached(self, helper: str, seen: set[str]) -> Iterator[str]:
        seen.add(helper)
        names = [node for node in ast.walk(self.helpers[helper]) if isinstance(node, ast.Name)]
        for node in sorted(names, key=lambda node: (node.lineno, node.col_offset)):
            if node.id in self.helpers:             # also if another module of operations imports it
                if node.id not in seen:
                    yield from self._reached(node.id, seen)
            elif node.id in self.kernel:
                yield node.id


def lines(family: Family, told: list[Meaning]) -> list[str]:
    """Return a few lines for each operation, at most 100 columns wide."""
    out = [f"{family.name}   {count(len(told), 'operation')}", ""]
    for one in told:
        head = "  " + " ".join([one.name, *(kind.upper() for kind in one.operands)])
        texts = [one.meaning, f"calls {one.calls}, {one.kernel_file}"]
        if one.lacking:
            texts.append(f"not in {', '.join(one.lacking)}")
        wrapped = [line for text in texts for line in textwrap.wrap(text, COLUMNS - WIDE - 2, break_on_hyphens=False)]
        for number, line in enumerate(wrapped):
            out.append(f"{head if not number else '':<{WIDE}}{line}")
    return [*out, ""]


def operand_lines() -> list[str]:
    """Return the kinds of operands, and the first and the last of each."""
    return ["operands", "", *(f"  {kind.upper():<8}{of[0] + ' .. ' + of[-1]:<14}{KINDS[kind]}" for kind, of in OPERANDS.items())]


def as_json(family: Family, told: list[Meaning]) -> dict[str, Any]:
    """Return the operations of a family for JSON, each operand with its whole range."""
    return {"family": family.name, "operations": [
        {"name": one.name, "operands": [{"kind": kind, "range": list(OPERANDS[kind])} for kind in one.operands], "meaning": one.meaning,
         "calls": one.calls, "kernel_file": one.kernel_file, "lacking": list(one.lacking)} for one in told]}
