# SPDX-License-Identifier: MIT
"""Fuzzing of plain functions: schedules are sampled as in a campaign, and each failure is shrunk to the fewest preemptions.

    from vmrace.fuzz.functions.sample import fuzz

    def test_no_update_is_lost():
        found = fuzz(make, 3, runs=1000)
        assert found.ok, found.story

A failure is replayed REPLAYS times, by its decisions and by the names in its schedule, before it is reported. If the runs of a
program do not repeat by the same schedule, that is the only report. If its tasks share plain data, or it has no points, failures are
reported, but the absence of failures is not.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from typing import Any

from vmrace.fuzz.functions.rerun import again, places_of
from vmrace.fuzz.functions.result import Failure, Sampled
from vmrace.fuzz.functions.shrink import shrink_failure
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.sampling.coverage import Features
from vmrace.fuzz.sampling.portfolio import PAIRS_MAX, SCHEDULERS, Sampling, Tally, portfolio
from vmrace.fuzz.text.times import shrink_seconds
from vmrace.harness import stop
from vmrace.harness.errors import HarnessError, ProgramError
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.program import Program, Result, Runner
from vmrace.harness.functions.verify import Differs, facts
from vmrace.harness.incomplete import Incomplete, Reason, of_error
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler

REPEATED_EVERY = 20         # one run in that number is made again, and must have the same facts


def fuzz(make: Callable[..., Program], *args: Any, runs: int = 10_000, seconds: float = 60.0, seed: int = 0, keep_going: bool = False,
         shrink: bool = True) -> Sampled:
    """Sample schedules of the program that `make(*args)` returns.

    At most `runs` of them (0: any number), for at most `seconds`, up to the first that fails unless `keep_going`. ProgramError if
    `make` makes no program, or one that cannot be run. HarnessError for an error of vmrace.
    """
    with watchdog.watched():
        out = fuzz_runner(Runner(make, *args), runs=runs, seconds=seconds, seed=seed, keep_going=keep_going, shrink=shrink)
    for failure, why in out.unconfirmed:
        raise HarnessError(f"{failure.title}: {why}")
    return out


def fuzz_runner(runner: Runner, *, runs: int = 0, seconds: float = 60.0, seed: int = 0, keep_going: bool = False, shrink: bool = True,
                seen: Callable[[Failure], None] | None = None, told: Callable[[Failure], None] | None = None,
                tick: Callable[[Sampled], None] | None = None, over: Callable[[], bool] = lambda: False) -> Sampled:
    """Sample schedules of a program as `fuzz` does.

    `seen` hears of each failure at once, `told` hears of it when it is shrunk and replayed, `tick` hears of progress. A request to stop,
    or `over`, ends the sampling; the failures found by then are replayed and reported, and not shrunk.
    """
    out = Sampled(runner.name, seed)
    search = _Search(runner, out, runs, seconds, keep_going, seen, tick, over)
    try:
        with watchdog.watched(), stop.held():
            search.sample()
            if not runner.sharing.points:
                out.unseen = out.unseen or Incomplete(Reason.NOTHING)
            for failure in out.failures:
                left = search.start + seconds + shrink_seconds(seconds) - time.monotonic()
                each = max(0.0, min(shrink_seconds(seconds), left)) if shrink and not stop.asked() else 0.0
                if _confirmed(runner, failure, each, out) and told is not None:
                    told(failure)
    except Differs as error:
        out.why = error.incomplete
    out.interrupted = stop.asked()
    out.seconds = time.monotonic() - search.start
    return out


def _confirmed(runner: Runner, failure: Failure, seconds: float, out: Sampled) -> bool:
    """Confirm one failure. An error of vmrace with it does not keep the others from being confirmed."""
    try:
        shrink_failure(runner, failure, seconds)
    except (Differs, ProgramError):
        raise                                   # an error of the program
    except Exception as error:
        out.unconfirmed.append((failure, str(of_error(error))))
        return False
    return True


class _Spent(Exception):
    """The end of sampling."""


class _Search:
    """The door of `Sampling` to one program (see vmrace.fuzz.sampling.portfolio.Door)."""

    def __init__(self, runner: Runner, out: Sampled, runs: int, seconds: float, keep_going: bool,
                 seen: Callable[[Failure], None] | None, tick: Callable[[Sampled], None] | None, over: Callable[[], bool]):
        self.seen, self.no_more = seen, over
        self.runner, self.out, self.runs_max, self.seconds, self.keep_going, self.tick = runner, out, runs, seconds, keep_going, tick
        self.features = Features()
        self.random = random.getstate()
        self.start = time.monotonic()
        rng = random.Random(out.seed)
        schedulers = portfolio(rng)
        out.tallies.update({way.name: Tally() for way in SCHEDULERS})
        self.sampling = Sampling(rng, schedulers, len(runner.tasks), len(runner.tasks), self, [])

    def sample(self) -> None:
        with contextlib.suppress(_Spent):
            self.sampling.leads()
            self.sampling.children()
            while not self.over():
                self.sampling.batch()

    def over(self) -> bool:
        out = self.out
        return bool(stop.asked() or self.no_more()
                    or (out.failures and not self.keep_going) or (self.runs_max and out.runs >= self.runs_max)
                    or time.monotonic() - self.start > self.seconds)

    def run(self, name: str, scheduler: Scheduler) -> Result:
        out = self.out
        if self.over():
            raise _Spent
        with m.watched(observer=self.features):
            result = self.runner.run(scheduler)
        changed = self.runner.sharing.anew()
        out.runs += 1
        out.limit_runs += result.limit_hit
        tally = out.tallies.setdefault(name, Tally())
        tally.runs += 1
        if self.sampling.new(result):
            tally.distinct += 1
            out.distinct += 1
        for title in dict.fromkeys(result.titles):
            if title not in out.titles:
                tally.findings += 1
                failure = Failure(title, out.runs, time.monotonic() - self.start, name, len(result.switches) // 2,
                                  list(result.switches), list(result.forced))
                out.failures.append(failure)
                if self.seen is not None:
                    self.seen(failure)
            out.titles[title] = out.titles.get(title, 0) + 1
        if out.runs % REPEATED_EVERY == 1 or changed:
            self._repeat(result)
        if self.tick is not None:
            out.seconds = time.monotonic() - self.start
            self.tick(out)
        return result

    def _repeat(self, result: Result) -> None:
        before = facts(result)
        if self.random != random.getstate():
            raise Differs("it draws random numbers")
        while True:
            again(self.runner, result.switches, result.forced, before)
            why = self.runner.sharing.why
            if not (why and self.runner.watch(self.runner.sharing.places)):     # the program may order them; the next runs show it
                break
        self.out.unseen = Incomplete(Reason.SHARES, detail=why) if why else None

    def shows(self, name: str, result: Result) -> int:
        new = self.features.take()
        self.out.tallies[name].features += new
        return 1 if new and len(self.sampling.schedules) < PAIRS_MAX else 0

    def places(self, result: Result) -> Places:
        return places_of(self.runner, result)
