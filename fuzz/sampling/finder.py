# SPDX-License-Identifier: MIT
"""Runs of one variant, with counts of them and a hit for each title that they see first. Searches of every engine make their runs here."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, SetupFailed
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.sampling.classes import Classes
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.sampling.coverage import Features
from vmrace.fuzz.sampling.portfolio import PAIRS_MAX, SCHEDULERS, Ran, Sampling, Tally
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import family
from vmrace.variants.program import Program, TaskProgram

CHECKED_EVERY = 100         # one run in 100 is also run on a checked image


@dataclass
class Counts:
    """The counts and hits of some runs. `distinct`: the runs of a class that no earlier run of this exploration of the program had.
    `replays`: runs made again, to learn more of them; `checked_runs` are among them. `tallies` counts by kind of schedule, `titles` the
    runs with each title."""

    runs: int = 0
    distinct: int = 0
    replays: int = 0
    programs_run: int = 0
    checked_runs: int = 0
    failing_runs: int = 0
    limit_runs: int = 0
    hits: list[Hit] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    titles: dict[str, int] = field(default_factory=dict)


def tallies() -> dict[str, Tally]:
    """Return a tally for each scheduler of the table, in its order."""
    return {way.name: Tally() for way in SCHEDULERS}


def executors(family_name: str, variant: str) -> tuple[Executor, Executor]:
    """Return an executor with probes and a checked one.

    Each image with probes has made a run. In its first one a family works out tables for its checks, with functions of the kernel: these
    would mark blocks that no program has reached.
    """
    made = family(family_name)
    fast = Executor(made, variant, probes=True)
    for cpus in (1, 2):
        fast.run(fast.prepare(Program((), (TaskProgram(0, ()),), cpus)), NoPreempt())
    return fast, Executor(made, variant, checked=True)


def alone(program: Program) -> Program:
    """Return a program whose only task is the setup of this one."""
    return Program((), (TaskProgram(0, program.setup),), program.cpus, program.preempt)


class Finder:
    """Runs on a fast image, some of them again on a checked one. `known` holds the titles that cause no hit any more."""

    def __init__(self, fast: Executor, checked: Executor, counts: Counts, known: set[str]):
        self.fast, self.checked, self.counts, self.known = fast, checked, counts, known
        self._classes: Classes | None = None
        self._classes_prepared: Prepared | None = None
        self._checked_program: Program | None = None
        self._checked_prepared: Prepared | None = None

    def over(self) -> bool:
        """True if no run is left."""
        raise NotImplementedError

    def spend(self) -> None:
        """Charge one run to the budget, before it is made. Raises Spent if the budget is used up."""
        raise NotImplementedError

    def one(self, program: Program, prepared: Prepared, name: str, scheduler: Scheduler) -> Outcome:
        """Run one schedule. Raises Spent if no run is left."""
        classes = self.classes_of(prepared)
        with classes.logged():
            outcome = self.explored(program, prepared, name, scheduler)
        self.distinct(name, classes.is_new(outcome))
        return outcome

    def explored(self, program: Program, prepared: Prepared, name: str, scheduler: Scheduler) -> Outcome:
        """Run one schedule of an explorer, which knows whether its class is new. Raises Spent if no run is left."""
        self.spend()
        outcome = self.fast.run(prepared, scheduler)
        self.counts.tallies.setdefault(name, Tally()).runs += 1
        self.counts.limit_runs += outcome.limit_hit
        if outcome.findings:
            self._failed(program, outcome, name)
        return outcome

    def distinct(self, name: str, classes: int) -> None:
        """Count new classes of this kind of schedule."""
        self.counts.tallies.setdefault(name, Tally()).distinct += classes
        self.counts.distinct += classes

    def classes_of(self, prepared: Prepared) -> Classes:
        """Return the classes of the program that is explored now."""
        if self._classes is None or self._classes_prepared is not prepared:
            on = [cpu for cpu, _ in prepared.tasks]
            self._classes = Classes(prepared.image, on, prepared.cpus == 1, prepared.program.preempt)
            self._classes_prepared = prepared
        return self._classes

    def places(self, prepared: Prepared, ran: Ran) -> Places:
        """Replay the run with a recorder of the steps at which it touches each object."""
        places = self.recorder()
        self.watch(prepared, ran, places)
        self.recorded(prepared, ran, places)
        return places

    def watch(self, prepared: Prepared, ran: Ran, places: Places) -> None:
        """Replay the run with this recorder."""
        self.counts.replays += 1
        with m.watched(places):
            self.fast.replay(prepared, ran.switches, ran.forced)

    def recorder(self) -> Places:
        """Return a recorder of the steps at which a run touches each object."""
        return Places()

    def recorded(self, prepared: Prepared, ran: Ran, places: Places) -> None:
        """Learn from a run that a recorder has watched."""

    def check(self, program: Program, outcome: Outcome) -> None:
        """Make the same decisions on a checked image, which tests guarded fields and lock orders, and look for races and leaks."""
        checked = self.checked
        with m.watched():
            try:
                prepared = self._checked_prepared
                if prepared is None or self._checked_program is not program:
                    prepared = checked.prepare(program)
                    self._checked_program, self._checked_prepared = program, prepared
                again = checked.replay(prepared, outcome.switches, outcome.forced)
                again.findings += checked.leaks(prepared, again)
                self.counts.checked_runs += 1
                self.counts.replays += 1
                if again.findings:
                    self._failed(program, again, "checked")
            except SetupFailed as failed:
                self.setup_failed(program, failed)

    def setup_failed(self, program: Program, failed: SetupFailed) -> None:
        """Report a finding without a race: the setup becomes the only task of a program, and is run on a checked image."""
        if failed.finding.title in self.known:
            self.counts.failing_runs += 1
            self._count(failed.finding.title)
            return
        with m.watched():
            self._failed(alone(program), self.checked.run(self.checked.prepare(alone(program)), NoPreempt()), "setup")

    def _count(self, title: str) -> None:
        self.counts.titles[title] = self.counts.titles.get(title, 0) + 1

    def _failed(self, program: Program, outcome: Outcome, name: str) -> None:
        counts = self.counts
        counts.failing_runs += 1
        for finding in outcome.findings:
            self._count(finding.title)
            if finding.title not in self.known:
                self.known.add(finding.title)
                counts.tallies.setdefault(name, Tally()).findings += 1
                counts.hits.append(Hit(finding.title, program, list(outcome.switches), list(outcome.forced), counts.runs, name,
                                       time.monotonic()))


class Door:
    """The access of `sampling` to one program (see portfolio.Door). `covered`: the blocks that its runs have reached."""

    sampling: Sampling[Outcome]

    def __init__(self, finder: Finder, program: Program, prepared: Prepared, features: Features):
        self.finder, self.program, self.prepared, self.features = finder, program, prepared, features
        features.begin_program()
        self.covered = 0
        self.shown = 0

    def run(self, name: str, scheduler: Scheduler, places: Places | None = None) -> Outcome:
        with m.watched(places, m.observer):
            ran = self.finder.one(self.program, self.prepared, name, scheduler)
        if places is not None:
            self.finder.recorded(self.prepared, ran, places)
        return ran

    def recorder(self) -> Places:
        return self.finder.recorder()

    def places(self, ran: Ran) -> Places:
        places = self.finder.places(self.prepared, ran)
        self.covered = self.prepared.image.probes.count(1)      # the next run gets no credit for blocks of the replay
        return places

    def shared(self) -> list[Any]:
        return self.finder.classes_of(self.prepared).shared()

    def over(self) -> bool:
        return self.finder.over()

    def shows(self, name: str, ran: Outcome) -> int:
        """Return 4 for a run with a new block, 1 for one with a pair that is new for this program while few runs are kept, else 0."""
        here = self.features.fresh_here
        counts, new, now = self.finder.counts, self.features.take(), self.prepared.image.probes.count(1)
        weight = 4 if now > self.covered else 1 if here and len(self.sampling.schedules) < PAIRS_MAX else 0
        self.covered = now
        self.shown += weight > 0
        tally = counts.tallies.setdefault(name, Tally())
        tally.features += new
        if counts.runs % CHECKED_EVERY == 0:
            self.finder.check(self.program, ran)
        return weight
