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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmrace.fuzz.corpus.entry import Entry, save
from vmrace.fuzz.corpus.judge import judge_entry
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, SetupFailed
from vmrace.fuzz.run.exhaustive import Explorer, Reached
from vmrace.fuzz.run.story import narrate
from vmrace.harness.errors import Diverged, HarnessError
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.incomplete import Incomplete
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.replay.named_schedule import Line, Named
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.variants.family import Family
from vmrace.variants.program import Program

MAP_FILES = ("mmap_private", "mmap_shared", "populate")     # operations that let an address show a page of a file
SAMPLE = 1000                   # random schedules of a program, where not every schedule fits
WITNESS_RUNS, WITNESS_SECONDS = 3000, 5.0       # that looking for a witness with fewer preemptions may take
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
class Witness:
    """A run to an outcome, in the words of a schedule, and where the same schedule leads on the other variants. `least`: none
    has fewer preemptions."""

    thing: Reached
    of: Side
    preemptions: int
    least: bool
    schedule: tuple[Line, ...] = ()
    elsewhere: dict[str, str] = field(default_factory=dict)
    path: pathlib.Path | None = None


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


# ---- witnesses ------------------------------------------------------------------------------------------------------------------

def witness(comparison: Comparison, difference: Difference) -> Witness:
    """The run with the fewest preemptions that can be found, replayed by name where it was found and on the others."""
    side = min(difference.having, key=lambda one: one.reached[difference.thing].preemptions)
    reach = side.reached[difference.thing]
    if side.setup_fails:
        return Witness(difference.thing, side, 0, True, elsewhere=_elsewhere(comparison, side, ()))
    executor = side.contender.executor
    executor.only("")
    prepared = executor.prepare(comparison.program)
    outcome, least = _fewest(executor, prepared, lambda run: difference.thing in things(side.contender, prepared, run), reach)
    lines = narrate(executor, prepared, outcome)
    again = things(side.contender, prepared, executor.run(prepared, Named(lines, comparison.program.keys())))
    if difference.thing not in again:
        ends = [str(one) for one in again]
        raise HarnessError(f"the schedule to {difference.thing} on {side.contender.full_name} leads to {ends} by name")
    return Witness(difference.thing, side, outcome.preemptions, least, lines, _elsewhere(comparison, side, lines))


def _fewest(executor: Executor, prepared: Prepared, fits: Callable[[Outcome], bool], reach: Reach) -> tuple[Outcome, bool]:
    """A run that fits with the fewest preemptions, and whether none can have fewer."""
    deadline = time.monotonic() + WITNESS_SECONDS
    runs = 0

    def run(scheduler: Any) -> Outcome | None:
        nonlocal runs
        runs += 1
        outcome = executor.run(prepared, scheduler)
        return outcome if fits(outcome) else None

    for preemptions in range(reach.preemptions if reach.least else 0, len(reach.switches) // 2 + 1):
        for outcome in every_schedule(run, preemptions, exactly=True):
            if outcome is not None:
                return outcome, True
            if runs >= WITNESS_RUNS or time.monotonic() > deadline:
                break
        if runs >= WITNESS_RUNS or time.monotonic() > deadline:
            break
    outcome = _without_some(executor, prepared, fits, executor.replay(prepared, reach.switches, reach.forced))
    return outcome, reach.least and outcome.preemptions == reach.preemptions


def _without_some(executor: Executor, prepared: Prepared, fits: Callable[[Outcome], bool], outcome: Outcome) -> Outcome:
    """As long as it fits without one of its preemptions, without it."""
    at = 0
    while at < len(outcome.switches):
        fewer = executor.replay(prepared, outcome.switches[:at] + outcome.switches[at + 2:], outcome.forced, lenient=True)
        if fits(fewer) and fewer.preemptions < outcome.preemptions:
            outcome, at = fewer, 0
        else:
            at += 2
    return outcome


def _elsewhere(comparison: Comparison, side: Side, lines: tuple[Line, ...]) -> dict[str, str]:
    """Where the same schedule leads on each other variant."""
    out: dict[str, str] = {}
    for other in comparison.applying:
        if other is side:
            continue
        executor = other.contender.executor
        executor.only("")
        try:
            prepared = executor.prepare(comparison.program)
            outcome = executor.run(prepared, Named(lines, comparison.program.keys()))
        except SetupFailed as failed:
            out[other.name] = str(failed)
        except Diverged as error:
            out[other.name] = f"diverges at step {error.step}: {error.why}"
        else:
            out[other.name] = "; ".join(text_of(thing) for thing in things(other.contender, prepared, outcome)) or "no end"
    return out


def keep(comparison: Comparison, found: Witness, directory: pathlib.Path) -> pathlib.Path:
    """Write a witness as an entry, with the verdict of each variant of its family that was compared. EntryError if that fails."""
    family = found.of.contender.family
    if found.thing.titles:
        title = found.thing.titles[0]
        asks = f"Can the operations below end in `{title}`?"
    else:
        title = f"ends with {text_of(found.thing)}"
        asks = f"Can the operations below end with {text_of(found.thing)}?"
    entry = Entry(title=title, asks=asks, source=f"vmrace diff; the program is {comparison.name}", found_on=found.of.contender.full_name,
                  program=comparison.program, schedule=found.schedule, expect={})
    for side in comparison.sides:
        if side.contender.family.name == family.name:
            entry.expect[side.contender.variant] = judge_entry(entry, side.contender.executor).accepted or Verdict(Word.ABSENT)
            side.contender.executor.only("")
    found.path = save(entry, directory)
    return found.path


# ---- outcomes in words -----------------------------------------------------------------------------------------------------------

def text_of(thing: Reached) -> str:
    """An outcome in a line: a finding by its title; else loads and how the pages ended that are not simply free."""
    if thing.titles:
        return "; ".join(thing.titles)
    return "; ".join([*_loads(thing.values), *_pages(thing.pages)]) or "no finding"


def _loads(values: tuple[str, ...]) -> list[str]:
    """`load m0.0 = 3`, where both words of the page have it; words by themselves where they differ."""
    left = [value.replace("load mf", "load f") for value in values]
    out = []
    for value in left:
        name, _, loaded = value.partition(" = ")
        if name.endswith(".0") and f"{name[:-1]}1 = {loaded}" in left:
            out.append(f"{name[:-2]} = {loaded}")
        elif not (name.endswith(".1") and f"{name[:-1]}0 = {loaded}" in left):
            out.append(value)
    return out


def _pages(classes: tuple[str, ...]) -> list[str]:
    """What pages are in use as; the others are free."""
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
