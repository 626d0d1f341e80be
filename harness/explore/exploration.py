# SPDX-License-Identifier: MIT
"""All runs of one program, and what they come to: the outcomes, how many classes of runs have each, and whether that is all.

`complete` is only said when every class of equivalent runs was run to its end; `why` says what stopped it early.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vmrace.harness.errors import HarnessError
from vmrace.harness.explore import optimal
from vmrace.harness.explore.access import Locations
from vmrace.harness.explore.bounded import Bounded
from vmrace.harness.explore.classes import trace_hash
from vmrace.harness.explore.cpus import Name
from vmrace.harness.explore.event import Event
from vmrace.harness.explore.optimal import YIELDS_MAX, Optimal
from vmrace.harness.explore.preemptions import least_preemptions
from vmrace.harness.explore.routes import Routes
from vmrace.harness.explore.wakeup import Place
from vmrace.harness.incomplete import Incomplete, Reason
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import NEVER, PARK

OPTIMAL, BOUNDED = "optimal DPOR", "preemption-bounded search"
FEW = 1_000                 # runs that all classes may take where a bound is asked for: so many take less time than the bound saves,
SEARCHED_MAX = 16           # classes of an outcome that are each searched for an order with fewer preemptions: it takes longer than a run
FEW_CPUS = 4                # on so many cpus: with each more there are more orders without any preemption
EQUIVALENCE = "Mazurkiewicz traces (same order of dependent accesses, of what is shared)"


@dataclass
class Seen:
    """One outcome: how many classes of runs have it, the number of preemptions it takes, and a run that shows it (which may have
    more: another order of the same class has so few). `least`: no run to this outcome has fewer preemptions."""

    classes: int = 0
    preemptions: int = 1 << 30
    switches: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    least: bool = True


@dataclass
class Exploration:
    """`outcomes`: what a run came to -> Seen. `classes` runs were run to the end, `blocked` turned out to be known.

    With a bound, `classes` are those within it; `way`: how they were run. `cut`: classes in which a task yielded more often than
    is looked at. `digest` identifies the set of classes.
    """

    outcomes: dict[Hashable, Seen] = field(default_factory=dict)
    classes: int = 0
    blocked: int = 0
    cut: int = 0
    events_max: int = 0
    seconds: float = 0.0
    why: Incomplete | None = None
    digest: str = ""
    bound: int | None = None
    way: str = OPTIMAL

    @property
    def complete(self) -> bool:
        return self.why is None

    @property
    def titles(self) -> list[str]:
        """Everything that was found, by title."""
        return sorted({title for outcome in self.outcomes for title in _titles(outcome)})

    @property
    def proved(self) -> bool:
        """Every class of runs, up to the bound, was run to its end, and nothing was found."""
        return self.complete and not self.titles

    def classes_with(self, title: str) -> int:
        return sum(seen.classes for outcome, seen in self.outcomes.items() if title in _titles(outcome))

    def fewest(self, title: str) -> Seen:
        """The run with that finding that has the fewest preemptions."""
        having = [seen for outcome, seen in self.outcomes.items() if title in _titles(outcome)]
        best = min(having, key=lambda seen: seen.preemptions)
        return replace(best, least=not best.preemptions or all(seen.least for seen in having))


def _titles(outcome: Hashable) -> tuple[str, ...]:
    """An outcome is a tuple whose first item is its titles, or has them by name."""
    return outcome[0] if isinstance(outcome, tuple) else outcome.titles  # type: ignore[attr-defined]


@dataclass
class Progress:
    """How far an exploration is: classes so far, and an estimate of how many there are, with the range of the last estimates."""

    classes: int
    estimate: float
    low: float
    high: float


def explore(run: Callable[[Any], Any], cpus: int, outcome: Callable[[Any, list[Event]], Hashable], *, up: bool = False,
            bound: int | None = None, runs_max: int = 1 << 60, seconds_max: float = 1e9, least: bool = True,
            progress: Callable[[Progress], None] | None = None) -> Exploration:
    """Run every class of equivalent runs of a program once.

    `run(scheduler)` runs the program once; `outcome(result, events)` says what a run came to. With `bound`, only what is
    possible with at most so many preemptions is in the result: a class counts if one of its runs has so few. Where not all
    classes are soon run, only those runs are then made (bounded.py). Without `least`, the preemptions of an outcome that is no finding
    are those of some run, not the fewest there are.
    """
    start = time.monotonic()
    limits = _Limits(runs_max, start + seconds_max, Incomplete(Reason.RUNS, runs_max), Incomplete(Reason.SECONDS, seconds_max))
    every = _Every(run, outcome, bound, least, limits, progress)
    if bound is not None:
        few = replace(limits, runs=min(runs_max, FEW << max(0, cpus - FEW_CPUS)), deadline=start + seconds_max / 10)
        some = _Every(run, lambda result, events: ((),), None, False, few, progress)
        some.explore(cpus, up)
        every.locations = some.locations
        every.way = BOUNDED if some.part.why else OPTIMAL
    every.explore(cpus, up)
    every.prove_least(cpus, up)
    return every.part.exploration(bound, time.monotonic() - start, every.way)


@dataclass
class _Limits:
    runs: int
    deadline: float
    too_many: Incomplete
    too_long: Incomplete


@dataclass
class _Part:
    """The results of a part of an exploration. `traces`: outcome -> the classes of runs that have it.

    `earlier` has the outcomes of random runs and of explorations that had to begin again: such runs are as good as others, but their
    classes cannot be compared with those of later ones. `earlier_classes`: how many the largest of these explorations had."""

    outcomes: dict[Hashable, Seen] = field(default_factory=dict)
    earlier: dict[Hashable, Seen] = field(default_factory=dict)
    earlier_classes: int = 0
    traces: dict[Hashable, set[int]] = field(default_factory=dict)
    searched: Counter[Hashable] = field(default_factory=Counter)    # outcome -> classes of which the least preemptions were searched for
    unsearched: set[Hashable] = field(default_factory=set)          # outcomes with other classes, too
    passed: set[int] = field(default_factory=set)       # classes beyond the bound
    cut: set[int] = field(default_factory=set)
    blocked: int = 0
    events_max: int = 0
    why: Incomplete | None = None

    def add(self, other: _Part) -> None:
        for key, seen in other.outcomes.items():
            known = self.outcomes.get(key)
            if known is None or seen.preemptions < known.preemptions:
                self.outcomes[key] = seen
            self.traces.setdefault(key, set()).update(other.traces[key])
        self.searched += other.searched
        self.unsearched |= other.unsearched
        _keep_fewest(self.earlier, other.earlier)
        self.earlier_classes = max(self.earlier_classes, other.earlier_classes)
        self.passed |= other.passed
        self.cut |= other.cut
        self.blocked += other.blocked
        self.events_max = max(self.events_max, other.events_max)
        self.why = self.why or other.why

    def exploration(self, bound: int | None, seconds: float, way: str) -> Exploration:
        self._count()
        if self.cut and not self.why:
            self.why = Incomplete(Reason.YIELDS, len(self.cut), str(YIELDS_MAX))
        traces = set[int]().union(*self.traces.values())
        classes = len(traces)
        if self.why:
            classes = max(classes, self.earlier_classes)
            _keep_fewest(self.outcomes, self.earlier)
            self.outcomes = {key: replace(seen, least=not seen.preemptions) for key, seen in self.outcomes.items()}
        else:
            self._must_have_earlier()
        digest = hashlib.blake2b("".join(sorted(f"{trace:016x}" for trace in traces)).encode(), digest_size=12).hexdigest()
        return Exploration(self.outcomes, classes, self.blocked, len(self.cut), self.events_max, seconds, self.why, digest, bound, way)


    def _count(self) -> None:
        for key, seen in self.outcomes.items():
            seen.classes = len(self.traces[key])

    def begun_again(self) -> _Part:
        """The part that is left when the exploration begins again."""
        self._count()
        new = _Part(earlier=self.earlier, earlier_classes=max(self.earlier_classes, len(set[int]().union(*self.traces.values()))))
        _keep_fewest(new.earlier, self.outcomes)
        return new

    def _must_have_earlier(self) -> None:
        """All is said to be run: what any run came to before must be there, or the explorer has lost something."""
        if any(_titles(key) for key in self.earlier):
            lost = not any(_titles(key) for key in self.outcomes)
        else:
            lost = not self.earlier.keys() <= self.outcomes.keys()
        if lost:
            self.why = Incomplete(Reason.ERROR, detail="a random run came to what no class of runs comes to")


def _keep_fewest(into: dict[Hashable, Seen], other: Mapping[Hashable, Seen]) -> None:
    """Add what `other` has; of what both have, keep the run with fewer preemptions and the larger number of classes."""
    for key, seen in other.items():
        known = into.get(key)
        if known is None:
            into[key] = seen
        else:
            fewer = seen if seen.preemptions < known.preemptions else known
            into[key] = replace(fewer, classes=max(seen.classes, known.classes))


class _Every:
    """Explores every route, one after the other; `part` has what was found so far."""

    def __init__(self, run: Callable[[Any], Any], outcome: Callable[[Any, list[Event]], Hashable], bound: int | None, least: bool,
                 limits: _Limits, progress: Callable[[Progress], None] | None):
        self.run, self.outcome, self.bound, self.limits, self.progress = run, outcome, bound, limits, progress
        self.least = least
        self.fewest: dict[Hashable, int] = {}       # outcome -> preemptions, wherever it was seen
        self.part = _Part()             # of all routes before, and in the end of all
        self.mine = _Part()             # of this route
        self.runs = 0                   # of all routes
        self.meter = _Meter()
        self.locations: Locations | None = None     # of the route before
        self.way = OPTIMAL

    def explore(self, cpus: int, up: bool) -> None:
        routes = Routes(cpus)
        try:
            for route in routes:
                routes.seen(self._explore(route, up))
                if self.part.why:
                    break
        except HarnessError as error:
            self.part.why = Incomplete(Reason.ERROR, detail=str(error))

    def prove_least(self, cpus: int, up: bool) -> None:
        """Find the least number of preemptions of the outcomes that have too many classes to search each of them: run all that is
        possible with none, with one, and so on, until every outcome was seen. With what is left of the time."""
        outcomes, bound = self.part.outcomes, 0
        left = set() if self.part.why else {key for key in self.part.unsearched if key in outcomes}
        while left := {key for key in left if outcomes[key].preemptions > bound}:
            within = _Every(self.run, self.outcome, bound, False, replace(self.limits, runs=NEVER), None)
            within.way, within.locations = BOUNDED, self.locations
            within.explore(cpus, up)
            if within.part.why:
                for key in left:
                    outcomes[key].least = False
                return
            for key in left & within.part.outcomes.keys():
                seen = within.part.outcomes[key]
                outcomes[key] = replace(outcomes[key], preemptions=bound, switches=seen.switches, forced=seen.forced)
            bound += 1

    def _explore(self, route: Mapping[Name, int], up: bool) -> Optimal:
        explorer = Optimal(route, up, self.locations) if self.way == OPTIMAL else Bounded(self.bound or 0, route, up, self.locations)
        explorer.enough = lambda: time.monotonic() > self.limits.deadline
        explorer.scouted = lambda result: self._scouted(explorer, result)
        self.mine = _Part()
        try:
            self._collect(explorer)
        finally:
            self.locations = explorer.locations
            self.part.add(self.mine)
        return explorer

    def _collect(self, explorer: Optimal) -> None:
        restarts = 0
        for result in explorer.runs(self.run):
            if self.runs == self.limits.runs:       # there was one more
                self.mine.why = self.limits.too_many
                return
            self.runs += 1
            if explorer.restarts != restarts:
                restarts, self.mine = explorer.restarts, self.mine.begun_again()
                self.fewest = {key: seen.preemptions for key, seen in self.part.outcomes.items()}
            mine = self.mine
            mine.events_max = max(mine.events_max, len(explorer.events))
            mine.blocked += explorer.blocked
            cut_off = explorer.limit and not m.findings         # it came to nothing yet
            if result is not None and not explorer.misrouted and not explorer.rerouted and not cut_off:
                self._add(explorer, result)
            if explorer.limit:
                mine.why = Incomplete(Reason.POINTS, optimal.EVENTS_MAX)
            if mine.why:
                return
            if self.progress is not None and not explorer.run_count % 64:
                self.progress(self.meter.read(self.runs - self.part.blocked - mine.blocked, explorer))
        if explorer.stopped:
            self.mine.why = self.limits.too_long

    def _scouted(self, explorer: Optimal, result: Any) -> None:
        """Keep what a random run came to, unless it may be beyond the bound or is none of this route's."""
        made = preemptions_of(m.switches)
        if m.aborting or m.cut or m.void or explorer.misrouted or explorer.rerouted or (self.bound is not None and made > self.bound):
            return
        _keep_fewest(self.mine.earlier, {self.outcome(result, explorer.events): Seen(1, made, list(m.switches), list(m.forced))})

    def _add(self, explorer: Optimal, result: Any) -> None:
        mine, trace = self.mine, trace_hash(explorer)
        key = self.outcome(result, explorer.events)
        if trace in mine.passed or trace in mine.traces.get(key, ()):
            mine.blocked += 1               # it was known after all
            return
        made, fewest = preemptions_of(m.switches), self.fewest.get(key, 1 << 30)
        if self.way == OPTIMAL and self.bound is not None and made > self.bound < least_preemptions(explorer, self.bound + 1):
            mine.passed.add(trace)
            return
        if m.cut:
            mine.cut.add(trace)
        least = min(made, fewest)
        if least and self.way == OPTIMAL and (self.least or _titles(key)):
            if mine.searched[key] < SEARCHED_MAX:
                mine.searched[key] += 1
                least = least_preemptions(explorer, least)
            else:
                mine.unsearched.add(key)
        elif least and self.way == BOUNDED and (self.least or _titles(key)):
            mine.unsearched.add(key)
        seen = mine.outcomes.setdefault(key, Seen())
        if least < fewest:
            self.fewest[key] = seen.preemptions = least
            seen.switches, seen.forced = list(m.switches), list(m.forced)
        mine.traces.setdefault(key, set()).add(trace)


def preemptions_of(switches: Sequence[int]) -> int:
    """A task that only reads until others change something, and is parked, is not preempted."""
    return sum(decision != PARK for decision in switches[1::2])


class _Meter:
    """Estimates how many classes there are: each place of a run weighs its known branches alike."""

    def __init__(self) -> None:
        self.estimates: list[float] = []

    def read(self, classes: int, explorer: Optimal) -> Progress:
        done, weight = 0.0, 1.0
        for place in explorer.tree.places:
            if isinstance(place, Place):
                branches = place.done + len(place.tree)
                done += weight * place.done / branches
                weight /= branches
        self.estimates = [*self.estimates[-9:], classes / done if done else float("inf")]
        return Progress(classes, self.estimates[-1], min(self.estimates), max(self.estimates))


def minimal_titles(events: list[Event]) -> list[str]:
    """What the cpus that died in a run found, but for what can only come after another of these findings."""
    found = [event for event in events if event.findings and any(not finding.breaks for finding in event.findings)]
    return sorted({finding.title for event in found if not any(other is not event and event.past >> other.number & 1 for other in found)
                   for finding in event.findings if not finding.breaks})
