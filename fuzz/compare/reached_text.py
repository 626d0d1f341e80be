# SPDX-License-Identifier: MIT
"""The outcome of a run, in words."""

from __future__ import annotations

from vmrace.fuzz.run.exhaustive import Reached


def text_of(thing: Reached) -> str:
    """Write an outcome in one line: the title of its finding, or else the results of its operations, its loads, and the states of the
    pages that are not free."""
    if thing.titles:
        return "; ".join(thing.printed or thing.titles)
    return "; ".join([*thing.returned, *_loads(thing.values), *_pages(thing.pages)]) or "no finding"


def _loads(values: tuple[str, ...]) -> list[str]:
    """Write `load m0.0 = 3` if both words of a page are 3; write both words if they differ."""
    out = []
    for value in values:
        name, _, loaded = value.partition(" = ")
        if name.endswith(".0") and f"{name[:-1]}1 = {loaded}" in values:
            out.append(f"{name[:-2]} = {loaded}")
        elif not (name.endswith(".1") and f"{name[:-1]}0 = {loaded}" in values):
            out.append(value)
    return out


def _pages(classes: tuple[str, ...]) -> list[str]:
    """Describe the pages that are not free."""
    out = []
    for text in classes:
        number, _, what = text.rpartition(" x ")
        if what in ("FREE", "0 FREE"):
            continue
        pages = f"{number} pages" if number else "a page"
        count, _, words = what.partition(" ")
        if count.isdigit():
            out.append(f"{pages} with count {count}{', ' if words else ''}{words}")
        else:
            out.append(f"{pages} {what or 'of nothing'}")
    return out or ["all pages free"] * bool(classes)
