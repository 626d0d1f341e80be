# SPDX-License-Identifier: MIT
"""The results of a differential search: of a unit, and of a difference that was looked into. They are lines of a state file.

Variants are named by their numbers in the comparison.
"""

from __future__ import annotations

import msgspec
from vmrace.fuzz.compare.kinds import Kind
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.variants.program import Program


class Found(msgspec.Struct):
    """A difference: the variants that `can` reach the outcome, those that surely `cannot`, and those on which it was `not_seen`.

    `switches` and `forced` are the decisions of a run of `program` on the variant `on` that reaches it.
    """

    kind: Kind
    thing: Reached
    program: Program
    can: list[int]
    cannot: list[int]
    not_seen: list[int]
    on: int
    switches: list[int]
    forced: list[int]

    @property
    def pairs(self) -> set[tuple[int, int]]:
        """The pairs of a variant that reaches the outcome and one that does not, or was not seen to if none surely does not."""
        return {(one, other) for one in self.can for other in self.cannot or self.not_seen}


class UnitResult(msgspec.Struct, tag="unit"):
    """A unit that was run. `hunted`: the variant of a hunt, or -1; `title_runs` counts the runs of a hunt by title.

    `exhausted` are the variants on which every schedule of the program ran, `applying` those that have its operations. `lacks` has, for a
    pair of variants, the number of outcomes of the first that the second surely lacks; `unsure` are the pairs with outcomes of the first
    that were not seen on the second. `error`: an error of vmrace, or the death of a worker, that ended the unit.
    """

    number: int
    hunted: int = -1
    program: Program | None = None
    runs: int = 0
    applying: list[int] = []
    exhausted: list[int] = []
    lacks: list[tuple[int, int, int]] = []
    unsure: list[tuple[int, int]] = []
    found: list[Found] = []
    error: str = ""


class Reaches(msgspec.Struct):
    """The extent to which a variant reaches an outcome: in `count` of `schedules` schedules; `every`: these are all classes of them."""

    variant: int
    count: int
    schedules: int
    every: bool


class Decided(msgspec.Struct, tag="decided"):
    """The difference number `index` of the unit `number`, after it was looked into.

    `program` is shrunk, and still shows it; `sides` says how. `preemptions`, `schedule` and `elsewhere` (the outcome of the same
    schedule on each other variant) are of the witness, on the variant `on`. `entry` is the text of the minimal pair. Without any variant
    that `can`, the variants do not differ in it after all. `error`: it does not replay, or a worker died.
    """

    number: int
    index: int
    kind: Kind
    runs: int = 0
    program: Program | None = None
    outcome: str = ""
    can: list[int] = []
    cannot: list[int] = []
    not_seen: list[int] = []
    sides: list[Reaches] = []
    on: int = -1
    preemptions: int = 0
    least: bool = False
    schedule: list[str] = []
    elsewhere: list[tuple[int, str]] = []
    entry: str = ""
    error: str = ""

    @property
    def sure(self) -> bool:
        """True if some variant surely cannot reach the outcome."""
        return bool(self.can and self.cannot)

    @property
    def pairs(self) -> set[tuple[int, int]]:
        """The pairs of variants that it tells apart."""
        return {(one, other) for one in self.can for other in self.cannot}


Line = UnitResult | Decided
