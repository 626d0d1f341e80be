# SPDX-License-Identifier: MIT
"""The search for a schedule that fails, in programs of plain functions.

The first run lets all tasks take turns. After it, each run draws a line of the table SCHEDULERS. A line is drawn in proportion to its
weight, times the share of its runs that showed something new, and never less than FLOOR times its weight. A run is observed while it is
made, and no run is only for learning.

The search is a function of the program and the seed, if no time limit ends it.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vmrace.fuzz.functions.rerun import again
from vmrace.fuzz.functions.result import Failure, Sampled
from vmrace.fuzz.sampling.classes import Classes
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.sampling.coverage import Features
from vmrace.fuzz.sampling.portfolio import PAIRS_MAX, SCHEDULERS, Tally, Way, bred
from vmrace.harness import stop
from vmrace.harness.functions.program import Result, Runner
from vmrace.harness.functions.verify import Differs, facts
from vmrace.harness.incomplete import Incomplete, Reason
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import InTurn
from vmrace.harness.schedulers.mutate import Bred
from vmrace.harness.schedulers.nopreempt import INTERRUPTS
from vmrace.harness.schedulers.relation import Relation

REPEATED_EVERY = 20         # one run in that number is made again, and must have the same facts
FLOOR = 0.1                 # the least part of its weight that a line of the table keeps
LEAD_WEIGHT = 4             # with which later runs are made from a run without preemption


@dataclass
class Effort:
    """A line of the table, with its scheduler, and what its runs have yielded."""

    way: Way
    scheduler: Scheduler
    weight: int
    runs: int = 0
    new: int = 0                # runs that showed something new

    @property
    def share(self) -> float:
        return self.weight * max(FLOOR, (self.new + 1) / (self.runs + 1))


class _Spent(Exception):
    """The end of sampling."""


class Search:
    """The search on one program. The attributes up to `accesses` are the facts that the table's `learn` functions read."""

    def __init__(self, runner: Runner, out: Sampled, runs: int, seconds: float, keep_going: bool,
                 seen: Callable[[Failure], None] | None, tick: Callable[[Sampled], None] | None, over: Callable[[], bool]):
        self.seen, self.no_more = seen, over
        self.runner, self.out, self.runs_max, self.seconds, self.keep_going, self.tick = runner, out, runs, seconds, keep_going, tick
        self.rng = rng = random.Random(out.seed)
        self.relation = Relation()
        self.schedules: list[Bred] = []             # kept runs, to make schedules from
        self.unled: list[int] = [*([INTERRUPTS] if runner.raised else []), *range(len(runner.tasks))]     # first tasks still to be tried
        self.steps = 0                              # the most points of a run so far
        self.objects: set[Any] = set()              # contended in a kept run
        self.accesses = 0                           # to these, the most in one run
        self.efforts = [Effort(way, way.make(rng), weight) for way in SCHEDULERS
                        if (weight := way.weight if way.functions is None else way.functions)]
        self.classes = Classes(runner.image, [cpu for cpu, _ in runner.tasks], False, runner.program.preempt)
        self.features = Features()
        self.random = random.getstate()
        hidden = runner.kept.hidden()
        self.hidden = out.unseen = Incomplete(Reason.HIDDEN, detail=hidden) if hidden else None
        self.start = time.monotonic()
        out.tallies.update({name: Tally() for name in ("in_turn", *(effort.way.name for effort in self.efforts))})

    def sample(self) -> None:
        """Make runs until `over`."""
        with contextlib.suppress(_Spent):
            first = InTurn()
            first.relation = self.relation
            self._run("in_turn", first)
            while not self.over():
                self._one(self._drawn())

    def over(self) -> bool:
        """True if no more runs are wanted."""
        out = self.out
        return bool(stop.asked() or self.no_more()
                    or (out.failures and not self.keep_going) or (self.runs_max and out.runs >= self.runs_max)
                    or time.monotonic() - self.start > self.seconds)

    def _drawn(self) -> Effort:
        """Draw a line of the table that has something to do."""
        while True:
            effort = self.rng.choices(self.efforts, [effort.share for effort in self.efforts])[0]
            if effort.way.learn is None or effort.way.learn(effort.scheduler, self) is not False:
                return effort

    def _one(self, effort: Effort) -> None:
        effort.runs += 1
        effort.new += self._run(effort.way.name, effort.scheduler)

    def _run(self, name: str, scheduler: Scheduler) -> bool:
        """Make a run, and keep it if it shows something new. True if it does."""
        if self.over():
            raise _Spent
        out, lead = self.out, name == "nopreempt"
        places = Places() if lead or len(self.schedules) < PAIRS_MAX else None
        with m.watched(places, self.features), self.classes.logged():
            result = self.runner.run(scheduler)
        self.steps = max(self.steps, result.steps)
        out.runs += 1
        out.limit_runs += result.limit_hit
        tally = out.tallies[name]
        tally.runs += 1
        if self.classes.is_new(result):
            tally.distinct += 1
            out.distinct += 1
        self._note_failures(name, result, tally)
        new = self.features.take()
        tally.features += new
        if places is not None and (new or lead):
            self._keep(bred(self.rng, result, places, LEAD_WEIGHT if lead else 1))
        if out.runs % REPEATED_EVERY == 1 or self.runner.sharing.anew():
            self._repeat(result)
        if self.tick is not None:
            out.seconds = time.monotonic() - self.start
            self.tick(out)
        return bool(new)

    def _keep(self, one: Bred) -> None:
        self.schedules.append(one)
        assert one.places is not None, "`bred` finds the places of each run"
        self.objects.update(one.places)
        self.accesses = max(self.accesses, sum(map(len, one.places.values())))

    def _note_failures(self, name: str, result: Result, tally: Tally) -> None:
        out = self.out
        for title in dict.fromkeys(result.titles):
            if title not in out.titles:
                tally.findings += 1
                failure = Failure(title, out.runs, time.monotonic() - self.start, name, len(result.switches) // 2,
                                  list(result.switches), list(result.forced))
                out.failures.append(failure)
                if self.seen is not None:
                    self.seen(failure)
            out.titles[title] = out.titles.get(title, 0) + 1

    def _repeat(self, result: Result) -> None:
        """Make a run again. Differs if its facts are not the same."""
        before = facts(result)
        if self.random != random.getstate():
            raise Differs("it draws random numbers")
        while True:
            again(self.runner, result.switches, result.forced, before)
            why = self.runner.sharing.why
            if not (why and self.runner.watch(self.runner.sharing.places)):     # the program may order them; the next runs show it
                break
        self.out.unseen = Incomplete(Reason.SHARES, detail=why) if why else self.hidden
