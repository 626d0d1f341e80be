# SPDX-License-Identifier: MIT
"""One shard of a campaign: what a worker process does between two words with the driver.

A shard is a pure function of its task, but for where the deadline cuts it. It generates programs or mutates kept ones, runs
many schedules of each, keeps what reached something new, and hands back every title that it saw first.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

from fuzz import generate
from fuzz.executor import Executor, Outcome, Prepared, SetupFailed
from fuzz.features import Features
from harness.machine import m
from harness.schedulers import NoPreempt, Pct, Walk
from variants.interface import family
from variants.program import Program

BATCH = 24                  # schedules before a program has to have shown something new
BATCHES_MAX = 12
NEW_SHARE = 0.35            # programs made from nothing, once there is a corpus
KEPT_MAX = 400              # programs a worker keeps
CHECKED_EVERY = 40          # one run in so many is run again on a checked image
RUNS_PER_SHARD = 20_000


@dataclass
class ShardTask:
    """What to do: which variant, which part of the campaign, what is known already."""

    family: str
    variant: str
    seed: int
    number: int
    runs: int = RUNS_PER_SHARD
    seconds: float = 3.0
    known: frozenset[str] = frozenset()
    programs: list[Program] = field(default_factory=list)
    preempt: bool = False


@dataclass
class Hit:
    """A title seen for the first time: the program and the decisions of the run."""

    title: str
    program: Program
    switches: list[int]
    forced: list[int]
    run: int
    scheduler: str
    seconds: float


@dataclass
class Tally:
    """What one scheduler did."""

    runs: int = 0
    distinct: int = 0
    features: int = 0
    findings: int = 0


@dataclass
class ShardResult:
    number: int
    runs: int = 0
    distinct: int = 0
    programs_run: int = 0
    checked_runs: int = 0
    failing_runs: int = 0
    limit_runs: int = 0
    features: int = 0
    blocks: int = 0
    hits: list[Hit] = field(default_factory=list)
    kept: list[Program] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    titles: dict[str, int] = field(default_factory=dict)


class Worker:
    """What a worker process keeps from shard to shard: its images, its features, its programs."""

    def __init__(self, family_name: str, variant: str):
        made = family(family_name)
        self.fast = Executor(made, variant, probes=True)
        self.checked = Executor(made, variant, checked=True)
        self.operations = self.fast.operations()
        self.features = Features()
        self.programs: list[Program] = []
        self.known: set[Program] = set()        # every program ever kept or handed over


_workers: dict[tuple[str, str], Worker] = {}


def run_shard(task: ShardTask) -> ShardResult:
    """Entry point of a worker process."""
    key = (task.family, task.variant)
    if key not in _workers:
        _workers[key] = Worker(*key)
    return _Shard(_workers[key], task).run()


class _Shard:
    def __init__(self, worker: Worker, task: ShardTask):
        self.worker = worker
        self.task = task
        self.rng = random.Random(f"{task.seed}/{task.number}")
        self.result = ShardResult(task.number)
        self.known = set(task.known)
        self.start = time.monotonic()
        rng = self.rng
        self.schedulers: list[tuple[str, Any]] = [
            ("walk", Walk(rng, 0.03)), ("walk", Walk(rng, 0.1)), ("walk", Walk(rng, 0.3)),
            ("pct", Pct(rng, 2)), ("pct", Pct(rng, 3)), ("pct", Pct(rng, 5)),
        ]
        for name, _ in self.schedulers:
            self.result.tallies[name] = Tally()
        for program in task.programs:
            self._keep(program)

    def over(self) -> bool:
        return self.result.runs >= self.task.runs or time.monotonic() - self.start > self.task.seconds

    def run(self) -> ShardResult:
        while not self.over():
            self._program(self._choose())
        self.result.features = self.worker.features.count
        self.result.blocks = self.worker.features.block_count
        return self.result

    def _choose(self) -> Program:
        rng, kept = self.rng, self.worker.programs
        if not kept or rng.random() < NEW_SHARE:
            return generate.program(rng, self.worker.operations)
        # later programs were built on earlier ones: prefer them
        at = max(rng.randrange(len(kept)), rng.randrange(len(kept)))
        return generate.mutate(rng, kept[at], rng.choice(kept), self.worker.operations)

    def _keep(self, program: Program) -> None:
        kept = self.worker.programs
        if program in self.worker.known:
            return
        if len(self.worker.known) > 20 * KEPT_MAX:
            self.worker.known.clear()
        self.worker.known.add(program)
        kept.append(program)
        if len(kept) > KEPT_MAX:
            del kept[self.rng.randrange(KEPT_MAX // 2)]

    def _program(self, program: Program) -> None:
        worker, result = self.worker, self.result
        result.programs_run += 1
        try:
            prepared = worker.fast.prepare(program)
        except SetupFailed as failed:
            result.runs += 1
            self._failed(program, Outcome([failed.finding], [], [], failed.finding.step), "setup")
            return
        m.observer = worker.features.switched
        try:
            kept = self._explore(program, prepared)
        finally:
            m.observer = None
        if kept:
            self._keep(program)
            result.kept.append(program)

    def _explore(self, program: Program, prepared: Prepared) -> bool:
        worker, result = self.worker, self.result
        features = worker.features
        outcome = self._one(program, prepared, "nopreempt", NoPreempt())
        steps = outcome.steps
        features.looked(prepared.image)
        kept = features.take() > 0
        seen: set[int] = set()
        for _ in range(BATCHES_MAX):
            fresh = 0
            for name, scheduler in self.rng.choices(self.schedulers, k=BATCH):
                if isinstance(scheduler, Pct):
                    scheduler.learn(steps)
                outcome = self._one(program, prepared, name, scheduler)
                features.looked(prepared.image)
                new = features.take()
                fresh += new
                tally = result.tallies[name]
                tally.features += new
                key = hash((tuple(outcome.switches), tuple(outcome.forced)))
                if key not in seen:
                    seen.add(key)
                    tally.distinct += 1
                    result.distinct += 1
                if new or result.runs % CHECKED_EVERY == 0:
                    self._check(program, outcome)
            kept = kept or fresh > 0
            if not fresh or self.over():
                break
        return kept

    def _one(self, program: Program, prepared: Prepared, name: str, scheduler: Any) -> Outcome:
        result = self.result
        outcome = self.worker.fast.run(prepared, scheduler)
        result.runs += 1
        result.limit_runs += outcome.limit_hit
        tally = result.tallies.setdefault(name, Tally())
        tally.runs += 1
        if outcome.findings:
            self._failed(program, outcome, name)
        return outcome

    def _check(self, program: Program, outcome: Outcome) -> None:
        """The same decisions on a checked image: guarded fields, lock orders of this run, leaks after full reclaim."""
        observer, m.observer = m.observer, None
        checked = self.worker.checked
        try:
            prepared = checked.prepare(program)
            again = checked.replay(prepared, outcome.switches, outcome.forced)
            again.findings += checked.leaks(prepared, again)
            self.result.checked_runs += 1
            if again.findings:
                self._failed(program, again, "checked")
        except SetupFailed as failed:
            self._failed(program, Outcome([failed.finding], [], [], 0), "setup")
        finally:
            m.observer = observer

    def _failed(self, program: Program, outcome: Outcome, name: str) -> None:
        result = self.result
        result.failing_runs += 1
        for finding in outcome.findings:
            title = finding.title
            result.titles[title] = result.titles.get(title, 0) + 1
            if title not in self.known:
                self.known.add(title)
                result.tallies.setdefault(name, Tally()).findings += 1
                result.hits.append(Hit(title, program, list(outcome.switches), list(outcome.forced), result.runs, name,
                                       time.monotonic() - self.start))
