# SPDX-License-Identifier: MIT
"""The totals of a differential search: which differences are known, what is worth looking into, and which variant includes which.

Results are added in the order of their units, so the totals are a function of the seed and of the number of units.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vmrace.fuzz.compare.found import Decided, Found, UnitResult
from vmrace.fuzz.compare.kinds import FINDING, RESULT, Kind

TRIES_MAX = {True: 6, False: 3}     # differences of one kind that are looked into: of findings, of others

Pair = tuple[int, int]              # a variant that reaches an outcome, and one that does not


@dataclass
class Row:
    """The differences of one kind. `programs` counts those that show it, `pairs` are the variants told apart by those that were kept.

    `undecided` has those that were looked into, without a variant that surely lacks the outcome; `alike` counts those in which the
    variants did not differ after all.
    """

    kind: Kind
    programs: int = 0
    pairs: set[Pair] = field(default_factory=set)
    tries: int = 0
    kept: list[Decided] = field(default_factory=list)
    undecided: list[Decided] = field(default_factory=list)
    alike: int = 0


@dataclass
class Totals:
    """The counts of a search. `lacks` counts, for each pair of variants, the programs in which the first reaches an outcome that the
    second surely lacks; `exhausted_on` those that were exhausted on both, `unsure` those in which it is not certain that the second
    reaches all outcomes of the first."""

    units: int = 0
    programs: int = 0
    exhausted: int = 0
    sampled: int = 0
    not_compared: int = 0
    hunts: int = 0
    runs: int = 0
    rows: dict[Kind, Row] = field(default_factory=dict)
    lacks: Counter[Pair] = field(default_factory=Counter)
    exhausted_on: Counter[Pair] = field(default_factory=Counter)
    unsure: Counter[Pair] = field(default_factory=Counter)
    kept: list[Decided] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, unit: UnitResult) -> None:
        """Add a unit, without its differences."""
        self.units += 1
        self.runs += unit.runs
        if unit.error:
            self.errors.append(f"{'hunt' if unit.hunted >= 0 else 'program'} {unit.number}: {unit.error}")
        if unit.hunted >= 0:
            self.hunts += 1
            return
        if unit.error or len(unit.applying) < 2:
            self.not_compared += 1
            return
        self.programs += 1
        whole = len(unit.exhausted) == len(unit.applying)
        self.exhausted += whole
        self.sampled += not whole
        self.exhausted_on.update((one, other) for one in unit.exhausted for other in unit.exhausted if one != other)
        self.lacks.update((one, other) for one, other, _ in unit.lacks)
        self.unsure.update(unit.unsure)

    def wants(self, found: Found) -> bool:
        """Count a difference, and return True if it is worth looking into: it is of a new kind, or between other variants.

        Loads and final states that only samples show on one side are not: samples differ in those all the time.
        """
        row = self.rows.setdefault(found.kind, Row(found.kind))
        row.programs += 1
        if not found.pairs - row.pairs or row.tries >= TRIES_MAX[found.kind.part == FINDING]:
            return False
        return bool(found.cannot) or found.kind.part in (FINDING, RESULT)

    def decided(self, one: Decided, found: Found) -> bool:
        """Add a difference that was looked into, as it was found. True if it is a new one, to be kept."""
        row = self.rows[one.kind]
        row.tries += 1
        self.runs += one.runs
        if one.error:
            self.errors.append(f"{one.kind}: {one.error}")
        elif not one.can:
            row.alike += 1
        elif not one.sure:
            row.undecided.append(one)
        elif one.pairs - row.pairs:
            if not found.cannot:            # its unit has not shown it for certain, so `add` has not counted it
                self.lacks.update(one.pairs)
            row.pairs |= one.pairs
            row.kept.append(one)
            self.kept.append(one)
            return True
        return False

    @property
    def open(self) -> list[Row]:
        """The kinds of findings and results that were seen on one side only, and told no variants apart for certain."""
        return [row for row in self.rows.values() if row.undecided and not row.kept]

    def witness(self, pair: Pair) -> int:
        """Return the number of the first kept difference between two variants, counted from 1; 0 if there is none."""
        return next((number for number, one in enumerate(self.kept, 1) if pair in one.pairs), 0)
