# SPDX-License-Identifier: MIT
"""Where a run is in kernel source, cheaply enough for every plain access of a watched run: which kernel functions are on the
stack, and whether what they are at stands inside data_race().
"""

from __future__ import annotations

import ast
import functools
from typing import Any

from vmrace.harness.finding import Site

Span = tuple[str, int, int, int, int]       # file, line, column, last line, column after it
Stack = tuple[tuple[Any, int], ...]         # (code, instruction) of each kernel function, innermost first


def racy_spans(tree: ast.AST, path: str) -> set[Span]:
    """The lines inside data_race(...). `data_race(page).index = 0` marks the access to the field, which no call can stand around
    where it is a store."""
    return {(path, node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
            for node in ast.walk(tree) if isinstance(node, ast.expr)
            if _is_data_race(node) or (isinstance(node, ast.Attribute | ast.Subscript) and _is_data_race(node.value))}


def _is_data_race(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "data_race" and len(node.args) == 1


@functools.cache
def racy_spans_of_file(path: str) -> frozenset[Span]:
    """The same of a file that no linker has read; none if it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return frozenset(racy_spans(ast.parse(file.read()), path))
    except (OSError, SyntaxError, ValueError):
        return frozenset()


def is_excused(image: Any, frame: Any) -> bool:
    """True if the access that is made there, or a call on the way to it, stands inside data_race()."""
    while frame is not None:
        known = image.origin.get(frame.f_code)
        if known is not None:
            place = list(frame.f_code.co_positions())[frame.f_lasti // 2]
            if None not in place and any(_within(place, span[1:]) for span in racy_spans_of_file(known.path)):
                return True
        frame = frame.f_back
    return False


def _within(place: Any, span: tuple[int, int, int, int]) -> bool:
    line, end_line, column, end_column = place
    return span[:2] <= (line, column) and (end_line, end_column) <= span[2:]


class Source:
    """Of one image: which code is kernel source, and what in it stands inside data_race()."""

    def __init__(self, image: Any):
        self.origin = {id(code): known for code, known in image.origin.items()}
        self.spans: dict[str, list[tuple[int, int, int, int]]] = {}
        for path, *span in image.racy_spans:
            self.spans.setdefault(path, []).append(tuple(span))
        self.positions: dict[int, list[Any]] = {}
        self.excused: dict[tuple[int, int], bool] = {}

    def stack(self, frame: Any) -> Stack:
        """The kernel functions from here outwards, each with the instruction it is at; () if data_race() excuses them."""
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

    def _position(self, code: Any, at: int) -> Any:
        positions = self.positions.get(id(code))
        if positions is None:
            positions = self.positions[id(code)] = list(code.co_positions())
        return positions[at // 2]

    def _excused(self, code: Any, at: int) -> bool:
        place = self._position(code, at)
        return None not in place and any(_within(place, span) for span in self.spans.get(self.origin[id(code)].path, ()))

    def function(self, stack: Stack) -> str:
        """The innermost function that is no accessor, as in Machine.where."""
        names = [self.origin[id(code)] for code, _ in stack]
        return next((known.function for known in names if not known.kernel_file.startswith("include/")), names[0].function)

    def sites(self, stack: Stack) -> tuple[Site, ...]:
        """Outermost first."""
        known = [(self.origin[id(code)], self._position(code, at)[0] or 0) for code, at in reversed(stack)]
        return tuple(Site(origin.function, origin.path, line, origin.kernel_file) for origin, line in known)


def source_of(image: Any) -> Source:
    if "source" not in image.cache:
        image.cache["source"] = Source(image)
    return image.cache["source"]  # type: ignore[no-any-return]
