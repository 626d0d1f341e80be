# SPDX-License-Identifier: MIT
"""Where a run is in kernel source, cheaply enough for every plain access of a watched run: which kernel functions are on the
stack, and whether what they are at stands inside data_race().
"""

from __future__ import annotations

from typing import Any

from harness.finding import Site

Stack = tuple[tuple[Any, int], ...]         # (code, instruction) of each kernel function, innermost first


class Source:
    """Of one image: which code is kernel source, and what in it stands inside data_race()."""

    def __init__(self, image: Any):
        self.origin = {id(code): known for code, known in image.origin.items()}
        self.spans: dict[str, list[tuple[tuple[int, int], tuple[int, int]]]] = {}
        for path, line, column, end_line, end_column in image.racy_spans:
            self.spans.setdefault(path, []).append(((line, column), (end_line, end_column)))
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
        line, end_line, column, end_column = self._position(code, at)
        if None in (line, end_line, column, end_column):
            return False
        return any(start <= (line, column) and (end_line, end_column) <= end
                   for start, end in self.spans.get(self.origin[id(code)].path, ()))

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
