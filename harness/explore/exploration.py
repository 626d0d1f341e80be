# SPDX-License-Identifier: MIT
"""All runs of one program, and what they come to: the outcomes, how many classes of runs have each, and whether that is all.

`complete` is only said when every class of equivalent runs was run to its end; whatever stopped it early is in `why`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from harness.errors import HarnessError
from harness.explore.optimal import YIELDS_MAX, Event, Optimal
from harness.explore.preemptions import least_preemptions
from harness.explore.routes import Routes
from harness.machine import m

EQUIVALENCE = "Mazurkiewicz traces (same order of dependent accesses)"


@dataclass
class Seen:
    """One outcome: how many classes of runs have it, the least number of preemptions it takes, and a run that shows it (which
    may have more: another order of the same class has so few)."""

    classes: int = 0
    preemptions: int = 1 << 30
    switches: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)


@dataclass
class Exploration:
    """`outcomes`: what a run came to -> Seen. `classes` runs were run to the end, `blocked` turned out to be known halfway.

    `cut`: classes in which a task yielded more often than is looked at. `digest` identifies the set of classes.
    """

    outcomes: dict[Hashable, Seen] = field(default_factory=dict)
    classes: int = 0
    blocked: int = 0
    cut: int = 0
    events_max: int = 0
    seconds: float = 0.0
    why: str = ""
    digest: str = ""
    bound: int | None = None

    @property
    def complete(self) -> bool:
        return not self.why

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
        return min((seen for outcome, seen in self.outcomes.items() if title in _titles(outcome)), key=lambda seen: seen.preemptions)


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
            bound: int | None = None, runs_max: int = 1 << 60, seconds_max: float = 1e9,
            progress: Callable[[Progress], None] | None = None) -> Exploration:
    """Run every class of equivalent runs of a program once.

    `run(scheduler)` runs the program once; `outcome(result, events)` says what a run came to. With `bound`, only what is
    possible with at most so many preemptions is in the result: a class counts if one of its runs has so few.
    """
    out = Exploration(bound=bound)
    start = time.monotonic()
    try:
        _every_class(run, cpus, outcome, up, bound, runs_max, seconds_max, progress, out, start)
    except HarnessError as error:
        out.why = f"an error of ours: {error}"
    return out


def _every_class(run: Callable[[Any], Any], cpus: int, outcome: Callable[[Any, list[Event]], Hashable], up: bool, bound: int | None,
                 runs_max: int, seconds_max: float, progress: Callable[[Progress], None] | None, out: Exploration,
                 start: float) -> None:
    """Fills `out`."""
    routes = Routes(cpus)
    traces: set[int] = set()
    meter = _Meter()
    for route in routes:
        explorer = Optimal(route, up)
        found: dict[Hashable, Seen] = {}
        mine: set[int] = set()
        restarts = cut = 0
        for result in explorer.runs(run):
            if explorer.restarts != restarts:
                restarts, cut = explorer.restarts, 0
                found.clear()
                mine.clear()
            out.events_max = max(out.events_max, len(explorer.events))
            if result is not None and not explorer.misrouted:
                trace = trace_hash(explorer)
                if trace not in traces and trace not in mine:
                    mine.add(trace)
                    cut += bool(m.cut)
                    _add(found, outcome(result, explorer.events), explorer, bound)
            if explorer.limit:
                out.why = f"a run of more than {len(explorer.events)} events"
            elif out.classes + explorer.run_count >= runs_max:
                out.why = f"{runs_max:,} runs were not enough"
            elif time.monotonic() - start > seconds_max:
                out.why = f"{seconds_max:g} s were not enough"
            if out.why:
                break
            if progress is not None and not explorer.run_count % 64:
                progress(meter.read(out.classes, explorer))
        traces |= mine
        out.classes += len(mine)
        out.blocked += explorer.blocked_count
        out.cut += cut
        for key, seen in found.items():
            _merge(out.outcomes, key, seen)
        routes.seen(explorer)
        if out.why:
            break
    if out.cut and not out.why:
        out.why = f"{out.cut} classes of runs in which a task yields more than {YIELDS_MAX} times were not followed further"
    out.digest = hashlib.blake2b("".join(sorted(f"{trace:016x}" for trace in traces)).encode(), digest_size=12).hexdigest()
    out.seconds = time.monotonic() - start


def _add(found: dict[Hashable, Seen], key: Hashable, explorer: Optimal, bound: int | None) -> None:
    made = len(m.switches) // 2
    seen = found.get(key)
    fewest = seen.preemptions if seen is not None else 1 << 30
    if bound is not None and bound < min(made, fewest):
        least = least_preemptions(explorer, bound + 1)
        if least > bound:
            return
    least = least_preemptions(explorer, min(made, fewest))
    if seen is None:
        seen = found[key] = Seen()
    if least < seen.preemptions:
        seen.preemptions, seen.switches, seen.forced = least, list(m.switches), list(m.forced)
    seen.classes += 1


def _merge(outcomes: dict[Hashable, Seen], key: Hashable, seen: Seen) -> None:
    known = outcomes.get(key)
    if known is None:
        outcomes[key] = seen
        return
    known.classes += seen.classes
    if seen.preemptions < known.preemptions:
        known.preemptions, known.switches, known.forced = seen.preemptions, seen.switches, seen.forced


def trace_hash(explorer: Optimal) -> int:
    """Of the class that the last run belongs to: the same for every run of it, in every process and on every day."""
    masks: dict[int, int] = {}
    for event in explorer.events:
        masks[event.process] = masks.get(event.process, 0) | 1 << event.number
    names = {process: str(explorer.irq_name.get(process, process)) for process in masks}
    order = sorted(masks, key=lambda process: names[process])
    lines = []
    for event in explorer.events:
        kind, obj, arg = event.pending
        clock = [(event.past & masks[process]).bit_count() for process in order]
        lines.append(f"{names[event.process]} {event.cpu} {kind} {getattr(obj, 'name', '')} {arg} {clock}")
    return int.from_bytes(hashlib.blake2b("\n".join(sorted(lines)).encode(), digest_size=8).digest(), "big")


class _Meter:
    """Estimates how many classes there are: each place of a run weighs its known branches alike."""

    def __init__(self) -> None:
        self.estimates: list[float] = []

    def read(self, before: int, explorer: Optimal) -> Progress:
        done, weight = 0.0, 1.0
        for place in explorer.places:
            over, left = len(place.sleep), len(place.tree)
            branches = over + left
            done += weight * over / branches
            weight /= branches
        classes = before + explorer.run_count - explorer.blocked_count
        self.estimates = [*self.estimates[-9:], classes / done if done else float("inf")]
        return Progress(classes, self.estimates[-1], min(self.estimates), max(self.estimates))


def minimal_titles(events: list[Event]) -> list[str]:
    """What the cpus that died in a run found, but for what can only come after another of these findings."""
    found = [event for event in events if any(not finding.breaks for finding in event.findings)]
    return sorted({finding.title for event in found if not any(other is not event and event.past >> other.number & 1 for other in found)
                   for finding in event.findings if not finding.breaks})
