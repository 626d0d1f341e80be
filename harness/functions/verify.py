# SPDX-License-Identifier: MIT
"""Proofs about programs of plain functions, for Python code and for tests:

    from vmrace.harness.functions.verify import verify

    def test_no_update_is_lost():
        proof = verify(make, 3)
        assert proof.proved, proof.titles

Each run is repeated once, by its decisions or in another order of the same class. A program is inconclusive if
    it does something else by the same schedule: it reads a file, or data that an earlier run has left;
    its code names a clock, or random numbers of the system (harness/user_data/clocks.py);
    it draws random numbers;
    its functions reach an object that may keep something from run to run, and could not be put back, as a database connection;
    its tasks share data that no explorer sees, as a plain variable, or a list in a cell (harness/user_data/sharing.py);
    no task reaches a point.

Before a program is proved, it also runs by some random schedules: the outcome of each must be the outcome of a class. If a loop waits by
reading (harness/explore/spinning.py), its task is left alone once, to test that the loop does wait.
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
from vmrace.harness.functions.program import Program, Result, Runner
from vmrace.harness.incomplete import Incomplete, Reason
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.machine.task import PARK
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.harness.user_data.comparable import comparable

SAME_IN_A_CLASS = ("its findings", "its results", "its shared state at the end")
REPEATS = 20                # repeated runs at least, however few the classes are
SAMPLED = 200               # random schedules of a program before it is proved
ROUNDS = 1_000              # points for which a loop that waits by reading is left alone
STOPS = 200                 # repeated runs at most in which a task stops at one of its points until the others are done


def verify(make: Callable[..., Program], *args: Any, preemptions: int | None = None, runs: int = 1 << 60, seconds: float = 1e9,
           progress: Callable[[Progress], None] | None = None) -> Exploration:
    """Run every class of schedules of the program that `make(*args)` returns.

    An outcome is (titles, results): the titles of the findings, or, if there are none, the results of the tasks. `preemptions`: at most
    that number in a schedule, None for any. `runs` and `seconds` limit the exploration; beyond them the result is inconclusive.
    Raises ProgramError if `make` returns no program, or one that cannot be run.
    """
    with watchdog.watched():
        return verify_runner(Runner(make, *args), bound=preemptions, runs_max=runs, seconds_max=seconds, progress=progress)


def verify_runner(runner: Runner, **limits: Any) -> Exploration:
    """Verify a program that is made already; `limits` are those of `verify`."""
    start, seconds = time.monotonic(), limits.get("seconds_max", 1e9)
    while True:
        found, again = _verify(runner, **{**limits, "seconds_max": max(0.0, seconds - (time.monotonic() - start))})
        if not again:
            return found


def _verify(runner: Runner, **limits: Any) -> tuple[Exploration, bool]:
    """Explore once. Return the exploration, and True if it must be repeated with a fact that it has learnt.

    Such a fact is a loop that does not wait, or plain data whose uses can be recorded, and which may be shared well.
    """
    hidden = runner.kept.hidden()
    if hidden:
        return Exploration(bound=limits.get("bound"), why=Incomplete(Reason.HIDDEN, detail=hidden)), False
    repeats, shared = Repeats(runner), frozenset[int]()

    def reached(result: Result, events: list[Event]) -> Any:
        repeats.expect(result, events)
        titles = minimal_titles(events) or sorted(set(result.titles))
        return tuple(titles), () if titles else results_of(result)

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
    if found.proved and runner.kept.clock:
        found.why = Incomplete(Reason.REPEATS, detail=f"it can read a clock or random numbers of the system: {runner.kept.clock}")
    return found, bool(shared) and runner.watch(shared)


class Differs(Exception):
    """Two runs by the same decisions differ; the message says in what, in one line."""

    reason = Reason.REPEATS

    @property
    def incomplete(self) -> Incomplete:
        return Incomplete(self.reason, detail=str(self))


class Shares(Differs):
    """The tasks share plain data: the message names the data and the tasks, in one line; `places` are the places of the data."""

    reason = Reason.SHARES

    def __init__(self, why: str, places: frozenset[int]):
        super().__init__(why, places)
        self.places = places

    def __str__(self) -> str:
        return str(self.args[0])


class Unseen(Differs):
    """Two runs of one class of schedules differ; the message says in what, in one line."""

    reason = Reason.UNSEEN


class Ends(Differs):
    """A loop that seemed to wait ends by itself. `loop` names it, as in `Image.ends`."""

    reason = Reason.ENDS

    def __init__(self, loop: Any):
        super().__init__(loop)
        self.loop = loop


class Repeats:
    """A runner that repeats, before each run, the run before it, and checks that both agree.

    `run` makes a run; `expect` hands it over to be repeated. It raises Differs, or a subclass, if the two differ.
    """

    def __init__(self, runner: Runner):
        self.runner = runner
        self.scheduler: Any = None
        self.expected: Expected | None = None
        self.some: list[Expected] = []
        self.count = 0
        self.found = False
        self.random = random.getstate()
        self.loops: dict[Any, Alone | None] = {}    # each loop in which a task was parked -> the test whether it waits, until that is made

    def expect(self, result: Result, events: Sequence[Event]) -> None:
        """Expect the repetition of a run to have this result. `events`: those of the run, for its other orders."""
        self.found = self.found or bool(result.titles)          # then no proof needs the other orders
        if not getattr(self.scheduler, "limit", False):         # the explorer has cut this run short: a replay would go on
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
        except HarnessError as error:               # the explorer could not repeat the beginning of a run: is that the program's fault?
            self.check()
            raise error

    def finish(self) -> None:
        """End the exploration: repeat the last run, then the first few runs until there are REPEATS repetitions, then stop tasks."""
        self.check()
        for number in range(REPEATS if self.some else 0):
            self.expected = self.some[number % len(self.some)]
            self.check()
        stops = [(expected, stop) for expected in self.some if expected.events for stop in range(stops_of(expected.events))]
        for expected, stop in stops[::len(stops) // STOPS + 1]:
            self._in_order(expected, stop_of(stop))

    def check(self) -> None:
        """Repeat the expected run. Raises Differs if it differs now, or Ends if a loop in which a task waited does not wait."""
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
        """Remember each loop in which `result` has parked a task, if it is new."""
        parks = [index for index in range(1, len(result.switches), 2) if result.switches[index] == PARK]
        for index, (event, _, reads) in zip(parks, scheduler.record.parks if parks else (), strict=True):
            task, (obj, arg, _) = scheduler.events[event].process, reads[0]
            if (task, obj, arg) not in self.loops:
                self.loops[task, obj, arg] = Alone(list(result.switches), list(result.forced), index, task, ROUNDS)

    def _leave_alone(self, loop: Any, alone: Alone) -> None:
        """Leave the task alone in its loop, while no other task runs. Raises Ends if the loop ends: it does not wait."""
        self.loops[loop] = None
        with contextlib.suppress(Diverged):
            self.runner.run(alone)
        if alone.goes_on:
            raise Ends(loop)

    def sample(self, known: set[Any], bound: int | None) -> None:
        """Run SAMPLED random schedules. Raises Unseen if one with at most `bound` preemptions has an outcome that is not in `known`."""
        rng = random.Random(0)
        steps = max(self.runner.run(NoPreempt()).steps, 2)
        schedulers: list[Scheduler] = [Walk(rng, 0.05), Pct(rng, 2, steps), Walk(rng, 0.2), Pct(rng, 3, steps), Walk(rng, 0.5)]
        for number in range(SAMPLED):
            result = self.runner.run(schedulers[number % len(schedulers)])
            if result.limit_hit or result.cut or (bound is not None and preemptions_of(result.switches) > bound):
                continue
            came_to = tuple(sorted(set(result.titles))), () if result.titles else results_of(result)
            if came_to not in known:
                raise Unseen(f"a random schedule has the outcome {result.title or came_to[1]}, and no class of schedules has")

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
            return                                  # the class has this order, but no schedule here makes it: it tests nothing
        for name in SAME_IN_A_CLASS:
            if now[name] != expected.facts[name]:
                self._again(expected)               # raises Differs if the same decisions differ, too
                raise Unseen(f"{name}: {expected.facts[name]} in one order of the same accesses, {now[name]} in another"
                             if len(f"{expected.facts[name]}{now[name]}") < 80 else name)


def results_of(result: Result) -> tuple[str, ...]:
    """Return the results of the tasks, as a part of an outcome."""
    return tuple(repr(comparable(one)) for one in result.results)


@dataclass
class Expected:
    """A run to be repeated: its decisions, and the facts that must be the same. `events` is empty if it has no other orders."""

    switches: Sequence[int]
    forced: Sequence[int]
    facts: dict[str, Any]
    events: Sequence[Event]


def must_agree(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise Differs if the facts of two runs by the same decisions differ."""
    for name, was in before.items():
        if now[name] != was:
            raise Differs(f"{name}: {was} before, {now[name]} now" if len(f"{was}{now[name]}") < 80 else name)


def facts(result: Result) -> dict[str, Any]:
    """Return the facts of a run by their names, as values that can be compared."""
    return {"its findings": sorted(set(result.titles)), "its results": comparable(result.results), "the number of its points": result.steps,
            "the number of its decisions": len(result.switches) + len(result.forced),
            "its shared state at the end": comparable(result.state)}
