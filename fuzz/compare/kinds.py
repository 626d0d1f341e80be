# SPDX-License-Identifier: MIT
"""The kind of a difference: what is new in an outcome, without the names of its program.

A search compares thousands of programs, and most differences have the same cause. Two differences are of one kind if the outcome has the
same finding; or else if the first of these parts that no outcome of the other variant has is the same: the results of operations, the
loads, the final states of pages. If several results, loads or states are new, the first one counts, so that a larger program adds no kind.
Tasks, operands and stored values are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vmrace.fuzz.compare.outcomes import Difference
from vmrace.fuzz.run.exhaustive import Reached

FINDING, RESULT, LOAD, PAGES, TOGETHER = "finding", "result", "load", "pages", "together"

WORDS = {FINDING: "", RESULT: "result of an operation: ", LOAD: "", PAGES: "final state of pages: ", TOGETHER: ""}


class Kind(NamedTuple):
    """A kind of difference: the part of the outcome that is new, and its text."""

    part: str
    text: str

    def __str__(self) -> str:
        return f"{WORDS[self.part]}{self.text}"


def kind_of(difference: Difference) -> Kind:
    """Return the kind of a difference. The outcomes of all variants that lack the outcome count: of those that ran every schedule, if
    there are any."""
    thing = difference.thing
    if thing.titles:
        return Kind(FINDING, "; ".join(thing.titles))
    lacking = [side for side in difference.lacking if side.complete] or difference.lacking
    others = [other for side in lacking for other in side.reached if not other.titles]
    for part, of, plain in PARTS:
        if of(thing) not in map(of, others):
            known = {plain(item) for other in others for item in of(other)}
            new = sorted({plain(item) for item in of(thing)} - known)
            return Kind(part, new[0] if new else "; ".join(sorted(set(map(plain, of(thing))))) or "none")
    return Kind(TOGETHER, "results, loads and final states that occur one by one")


def _result(item: str) -> str:
    """Shorten `cpu0 read f0.0 = -ENOMEM` to `read = -ENOMEM`."""
    what, _, value = item.partition(" = ")
    return f"{what.split()[1]} = {value}"


def _load(item: str) -> str:
    """Shorten `2 x load m0.0.1 = 3` to `load = a stored value`."""
    what, _, value = item.partition("load ")[2].partition(" = ")
    kind = "disk load" if "disk load" in item else "load"
    return f"{kind} of {'a file' if what.startswith('f') else 'memory'} = {'0' if value == '0' else 'a stored value'}"


def _page(item: str) -> str:
    return item.rpartition(" x ")[2] or "of nothing"


PARTS: Sequence[tuple[str, Callable[[Reached], tuple[str, ...]], Callable[[str], str]]] = (
    (RESULT, lambda one: one.returned, _result), (LOAD, lambda one: one.values, _load), (PAGES, lambda one: one.pages, _page))
