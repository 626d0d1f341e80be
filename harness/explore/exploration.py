# SPDX-License-Identifier: MIT
"""The exploration of one program: its outcomes, the number of classes of schedules with each, and whether these are all.

An exploration is `complete` only if every class of schedules was run to its end; otherwise `why` is the reason that stopped it.
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
FEW = 1_000                 # with a bound, all classes are tried first, in at most this number of runs: less time than the bound saves
FEW_CPUS = 4                # for each cpu above this number FEW doubles: there are more orders without any preemption
SEARCHED_MAX = 16           # classes of an outcome that are each searched for an order with fewer preemptions: it takes longer than a run
EQUIVALENCE = "Mazurkiewicz traces (same order of dependent accesses, of what is shared)"


@dataclass
class Seen:
    """One outcome: the number of classes of schedules that have it, its preemptions, and the decisions of a run that has it.

    The run may have more than `preemptions`, which is then the number of another order of its class. `least`: no run with this outcome
    has fewer.
    """

    classes: int = 0
    preemptions: int = 1 << 30
    switches: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    least: bool = True


@dataclass
class Exploration:
    """The result of an exploration.

    `outcomes` maps each outcome to what was seen of it. `classes` is the number of classes that were run to the end; with a bound,
    only classes with a run within the bound count. `blocked` runs turned out to be known. In `cut` classes a task yielded more often
    than the explorer follows. `seconds` is the time that it took, `way` the search that was used, `digest` identifies the set of classes.
    `left_open` says in words what the judges of its runs did not judge.
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
    left_open: frozenset[str] = frozenset()

    @property
    def complete(self) -> bool:
        return self.why is None

    @property
    def titles(self) -> list[str]:
        """The titles of all findings, sorted."""
        return sorted({title for outcome in self.outcomes for title in _titles(outcome)})

    @property
    def proved(self) -> bool:
        """True if every class of schedules, up to the bound, was run to its end, and nothing was found."""
        return self.complete and not self.titles

    def classes_with(self, title: str) -> int:
        """Return the number of classes that have a finding with that title."""
        return sum(seen.classes for outcome, seen in self.outcomes.items() if title in _titles(outcome))

    def fewest(self, title: str) -> Seen:
        """Return the outcome with the fewest preemptions among those with that finding. ValueError if there is none."""
        candidates = [seen for outcome, seen in self.outcomes.items() if title in _titles(outcome)]
        best = min(candidates, key=lambda seen: seen.preemptions)
        return replace(best, least=not best.preemptions or all(seen.least for seen in candidates))


def _titles(outcome: Hashable) -> tuple[str, ...]:
    """Return the titles of an outcome: the first item of a tuple, or its attribute `titles`."""
    titles: tuple[str, ...] = outcome[0] if isinstance(outcome, tuple) else outcome.titles  # type: ignore[attr-defined]
    return titles


@dataclass
class Progress:
    """The progress of an exploration: its classes so far, and an estimate of their number, with the range of the last estimates."""

    classes: int
    estimate: float
    low: float
    high: float


def explore(run: Callable[[Any], Any], cpus: int, outcome: Callable[[Any, list[Event]], Hashable], *, up: bool = False,
            bound: int | None = None, runs_max: int = 1 << 60, seconds_max: float = 1e9, least: bool = True,
            progress: Callable[[Progress], None] | None = None) -> Exploration:
    """Run every class of schedules of a program once.

    `run(scheduler)` runs the program once; `outcome(result, events)` returns the outcome of that run. With `bound`, a class is in the
    result only if one of its runs has at most `bound` preemptions. If all classes take too many runs for that, the exploration makes
    only runs within the bound (bounded.py). It stops after `runs_max` runs or `seconds_max` seconds, and is then not complete.
    Without `least`, an outcome that is no finding has the preemptions of one of its runs, which need not be the fewest.
    `progress` is called once in 64 runs.
    """
    start = time.monotonic()
    limits = _Limits(runs_max, start + seconds_max, Incomplete(Reason.RUNS, runs_max), Incomplete(Reason.SECONDS, seconds_max))
    search = _Search(run, outcome, bound, least, limits, progress)
    if bound is not None:
        few = replace(limits, runs=min(runs_max, FEW << max(0, cpus - FEW_CPUS)), deadline=start + seconds_max / 10)
        trial = _Search(run, lambda result, events: ((),), None, False, few, progress)
        trial.explore(cpus, up)
        search.locations = trial.locations
        search.way = BOUNDED if trial.results.why else OPTIMAL
    search.explore(cpus, up)
    search.prove_least(cpus, up)
    return search.results.exploration(bound, time.monotonic() - start, search.way)


@dataclass
class _Limits:
    """The limits of an exploration: `runs`, and a `deadline` of time.monotonic(); and the reasons to give when they are reached."""

    runs: int
    deadline: float
    too_many: Incomplete
    too_long: Incomplete


@dataclass
class _Results:
    """The results of a part of an exploration. `traces` maps each outcome to the hashes of its classes.

    `earlier` has the outcomes of random runs, and of explorations that had to begin again. Such runs are as good as others, but their
    classes cannot be compared with those of later runs. `earlier_classes` is the number of classes of the largest of these explorations.
    """

    outcomes: dict[Hashable, Seen] = field(default_factory=dict)
    earlier: dict[Hashable, Seen] = field(default_factory=dict)
    earlier_classes: int = 0
    traces: dict[Hashable, set[int]] = field(default_factory=dict)
    searched: Counter[Hashable] = field(default_factory=Counter)    # outcome -> classes that were searched for the fewest preemptions
    unsearched: set[Hashable] = field(default_factory=set)          # outcomes that have classes which were not
    beyond: set[int] = field(default_factory=set)       # classes beyond the bound
    cut: set[int] = field(default_factory=set)          # classes in which a task yielded more often than the explorer follows
    blocked: int = 0
    events_max: int = 0
    why: Incomplete | None = None

    def add(self, other: _Results) -> None:
        """Add the results of another part."""
        for key, seen in other.outcomes.items():
            known = self.outcomes.get(key)
            if known is None or seen.preemptions < known.preemptions:
                self.outcomes[key] = seen
            self.traces.setdefault(key, set()).update(other.traces[key])
        self.searched += other.searched
        self.unsearched |= other.unsearched
        _keep_fewest(self.earlier, other.earlier)
        self.earlier_classes = max(self.earlier_classes, other.earlier_classes)
        self.beyond |= other.beyond
        self.cut |= other.cut
        self.blocked += other.blocked
        self.events_max = max(self.events_max, other.events_max)
        self.why = self.why or other.why

    def exploration(self, bound: int | None, seconds: float, way: str) -> Exploration:
        """Return these results as an Exploration. The results are used up."""
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
            self._check_earlier()
        digest = hashlib.blake2b("".join(sorted(f"{trace:016x}" for trace in traces)).encode(), digest_size=12).hexdigest()
        return Exploration(self.outcomes, classes, self.blocked, len(self.cut), self.events_max, seconds, self.why, digest, bound, way)

    def _count(self) -> None:
        """Set the number of classes of each outcome."""
        assert self.outcomes.keys() == self.traces.keys(), (self.outcomes.keys(), self.traces.keys())
        for key, seen in self.outcomes.items():
            seen.classes = len(self.traces[key])

    def begun_again(self) -> _Results:
        """Return the results that remain when the exploration begins again."""
        self._count()
        new = _Results(earlier=self.earlier, earlier_classes=max(self.earlier_classes, len(set[int]().union(*self.traces.values()))))
        _keep_fewest(new.earlier, self.outcomes)
        return new

    def _check_earlier(self) -> None:
        """Set `why` to an error of ours if an earlier run has an outcome that no class has: then the explorer has lost a class."""
        if any(_titles(key) for key in self.earlier):
            lost = not any(_titles(key) for key in self.outcomes)
        else:
            lost = not self.earlier.keys() <= self.outcomes.keys()
        if lost:
            self.why = Incomplete(Reason.ERROR, detail="a random run has an outcome that no class of schedules has")


def _keep_fewest(into: dict[Hashable, Seen], other: Mapping[Hashable, Seen]) -> None:
    """Add the outcomes of `other`. If both have an outcome, keep the run with fewer preemptions and the larger number of classes."""
    for key, seen in other.items():
        known = into.get(key)
        if known is None:
            into[key] = seen
        else:
            fewer = seen if seen.preemptions < known.preemptions else known
            into[key] = replace(fewer, classes=max(seen.classes, known.classes))


class _Search:
    """A search of every route, one after the other, which collects its `results`."""

    def __init__(self, run: Callable[[Any], Any], outcome: Callable[[Any, list[Event]], Hashable], bound: int | None, least: bool,
                 limits: _Limits, progress: Callable[[Progress], None] | None):
        self.run, self.outcome, self.bound, self.limits, self.progress = run, outcome, bound, limits, progress
        self.least = least
        self.fewest: dict[Hashable, int] = {}       # outcome -> its fewest preemptions on any route
        self.results = _Results()       # of all earlier routes; at the end, of all routes
        self.of_route = _Results()      # of the present route
        self.runs = 0                   # on all routes
        self.meter = _Meter()
        self.locations: Locations | None = None     # those of the last route, which has learned already
        self.way = OPTIMAL

    def explore(self, cpus: int, up: bool) -> None:
        """Explore all routes of a machine with that number of cpus, until a limit is reached."""
        routes = Routes(cpus)
        try:
            for route in routes:
                routes.seen(self._explore(route, up))
                if self.results.why:
                    break
        except HarnessError as error:
            self.results.why = Incomplete(Reason.ERROR, detail=str(error))

    def prove_least(self, cpus: int, up: bool) -> None:
        """Find the least number of preemptions of the outcomes that have too many classes to search each class.

        Run all schedules without a preemption, with at most one, and so on, until every outcome was seen. Use the rest of the time.
        """
        outcomes, bound = self.results.outcomes, 0
        unproved = set() if self.results.why else {key for key in self.results.unsearched if key in outcomes}
        while unproved := {key for key in unproved if outcomes[key].preemptions > bound}:
            within = _Search(self.run, self.outcome, bound, False, replace(self.limits, runs=NEVER), None)
            within.way, within.locations = BOUNDED, self.locations
            within.explore(cpus, up)
            if within.results.why:
                for key in unproved:
                    outcomes[key].least = False
                return
            for key in unproved & within.results.outcomes.keys():
                seen = within.results.outcomes[key]
                outcomes[key] = replace(outcomes[key], preemptions=bound, switches=seen.switches, forced=seen.forced)
            bound += 1

    def _explore(self, route: Mapping[Name, int], up: bool) -> Optimal:
        explorer = Optimal(route, up, self.locations) if self.way == OPTIMAL else Bounded(self.bound or 0, route, up, self.locations)
        explorer.enough = lambda: time.monotonic() > self.limits.deadline
        explorer.scouted = lambda result: self._scouted(explorer, result)
        self.of_route = _Results()
        try:
            self._collect(explorer)
        finally:
            self.locations = explorer.locations
            self.results.add(self.of_route)
        return explorer

    def _collect(self, explorer: Optimal) -> None:
        restarts = 0
        for result in explorer.runs(self.run):
            if self.runs == self.limits.runs:       # this is one run more
                self.of_route.why = self.limits.too_many
                return
            self.runs += 1
            if explorer.restarts != restarts:
                restarts, self.of_route = explorer.restarts, self.of_route.begun_again()
                self.fewest = {key: seen.preemptions for key, seen in self.results.outcomes.items()}
            results = self.of_route
            results.events_max = max(results.events_max, len(explorer.events))
            results.blocked += explorer.blocked
            cut_off = explorer.limit and not m.findings         # the run has no outcome yet
            if result is not None and not explorer.misrouted and not explorer.rerouted and not cut_off:
                self._add(explorer, result)
            if explorer.limit:
                results.why = Incomplete(Reason.POINTS, optimal.EVENTS_MAX)
            if results.why:
                return
            if self.progress is not None and not explorer.run_count % 64:
                self.progress(self.meter.read(self.runs - self.results.blocked - results.blocked, explorer))
        if explorer.stopped:
            self.of_route.why = self.limits.too_long

    def _scouted(self, explorer: Optimal, result: Any) -> None:
        """Keep the outcome of a random run, unless the run may be beyond the bound or belongs to another route."""
        made = preemptions_of(m.switches)
        if m.aborting or m.cut or m.void or explorer.misrouted or explorer.rerouted or (self.bound is not None and made > self.bound):
            return
        _keep_fewest(self.of_route.earlier, {self.outcome(result, explorer.events): Seen(1, made, list(m.switches), list(m.forced))})

    def _add(self, explorer: Optimal, result: Any) -> None:
        """Add a run that was run to its end."""
        results, trace = self.of_route, trace_hash(explorer)
        key = self.outcome(result, explorer.events)
        if trace in results.beyond or trace in results.traces.get(key, ()):
            results.blocked += 1            # its class was known after all
            return
        made, fewest = preemptions_of(m.switches), self.fewest.get(key, 1 << 30)
        if self.way == OPTIMAL and self.bound is not None and made > self.bound < least_preemptions(explorer, self.bound + 1):
            results.beyond.add(trace)
            return
        if m.cut:
            results.cut.add(trace)
        least = min(made, fewest)
        if least and self.way == OPTIMAL and (self.least or _titles(key)):
            if results.searched[key] < SEARCHED_MAX:
                results.searched[key] += 1
                least = least_preemptions(explorer, least)
            else:
                results.unsearched.add(key)
        elif least and self.way == BOUNDED and (self.least or _titles(key)):
            results.unsearched.add(key)
        assert 0 <= least <= made, (least, made)
        seen = results.outcomes.setdefault(key, Seen())
        if least < fewest:
            self.fewest[key] = seen.preemptions = least
            seen.switches, seen.forced = list(m.switches), list(m.forced)
        results.traces.setdefault(key, set()).add(trace)


def preemptions_of(switches: Sequence[int]) -> int:
    """Return the number of preemptions among the switches of a run: step, decision, step, decision, and so on.

    A task that is parked, because it waits by reading, is not preempted.
    """
    return sum(decision != PARK for decision in switches[1::2])


class _Meter:
    """Estimates the number of classes. At each place of a run, all known branches are taken to have the same number of classes."""

    def __init__(self) -> None:
        self.estimates: list[float] = []

    def read(self, classes: int, explorer: Optimal) -> Progress:
        """Return the progress of the explorer, which has run that number of classes so far."""
        done, weight = 0.0, 1.0
        for place in explorer.tree.places:
            if isinstance(place, Place):
                branches = place.done + len(place.tree)
                done += weight * place.done / branches
                weight /= branches
        self.estimates = [*self.estimates[-9:], classes / done if done else float("inf")]
        return Progress(classes, self.estimates[-1], min(self.estimates), max(self.estimates))


def minimal_titles(events: list[Event]) -> list[str]:
    """Return the titles of the findings on which cpus died, sorted, without those that can only come after another of them."""
    found = [event for event in events if event.findings and any(not finding.breaks for finding in event.findings)]
    return sorted({finding.title for event in found if not any(other is not event and event.past >> other.number & 1 for other in found)
                   for finding in event.findings if not finding.breaks})
