# SPDX-License-Identifier: MIT
"""The outcomes that each variant can reach with a program, compared as sets.

The outcome of a run is its finding or, without a finding, the results of its operations and of its loads, and the final states of its
pages. The result of an operation is what a system call returned to its user: an error code, a count, a signal. The reference counts of
pages are not part of an outcome unless `counts` is set: a patch that lets the LRU list hold a reference would differ in every program.

If every schedule of a program fits the budget (`Side.complete`), a variant cannot reach any outcome outside its set. Otherwise random
schedules are sampled as well, and a missing outcome may still be possible: no outcome is called impossible on such a side. An outcome
that was reached is certain in both cases. If all outcomes of a complete set are in an incomplete one, that is certain, too.

Leaks and unsynchronised accesses are not looked for. Variants of different families are compared by findings, results of operations and
loads from anonymous memory only: each kernel describes pages in its own terms, and some families do not model the contents of files.
"""

from __future__ import annotations

import pathlib
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, SetupFailed
from vmrace.fuzz.run.exhaustive import Explorer, Reached, at_end, counted
from vmrace.harness.errors import HarnessError
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.incomplete import Incomplete
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.variants.family import Family, identity
from vmrace.variants.program import Program

MAP_FILES = ("mmap_private", "mmap_shared", "populate")     # operations that let an address show a page of a file
SAMPLE = 1000                   # random schedules of a program whose schedules do not all fit the budget
DIFFERENT, SAME, INCONCLUSIVE, NOT_COMPARED = "different", "same", "inconclusive", "n/a"


@dataclass
class Budget:
    """The limits for each program and variant: seconds and runs of the exploration, and random schedules if it is not complete."""

    seconds: float = 10.0
    runs: int = 1 << 60
    sample: int = SAMPLE


class Contender:
    """A variant and its name in the comparison. With `pages`, final states of pages are part of an outcome; with `counts`, so are their
    reference counts."""

    def __init__(self, family: Family, variant: str, name: str, pages: bool = True, counts: bool = False):
        self.family, self.variant, self.name, self.pages, self.counts = family, variant, name, pages, counts
        self.explorer = Explorer(family, variant)
        self.executor: Executor = self.explorer.executor
        self.executor.only("")

    @property
    def full_name(self) -> str:
        """The name as FAMILY/VARIANT."""
        return f"{self.family.name}/{self.variant}"


def contenders(chosen: Sequence[tuple[Family, str]], counts: bool = False) -> list[Contender]:
    """Make the contenders, with the shortest names that tell them apart."""
    one_family = len({family.name for family, _ in chosen}) == 1
    names: list[str] = []
    for family, variant in chosen:
        name = variant if one_family else f"{family.name}/{variant}"
        count = sum(other.partition("#")[0] == name for other in names)
        names.append(f"{name}#{count + 1}" if count else name)
    return [Contender(family, variant, name, one_family, counts) for (family, variant), name in zip(chosen, names, strict=True)]


@dataclass
class Reach:
    """The schedules that reach an outcome: their `count` among those that ran, and the decisions of one with the fewest `preemptions`.
    `least`: it is proved that no schedule needs fewer."""

    count: int = 0
    preemptions: int = 1 << 30
    switches: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    least: bool = False


@dataclass
class Side:
    """The outcomes of one program on one variant.

    `missing` lists operations that the variant lacks. `why` is the reason that the exploration is not complete, or None. `distinct`
    counts explored classes of schedules, `sampled` the random schedules. `setup_fails`: the setup alone has a finding.
    """

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
        """True if the variant has all operations of the program."""
        return not self.missing

    @property
    def complete(self) -> bool:
        """True if every class of schedules ran, so that an outcome outside `reached` is impossible."""
        return self.applies and not self.why

    @property
    def state(self) -> str:
        """The extent of the search, in words."""
        return "n/a" if not self.applies else "sampled" if self.why else "every schedule"

    @property
    def schedules(self) -> int:
        """The number of schedules that ran, explored or random."""
        return self.distinct + self.sampled


# ---- what one variant reaches -----------------------------------------------------------------------------------------------

def look(contender: Contender, program: Program, budget: Budget) -> Side:
    """Explore a program on a variant within the budget, and sample random schedules if the exploration is not complete."""
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
        side.reached[_finding(contender, failed.finding.title)] = Reach(0, 0, least=True)
        return side
    _take(side, found, prepared)
    if side.why:
        _sample(side, prepared, budget)
    return side


def _take(side: Side, found: Exploration, prepared: Prepared) -> None:
    """Add the outcomes of an exploration to a side, each confirmed by a replay of its run.

    Raises HarnessError if a complete exploration has an outcome that does not replay.
    """
    executor = side.contender.executor
    for key, seen in found.outcomes.items():
        assert isinstance(key, Reached), f"an outcome of an exploration is a {type(key).__name__}"
        exact = found.complete and seen.least
        outcome = executor.replay(prepared, seen.switches, seen.forced, lenient=not found.complete)
        shown = things(side.contender, prepared, outcome)
        for thing in _parts(key, side.contender, prepared.program):
            if thing not in shown:
                if found.complete:
                    raise HarnessError(f"explored {thing} does not replay on {side.contender.full_name}: {[str(one) for one in shown]}")
                continue                # the exploration cut this run short
            reach = side.reached.get(thing)
            if reach is None:
                side.reached[thing] = Reach(seen.classes, seen.preemptions, seen.switches, seen.forced, exact)
                continue
            reach.count += seen.classes
            reach.least &= exact
            if seen.preemptions < reach.preemptions:
                reach.preemptions, reach.switches, reach.forced = seen.preemptions, seen.switches, seen.forced


def _parts(reached: Reached, contender: Contender, program: Program) -> list[Reached]:
    """Split and reduce an outcome for comparison: each finding is one, and a clean run has only what the contender compares."""
    if reached.titles:
        return [_finding(contender, title) for title in reached.titles]
    if not contender.pages:
        return [Reached((), tuple(value for value in reached.values if _of_memory(value, program)), (), reached.returned)]
    pages: Counter[str] = Counter()
    for text in reached.pages:
        count, _, what = text.rpartition(" x ")
        pages[what if contender.counts else _uncounted(what)] += int(count or 1)
    return [Reached((), reached.values, counted(pages), reached.returned)]


def _finding(contender: Contender, title: str) -> Reached:
    """Return the outcome of one finding, which other variants may print in other words."""
    return Reached((identity(contender.full_name, title),), printed=(title,))


def _of_memory(value: str, program: Program) -> bool:
    """True if a load is of a page at which no operation of the program can map a file."""
    place = value.partition("load ")[2].split(".")
    mapped = {op.operands[0].partition(".")[2] for line in (program.setup, *(task.ops for task in program.tasks)) for op in line
              if op.name in MAP_FILES}
    return not place[0].startswith("f") and place[1].split()[0] not in mapped


def _uncounted(what: str) -> str:
    """Drop the reference count from a page's description, where it is the first word."""
    return what.partition(" ")[2]


def things(contender: Contender, prepared: Prepared, outcome: Outcome) -> list[Reached]:
    """Return the outcomes of the run just made; none if it was cut short."""
    if outcome.findings:
        return [_finding(contender, title) for title in dict.fromkeys(outcome.titles)]
    if outcome.limit_hit or m.cut:
        return []
    return _parts(at_end(contender.family, prepared), contender, prepared.program)


def sampled(side: Side, prepared: Prepared, outcome: Outcome) -> None:
    """Add the run just made to a side as a sample. Only the first finding of a run counts, because it may cause the later ones."""
    side.sampled += 1
    for thing in things(side.contender, prepared, outcome)[:1]:
        reach = side.reached.setdefault(thing, Reach())
        reach.count += 1
        if outcome.preemptions < reach.preemptions:
            reach.preemptions, reach.switches, reach.forced = outcome.preemptions, list(outcome.switches), list(outcome.forced)


def _sample(side: Side, prepared: Prepared, budget: Budget) -> None:
    """Run random schedules, from a fixed seed."""
    executor = side.contender.executor
    deadline = time.monotonic() + budget.seconds
    rng = random.Random(0)
    outcome = executor.run(prepared, NoPreempt())
    points = max(outcome.steps, 2)
    schedulers: list[Scheduler] = [Walk(rng, 0.05), Pct(rng, 2, points), Walk(rng, 0.2), Pct(rng, 3, points)]
    while True:
        sampled(side, prepared, outcome)
        if side.sampled >= min(budget.sample, budget.runs) or time.monotonic() > deadline:
            return
        outcome = executor.run(prepared, schedulers[side.sampled % len(schedulers)])


# ---- sets against each other -------------------------------------------------------------------------------------------------

@dataclass
class Relation:
    """The outcomes `only` that `left` reaches and `right` was not seen to reach."""

    left: Side
    right: Side
    only: list[Reached]

    @property
    def sure(self) -> bool:
        """True if the relation is certain: `right` cannot reach these outcomes or, if there are none, reaches all that `left` can."""
        return self.right.complete if self.only else self.left.complete


def relation(left: Side, right: Side) -> Relation:
    """Compare the outcomes of two sides."""
    return Relation(left, right, [thing for thing in left.reached if thing not in right.reached])


@dataclass
class Difference:
    """An outcome that the sides `having` reach, and the sides `lacking` were not seen to reach."""

    thing: Reached
    having: list[Side]
    lacking: list[Side]

    @property
    def sure(self) -> bool:
        """True if one of the lacking sides cannot reach the outcome."""
        return any(side.complete for side in self.lacking)


class Comparison:
    """The outcomes of one program on all variants, and their differences. `path` is the program's entry, if it has one."""

    def __init__(self, name: str, program: Program, sides: list[Side], path: pathlib.Path | None = None):
        self.name, self.program, self.sides, self.path = name, program, sides, path
        self.applying = [side for side in sides if side.applies]
        everything = dict.fromkeys(thing for side in self.applying for thing in side.reached)
        self.things = sorted(everything, key=lambda thing: (bool(thing.titles), thing.titles, thing.returned, thing.values, thing.pages))
        self.differences: list[Difference] = []
        for thing in self.things:
            lacking = [side for side in self.applying if thing not in side.reached]
            if lacking:
                self.differences.append(Difference(thing, [side for side in self.applying if thing in side.reached], lacking))

    @property
    def verdict(self) -> str:
        """DIFFERENT if a difference is certain; SAME if all sides are complete and equal; NOT_COMPARED for fewer than two sides."""
        if len(self.applying) < 2:
            return NOT_COMPARED
        if any(difference.sure for difference in self.differences):
            return DIFFERENT
        if not self.differences and all(side.complete for side in self.applying):
            return SAME
        return INCONCLUSIVE

    def relations(self) -> Iterator[Relation]:
        """Yield the relation of each side to each other one."""
        for left in self.applying:
            for right in self.applying:
                if left is not right:
                    yield relation(left, right)


def compare(name: str, program: Program, chosen: Iterable[Contender], budget: Budget, path: pathlib.Path | None = None) -> Comparison:
    """Run a program on each variant, and compare the outcomes."""
    return Comparison(name, program, [look(contender, program, budget) for contender in chosen], path)
