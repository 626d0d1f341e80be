# SPDX-License-Identifier: MIT
"""What one variant can do that another cannot: the outcomes that each can reach with a program, compared as sets.

An outcome is a finding, or, of a run without one, what user space saw and what the pages ended as. How many references a page
has then is not part of it unless asked for: a patch that lets the LRU list hold one would differ in every program.

Where every schedule of a program fits the budget (`Side.complete`), what is not among a variant's outcomes cannot happen. Where
it does not, schedules are sampled as well, and what was not seen may still be possible: nothing is said to be impossible on
such a side. What was reached was reached, on either: a set that is known to be whole is included in any set that was seen to
have its outcomes.

Leaks and unsynchronised accesses are not looked for. Variants of different families are compared by findings and by what user
space loaded from anonymous memory: what pages are is told in terms of each kernel, and not every family knows what is in a file.
"""

from __future__ import annotations

import pathlib
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, SetupFailed
from vmrace.fuzz.run.exhaustive import Explorer, Reached
from vmrace.harness.errors import HarnessError
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.incomplete import Incomplete
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.variants.family import Family
from vmrace.variants.program import Program

MAP_FILES = ("mmap_private", "mmap_shared", "populate")     # operations that let an address show a page of a file
SAMPLE = 1000                   # random schedules of a program, where not every schedule fits
DIFFERENT, SAME, INCONCLUSIVE, NOT_COMPARED = "different", "same", "inconclusive", "n/a"


@dataclass
class Budget:
    """For each program and variant."""

    seconds: float = 10.0
    runs: int = 1 << 60
    sample: int = SAMPLE


class Contender:
    """A variant under its name in this comparison. `pages`: what the pages ended as is part of an outcome; `counts`: with their
    reference counts."""

    def __init__(self, family: Family, variant: str, name: str, pages: bool = True, counts: bool = False):
        self.family, self.variant, self.name, self.pages, self.counts = family, variant, name, pages, counts
        self.explorer = Explorer(family, variant)
        self.executor: Executor = self.explorer.executor
        self.executor.only("")

    @property
    def full_name(self) -> str:
        return f"{self.family.name}/{self.variant}"


def contenders(chosen: Sequence[tuple[Family, str]], counts: bool = False) -> list[Contender]:
    """With the shortest names that tell them apart."""
    one_family = len({family.name for family, _ in chosen}) == 1
    names: list[str] = []
    for family, variant in chosen:
        name = variant if one_family else f"{family.name}/{variant}"
        count = sum(other.partition("#")[0] == name for other in names)
        names.append(f"{name}#{count + 1}" if count else name)
    return [Contender(family, variant, name, one_family, counts) for (family, variant), name in zip(chosen, names, strict=True)]


@dataclass
class Reach:
    """How an outcome is reached: by how many of the schedules that ran, and by one with so few preemptions. `least`: no schedule
    has fewer."""

    count: int = 0
    preemptions: int = 1 << 30
    switches: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    least: bool = False


@dataclass
class Side:
    """What one variant reaches with one program. `distinct` schedules were explored, `sampled` were random ones."""

    contender: Contender
    reached: dict[Reached, Reach] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    why: Incomplete | None = None
    distinct: int = 0
    sampled: int = 0
    digest: str = ""
    setup_fails: bool = False

    @property
    def name(self) -> str:
        return self.contender.name

    @property
    def applies(self) -> bool:
        return not self.missing

    @property
    def complete(self) -> bool:
        """Every schedule ran: what is not in `reached` cannot be reached."""
        return self.applies and not self.why

    @property
    def state(self) -> str:
        return "n/a" if not self.applies else "sampled" if self.why else "every schedule"

    @property
    def schedules(self) -> int:
        return self.distinct + self.sampled


# ---- what one variant reaches -----------------------------------------------------------------------------------------------

def look(contender: Contender, program: Program, budget: Budget) -> Side:
    """All that a variant reaches with a program; or, if that does not fit the budget, what was seen."""
    side = Side(contender, missing=contender.executor.lacks(program))
    if not side.applies:
        return side
    contender.executor.only("")
    found = contender.explorer.explore(program, states=True, runs_max=budget.runs, seconds_max=budget.seconds)
    side.why, side.distinct, side.digest = found.why, found.classes, found.digest
    try:
        prepared = contender.executor.prepare(program)
    except SetupFailed as failed:
        side.setup_fails = True
        side.reached[Reached((failed.finding.title,))] = Reach(0, 0, least=True)
        return side
    _take(side, found, prepared)
    if side.why:
        _sample(side, prepared, budget)
    return side


def _take(side: Side, found: Exploration, prepared: Prepared) -> None:
    """The outcomes of an exploration, each as its run shows it when it is simply replayed."""
    executor = side.contender.executor
    for key, seen in found.outcomes.items():
        assert isinstance(key, Reached)
        exact = found.complete and seen.least
        outcome = executor.replay(prepared, seen.switches, seen.forced, lenient=not found.complete)
        shown = things(side.contender, prepared, outcome)
        for thing in _parts(key, side.contender, prepared.program):
            if thing not in shown:
                if found.complete:
                    raise HarnessError(f"explored {thing} does not replay on {side.contender.full_name}: {[str(one) for one in shown]}")
                continue                # a run that was not followed to its end
            reach = side.reached.get(thing)
            if reach is None:
                side.reached[thing] = Reach(seen.classes, seen.preemptions, seen.switches, seen.forced, exact)
                continue
            reach.count += seen.classes
            reach.least &= exact
            if seen.preemptions < reach.preemptions:
                reach.preemptions, reach.switches, reach.forced = seen.preemptions, seen.switches, seen.forced


def _parts(reached: Reached, contender: Contender, program: Program) -> list[Reached]:
    """Outcomes as they are compared: each finding by itself."""
    if reached.titles:
        return [Reached((title,)) for title in reached.titles]
    if not contender.pages:
        return [Reached((), tuple(value for value in reached.values if _of_memory(value, program)))]
    pages: Counter[str] = Counter()
    for text in reached.pages:
        count, _, what = text.rpartition(" x ")
        pages[what if contender.counts else _uncounted(what)] += int(count or 1)
    return [Reached((), reached.values, _counted(pages))]


def _of_memory(value: str, program: Program) -> bool:
    """Is it a load of a page that no operation of the program can map a file at?"""
    place = value.partition("load ")[2].split(".")
    mapped = {op.operands[0].partition(".")[2] for line in (program.setup, *(task.ops for task in program.tasks)) for op in line
              if op.name in MAP_FILES}
    return not place[0].startswith("mf") and place[1].split()[0] not in mapped


def _uncounted(what: str) -> str:
    """What a page is, without how many references it has: families tell that first."""
    return what.partition(" ")[2]


def things(contender: Contender, prepared: Prepared, outcome: Outcome) -> list[Reached]:
    """What the run just made came to; nothing if it was cut short."""
    if outcome.findings:
        return [Reached((title,)) for title in dict.fromkeys(outcome.titles)]
    if outcome.limit_hit or m.cut:
        return []
    loads = Counter(f"load {_place(who, where)} = {value}" for what, who, where, value, *_ in m.history if what == "load")
    pages = Counter(contender.family.describe(prepared.image).values())
    return _parts(Reached((), _counted(loads), _counted(pages)), contender, prepared.program)


def _place(who: Any, where: Any) -> str:
    return f"m{who}.{'.'.join(str(part) for part in where)}" if isinstance(where, tuple) else f"m{who}"


def _counted(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(f"{count} x {text}" if count > 1 else text for text, count in sorted(counts.items()))


def _sample(side: Side, prepared: Prepared, budget: Budget) -> None:
    """Random schedules, the same ones each time. Of a run with findings the first one counts: what follows may follow from it."""
    executor = side.contender.executor
    deadline = time.monotonic() + budget.seconds
    rng = random.Random(0)
    outcome = executor.run(prepared, NoPreempt())
    points = max(outcome.steps, 2)
    schedulers: list[Scheduler] = [Walk(rng, 0.05), Pct(rng, 2, points), Walk(rng, 0.2), Pct(rng, 3, points)]
    while True:
        side.sampled += 1
        for thing in things(side.contender, prepared, outcome)[:1]:
            reach = side.reached.setdefault(thing, Reach())
            reach.count += 1
            if outcome.preemptions < reach.preemptions:
                reach.preemptions, reach.switches, reach.forced = outcome.preemptions, list(outcome.switches), list(outcome.forced)
        if side.sampled >= min(budget.sample, budget.runs) or time.monotonic() > deadline:
            return
        outcome = executor.run(prepared, schedulers[side.sampled % len(schedulers)])


# ---- sets against each other -------------------------------------------------------------------------------------------------

@dataclass
class Relation:
    """Of all that `left` reaches: what `right` was not seen to reach. `sure`: what is said here is so, and not just as far as
    it was seen: `right` cannot do these things, or does all that `left` can."""

    left: Side
    right: Side
    only: list[Reached]

    @property
    def sure(self) -> bool:
        return self.right.complete if self.only else self.left.complete


def relation(left: Side, right: Side) -> Relation:
    return Relation(left, right, [thing for thing in left.reached if thing not in right.reached])


@dataclass
class Difference:
    """An outcome that some sides reach and others were not seen to. `sure` if one of these cannot."""

    thing: Reached
    having: list[Side]
    lacking: list[Side]

    @property
    def sure(self) -> bool:
        return any(side.complete for side in self.lacking)


class Comparison:
    """One program on all variants."""

    def __init__(self, name: str, program: Program, sides: list[Side], path: pathlib.Path | None = None):
        self.name, self.program, self.sides, self.path = name, program, sides, path
        self.applying = [side for side in sides if side.applies]
        everything = dict.fromkeys(thing for side in self.applying for thing in side.reached)
        self.things = sorted(everything, key=lambda thing: (bool(thing.titles), thing.titles, thing.values, thing.pages))
        self.differences: list[Difference] = []
        for thing in self.things:
            lacking = [side for side in self.applying if thing not in side.reached]
            if lacking:
                self.differences.append(Difference(thing, [side for side in self.applying if thing in side.reached], lacking))

    @property
    def verdict(self) -> str:
        if len(self.applying) < 2:
            return NOT_COMPARED
        if any(difference.sure for difference in self.differences):
            return DIFFERENT
        if not self.differences and all(side.complete for side in self.applying):
            return SAME
        return INCONCLUSIVE

    def relations(self) -> Iterator[Relation]:
        for left in self.applying:
            for right in self.applying:
                if left is not right:
                    yield relation(left, right)


def compare(name: str, program: Program, chosen: Iterable[Contender], budget: Budget, path: pathlib.Path | None = None) -> Comparison:
    return Comparison(name, program, [look(contender, program, budget) for contender in chosen], path)
