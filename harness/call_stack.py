# SPDX-License-Identifier: MIT
"""The call stack of a run, in kernel source: the kernel functions on it, and whether any of them is inside data_race() just now.

It is cheap enough for every plain access of a watched run.
"""

from __future__ import annotations

import ast
import functools
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from vmrace.harness.finding import Site

if TYPE_CHECKING:
    from vmrace.harness.link.image import Image, Origin

Span = tuple[str, int, int, int, int]       # file, first line, column, last line, column after the end
Place = tuple[int | None, int | None, int | None, int | None]       # line, last line, column, column after the end, as Python has them
Stack = tuple[tuple[CodeType, int], ...]    # (code, instruction) of each kernel function, innermost first


def racy_spans(tree: ast.AST, path: str) -> set[Span]:
    """Return the spans of source inside data_race(...).

    `data_race(page).index = 0` marks the store to the field, because no call can stand around a store.
    """
    return {(path, node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
            for node in ast.walk(tree) if isinstance(node, ast.expr)
            if _is_data_race(node) or (isinstance(node, ast.Attribute | ast.Subscript) and _is_data_race(node.value))}


def _is_data_race(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "data_race" and len(node.args) == 1


@functools.cache
def racy_spans_of_file(path: str) -> frozenset[Span]:
    """Return the same for a file that no linker has read; nothing if the file cannot be read or parsed."""
    try:
        with open(path, encoding="utf-8") as file:
            return frozenset(racy_spans(ast.parse(file.read()), path))
    except (OSError, SyntaxError, ValueError):
        return frozenset()


def is_excused(image: Image, frame: FrameType | None) -> bool:
    """True if the access that `frame` makes, or a call on the way to it, is inside data_race()."""
    while frame is not None:
        known = image.origin.get(frame.f_code)
        if known is not None:
            place = list(frame.f_code.co_positions())[frame.f_lasti // 2]
            if any(_within(place, span[1:]) for span in racy_spans_of_file(known.path)):
                return True
        frame = frame.f_back
    return False


def _within(place: Place, span: tuple[int, int, int, int]) -> bool:
    """True if `place` is inside `span`; false if Python does not know the place."""
    line, end_line, column, end_column = place
    if line is None or end_line is None or column is None or end_column is None:
        return False
    return span[:2] <= (line, column) and (end_line, end_column) <= span[2:]


class Source:
    """The kernel source of one image: its code, and the spans inside data_race()."""

    def __init__(self, image: Image):
        self.origin: dict[int, Origin] = {id(code): known for code, known in image.origin.items()}
        self.spans: dict[str, list[tuple[int, int, int, int]]] = {}
        for path, *span in image.racy_spans:
            line, column, end_line, end_column = span
            self.spans.setdefault(path, []).append((line, column, end_line, end_column))
        self.positions: dict[int, list[Place]] = {}
        self.excused: dict[tuple[int, int], bool] = {}

    def stack(self, frame: FrameType | None) -> Stack:
        """Return the kernel functions from `frame` outwards, each with its present instruction; () if data_race() excuses one."""
        out = []
        while frame is not None:
            code = frame.f_code
            if id(code) in self.origin:
                here = (id(code), frame.f_lasti)
                excused = self.excused.get(here)
                if excused is None:
                    excused = self.excused[here] = self._excused(code, frame.f_lasti)
                if excused:
                    return ()
                out.append((code, frame.f_lasti))
            frame = frame.f_back
        return tuple(out)

    def _position(self, code: CodeType, at: int) -> Place:
        positions = self.positions.get(id(code))
        if positions is None:
            positions = self.positions[id(code)] = list(code.co_positions())
        return positions[at // 2]

    def _excused(self, code: CodeType, at: int) -> bool:
        place = self._position(code, at)
        return any(_within(place, span) for span in self.spans.get(self.origin[id(code)].path, ()))

    def function(self, stack: Stack) -> str:
        """Return the innermost function that is not an accessor, as Machine.where does."""
        names = [self.origin[id(code)] for code, _ in stack]
        return next((known.function for known in names if not known.kernel_file.startswith("include/")), names[0].function)

    def sites(self, stack: Stack) -> tuple[Site, ...]:
        """Return the places of a stack, outermost first."""
        known = [(self.origin[id(code)], self._position(code, at)[0] or 0) for code, at in reversed(stack)]
        return tuple(Site(origin.function, origin.path, line, origin.kernel_file) for origin, line in known)


def source_of(image: Image) -> Source:
    """Return the kernel source of `image`, made at the first call and kept in its cache."""
    source = image.cache.get("source")
    if source is None:
        source = image.cache["source"] = Source(image)
    assert isinstance(source, Source), source
    return source
