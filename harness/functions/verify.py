# SPDX-License-Identifier: MIT
"""Proofs about programs of plain functions, from Python or a test:

    from vmrace.harness.functions.verify import verify

    def test_no_update_is_lost():
        proof = verify(make, 3)
        assert proof.proved, proof.titles

Each run is run once more, by its decisions or in another order of the same class. A program that does something else by the same
schedule (it looks at the clock, at a file, at what an earlier run has left) is told, and never proved; nor is one that draws
random numbers, nor one whose tasks share what no explorer sees (a plain variable, a list in a cell: harness/functions/sharing.py), nor one
without any point. A program that would be proved is run by some random schedules, too: what one comes to, a class has come to. And
where a loop waits by reading (harness/explore/spinning.py), it is left to itself once, to see that it does.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vmrace.harness.errors import Diverged, HarnessError
from vmrace.harness.explore.again import Again, Alone
from vmrace.harness.explore.event import Event
from vmrace.harness.explore.exploration import Exploration, Progress, explore, minimal_titles, preemptions_of
from vmrace.harness.explore.orders import ORDERS, InOrder, Order, can_be_ordered, stop_of, stops_of
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.comparable import comparable
from vmrace.harness.functions.program import Program, Result, Runner
from vmrace.harness.incomplete import Incomplete, Reason
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.machine.task import PARK
from vmrace.harness.schedulers import NoPreempt, Pct, Walk

SAME_IN_A_CLASS = ("what is found", "what its tasks return", "what is shared at its end")
REPEATS = 20                # runs that are repeated at least, of however few classes
SAMPLED = 200               # random schedules of a program that would be proved
ROUNDS = 1_000              # points for which a loop that waits by reading is left to itself
STOPS = 200                 # runs, among these, in which a task stops at one of its points until the others are done


def verify(make: Callable[..., Program], *args: Any, bound: int | None = None, runs_max: int = 1 << 60, seconds_max: float = 1e9,
           progress: Callable[[Progress], None] | None = None) -> Exploration:
    """Run every class of equivalent runs of the program that `make(*args)` returns.

    The outcomes are (titles, results): what was found, or else what the tasks returned. `bound`: at most so many preemptions;
    `runs_max`, `seconds_max`: what it may take. ProgramError if `make` makes no program, or one that cannot be run.
    """
    with watchdog.watched():
        return verify_runner(Runner(make, *args), bound=bound, runs_max=runs_max, seconds_max=seconds_max, progress=progress)


def verify_runner(runner: Runner, **limits: Any) -> Exploration:
    """As `verify`, of a program that is made."""
    start, seconds = time.monotonic(), limits.get("seconds_max", 1e9)
    while True:
        found, again = _verify(runner, **{**limits, "seconds_max": max(0.0, seconds - (time.monotonic() - start))})
        if not again:
            return found


def _verify(runner: Runner, **limits: Any) -> tuple[Exploration, bool]:
    """And whether something was learned with which another exploration may come to more: plain data that is shared well, if each use is
    known, or a loop that does not wait."""
    repeats, shared = Repeats(runner), frozenset[int]()

    def reached(result: Result, events: list[Event]) -> Any:
        repeats.expect(result, events)
        titles = minimal_titles(events) or sorted(set(result.titles))
        return tuple(titles), () if titles else told_results(result)

    with watchdog.watched():
        try:
            found = explore(repeats.run, runner.cpus, reached, up=False, **limits)
            repeats.finish()
            if found.proved:
                repeats.sample(set(found.outcomes), found.bound)
        except Differs as error:
            found = Exploration(bound=limits.get("bound"), why=error.incomplete)
            if isinstance(error, Shares):
                shared = error.places
            if isinstance(error, Ends):
                runner.image.ends.add(error.loop)
                return found, True
    if found.complete and not found.titles and not runner.sharing.points:
        found.why = Incomplete(Reason.NOTHING)
    return found, bool(shared) and runner.watch(shared)


class Differs(Exception):
    """Two runs by the same decisions are not the same: one line that says in what."""

    reason = Reason.REPEATS

    @property
    def incomplete(self) -> Incomplete:
        return Incomplete(self.reason, detail=str(self))


class Shares(Differs):
    """Its tasks share plain data: one line that names it, and them; and in which places it is."""

    reason = Reason.SHARES

    def __init__(self, why: str, places: frozenset[int]):
        super().__init__(why, places)
        self.places = places

    def __str__(self) -> str:
        return str(self.args[0])


class Unseen(Differs):
    """Two runs of one class are not the same: one line that says in what."""

    reason = Reason.UNSEEN


class Ends(Differs):
    """A loop ends by itself, though it looked as if it waited: which one, as it stands in `ends` of an image."""

    reason = Reason.ENDS

    def __init__(self, loop: Any):
        super().__init__(loop)
        self.loop = loop


class Repeats:
    """Runs a program; what was told to `expect` is run again, by its decisions, before the next run."""

    def __init__(self, runner: Runner):
        self.runner = runner
        self.scheduler: Any = None
        self.expected: Expected | None = None
        self.some: list[Expected] = []
        self.count = 0
        self.found = False
        self.random = random.getstate()
        self.loops: dict[Any, Alone | None] = {}    # each that a task was parked in; and, until that is known, how to see whether it waits

    def expect(self, result: Result, events: Sequence[Event]) -> None:
        self.found = self.found or bool(result.titles)          # then nothing is proved anyway
        if not getattr(self.scheduler, "limit", False):         # such a run was cut by who explores: a replay goes on
            ordered = can_be_ordered(events) and not self.found and PARK not in result.switches[1::2]
            self.expected = Expected(list(result.switches), list(result.forced), facts(result), list(events) if ordered else [])
            if len(self.some) < REPEATS:
                self.some.append(self.expected)

    def run(self, scheduler: Any) -> Result:
        self.check()
        self.scheduler = scheduler
        try:
            result = self.runner.run(scheduler)
            self._parked(scheduler, result)
            return result
        except HarnessError as error:               # the beginning of an earlier run could not be run again: who is at fault?
            self.check()
            raise error

    def finish(self) -> None:
        """All is run. Once more what is left, and again what there is, if that is little."""
        self.check()
        for number in range(REPEATS if self.some else 0):
            self.expected = self.some[number % len(self.some)]
            self.check()
        stops = [(expected, stop) for expected in self.some if expected.events for stop in range(stops_of(expected.events))]
        for expected, stop in stops[::len(stops) // STOPS + 1]:
            self._in_order(expected, stop_of(stop))

    def check(self) -> None:
        """Differs if the run that is expected comes to something else now, or a loop that waited in it does not wait."""
        for loop, alone in self.loops.items():
            if alone is not None:
                self._leave_alone(loop, alone)
        expected, self.expected = self.expected, None
        if expected is None:
            return
        if self.random != random.getstate():
            raise Differs("it draws random numbers")
        self.count += 1
        way = (self.count + self.count // max(len(self.some), 1)) % (1 + len(ORDERS))     # each of a few is run in each way
        if way and expected.events:
            self._in_order(expected, ORDERS[way - 1])
        else:
            self._again(expected)

    def _parked(self, scheduler: Any, result: Result) -> None:
        """Remember each new loop that a task was parked in."""
        parks = [index for index in range(1, len(result.switches), 2) if result.switches[index] == PARK]
        for index, (event, _, reads) in zip(parks, scheduler.record.parks if parks else (), strict=True):
            task, (obj, arg, _) = scheduler.events[event].process, reads[0]
            if (task, obj, arg) not in self.loops:
                self.loops[task, obj, arg] = Alone(list(result.switches), list(result.forced), index, task, ROUNDS)

    def _leave_alone(self, loop: Any, alone: Alone) -> None:
        """Ends if the loop does not wait."""
        self.loops[loop] = None
        with contextlib.suppress(Diverged):
            self.runner.run(alone)
        if alone.goes_on:
            raise Ends(loop)

    def sample(self, known: set[Any], bound: int | None) -> None:
        """Unseen if a random schedule, of so many preemptions at most, comes to what is not known."""
        rng = random.Random(0)
        steps = max(self.runner.run(NoPreempt()).steps, 2)
        schedulers: list[Scheduler] = [Walk(rng, 0.05), Pct(rng, 2, steps), Walk(rng, 0.2), Pct(rng, 3, steps), Walk(rng, 0.5)]
        for number in range(SAMPLED):
            result = self.runner.run(schedulers[number % len(schedulers)])
            if result.limit_hit or result.cut or (bound is not None and preemptions_of(result.switches) > bound):
                continue
            came_to = tuple(sorted(set(result.titles))), () if result.titles else told_results(result)
            if came_to not in known:
                raise Unseen(f"a random schedule comes to {result.title or came_to[1]}, and no class does")

    def _again(self, expected: Expected) -> None:
        try:
            now = self._watched(Again(expected.switches, expected.forced))
        except Diverged as error:
            raise Differs(error.why) from None
        must_agree(expected.facts, now)

    def _watched(self, scheduler: Any) -> dict[str, Any]:
        now = facts(self.runner.run(scheduler, watch=True))
        if self.runner.sharing.why:
            raise Shares(self.runner.sharing.why, frozenset(self.runner.sharing.places))
        return now

    def _in_order(self, expected: Expected, order: Order) -> None:
        try:
            now = self._watched(InOrder(order(expected.events)))
        except Diverged:
            return                                  # what a cpu runs is not all that decides: nothing can be said by that
        for name in SAME_IN_A_CLASS:
            if now[name] != expected.facts[name]:
                self._again(expected)               # or is that so by the same decisions, too?
                raise Unseen(f"{name}: {expected.facts[name]} in one order of the same accesses, {now[name]} in another"
                             if len(f"{expected.facts[name]}{now[name]}") < 80 else name)


def told_results(result: Result) -> tuple[str, ...]:
    """The results of the tasks, as a part of an outcome."""
    return tuple(repr(comparable(one)) for one in result.results)


@dataclass
class Expected:
    """A run, and what it came to. `events`: none if it cannot be had in another order."""

    switches: Sequence[int]
    forced: Sequence[int]
    facts: dict[str, Any]
    events: Sequence[Event]


def must_agree(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Differs if a run by the same decisions came to something else."""
    for name, was in before.items():
        if now[name] != was:
            raise Differs(f"{name}: {was} before, {now[name]} now" if len(f"{was}{now[name]}") < 80 else name)


def facts(result: Result) -> dict[str, Any]:
    """What a run came to, as values that can be compared."""
    return {"what is found": sorted(set(result.titles)), "what its tasks return": comparable(result.results), "its points": result.steps,
            "its decisions": len(result.switches) + len(result.forced), "what is shared at its end": comparable(result.state)}
