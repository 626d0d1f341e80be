# SPDX-License-Identifier: MIT
"""The search of one example of a property: many schedules of one program, up to the first that fails; and what is told of it."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from typing import Any

from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, SetupFailed
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.sampling.coverage import Features
from vmrace.fuzz.sampling.portfolio import PAIRS_MAX, Ran, Sampling, Spent, portfolio
from vmrace.fuzz.shrink.confirm import Confirmed, confirm
from vmrace.fuzz.testing.run_view import Run
from vmrace.harness.finding import Finding, Kind, is_only_told
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.family import Family
from vmrace.variants.program import Program, TaskProgram

Holds = Callable[[Run], object]


class Judging(Executor):
    """An executor whose runs are also judged by a property: if that raises AssertionError, or returns False, the run has a finding."""

    def __init__(self, family: Family, variant: str, name: str, holds: Holds, checked: bool = False):
        super().__init__(family, variant, checked=checked)
        self.title = Kind.CHECK.title(f"{name} fails")
        self.holds = holds

    def run(self, prepared: Prepared, scheduler: Scheduler) -> Outcome:
        outcome = super().run(prepared, scheduler)
        try:
            if self.holds(Run(self, prepared, outcome)) is not False:
                return outcome
            detail = "it returned False"
        except AssertionError as error:
            detail = str(error).partition("\n")[0]
        outcome.findings = [*outcome.findings, Finding(self.title, "check", outcome.steps, detail=detail)]
        return outcome


class Found(Exception):
    """The end of a search: a run that fails."""

    def __init__(self, hit: Hit):
        super().__init__(hit)
        self.hit = hit


class Search:
    """A search of schedules of one variant: a property, the executors that judge it, and the features reached so far.

    `findings`: whether a finding of a sanitizer fails an example, too. `runs` counts the runs of all examples; `fresh` the new features
    of the last one.
    """

    def __init__(self, family: Family, variant: str, name: str, holds: Holds, findings: bool = True):
        self.fast = Judging(family, variant, name, holds)
        self.family, self.variant, self.name, self.findings = family, variant, name, findings
        self.features = Features()
        self.runs = self.fresh = 0

    def fails(self, outcome: Outcome) -> str:
        """Return the title by which a run fails, or an empty text. A race breaks nothing, as in a campaign."""
        return next((title for title in outcome.titles if title == self.fast.title or (self.findings and not is_only_told(title))), "")

    def example(self, program: Program, schedules: int, seed: int) -> Hit | None:
        """Run at most that number of schedules of a program, up to the first that fails. None if none does."""
        try:
            prepared = self.fast.prepare(program)
        except SetupFailed:
            program = Program((), (TaskProgram(0, program.setup),), max(2, program.cpus))       # it fails alone: then as a task
            prepared = self.fast.prepare(program)
            schedules = 1
        door = _Door(self, program, prepared, schedules, seed)
        try:
            with m.watched(observer=self.features):
                door.sample()
        except Found as found:
            return found.hit
        finally:
            self.runs += door.runs
            self.fresh = door.fresh
        return None

    def confirm(self, hit: Hit, seconds: float) -> Confirmed:
        """Shrink a failure, for at most that number of seconds, and replay it. HarnessError if it does not replay."""
        checked = Judging(self.family, self.variant, self.name, self.fast.holds, checked=True)
        return confirm(self.family.name, self.variant, hit, 0, deadline=time.monotonic() + seconds, executor=checked)


class _Door:
    """The access of `Sampling` to one program (see vmrace.fuzz.sampling.portfolio.Door)."""

    def __init__(self, search: Search, program: Program, prepared: Prepared, schedules: int, seed: int):
        self.search, self.program, self.prepared = search, program, prepared
        self.runs_max = self.limit = schedules
        self.runs = self.fresh = 0
        rng = random.Random(seed)
        self.sampling: Sampling[Outcome] = Sampling(rng, portfolio(rng), len(program.tasks), program.size, self, [])

    def sample(self) -> None:
        """Make the runs: without preemption first, then their children for at most half of the runs, then random ones. Raises Found."""
        with contextlib.suppress(Spent):
            if self.runs_max == 1:
                self.run("nopreempt", NoPreempt())
            self.sampling.leads()
            self.limit = self.runs_max // 2
            self.sampling.children()
            self.limit = self.runs_max
            while True:
                self.sampling.batch()

    def over(self) -> bool:
        return self.runs >= self.limit

    def recorder(self) -> Places:
        return Places()

    def shared(self) -> list[Any]:
        return []

    def run(self, name: str, scheduler: Scheduler, places: Places | None = None) -> Outcome:
        if self.runs >= self.runs_max:
            raise Spent
        self.runs += 1
        with m.watched(places, m.observer):
            outcome = self.search.fast.run(self.prepared, scheduler)
        if outcome.findings and (title := self.search.fails(outcome)):
            raise Found(Hit(title, self.program, list(outcome.switches), list(outcome.forced), self.runs, name, 0.0))
        return outcome

    def places(self, ran: Ran) -> Places:
        places = Places()
        with m.watched(places):
            Executor.run(self.search.fast, self.prepared, Replay(ran.switches, ran.forced))
        return places

    def shows(self, name: str, ran: Any) -> int:
        new = self.search.features.take()
        self.fresh += new
        return 1 if new and len(self.sampling.schedules) < PAIRS_MAX else 0
