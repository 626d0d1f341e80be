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
from fuzz.places import Places
from harness.machine import m
from harness.schedulers import Bred, Mutate, NoPreempt, Pct, Walk
from variants.interface import family
from variants.program import Program

BATCH = 24                  # schedules before a program has to have shown something new
BATCHES_MAX = 12
NEW_SHARE = 0.2             # programs made from nothing, once there is a corpus
AGAIN_SHARE = 0.3           # kept programs that are run again as they are
TOURNAMENT = 6              # kept programs of which the best is picked
SCHEDULES_MAX = 24          # kept runs of a program
PAIRS_MAX = 8               # of these, as long as there are fewer, also runs that only had a new pair
RARE = 12                   # a block that so few programs reached is rare
RARE_BATCHES = 6            # batches that a program with a rare block gets at least
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


@dataclass
class Kept:
    """A program worth more: the blocks it reaches, the runs to breed from, and how often it was picked since."""

    program: Program
    blocks: frozenset[int]
    schedules: list[Bred]
    picks: int = 0


class Worker:
    """What a worker process keeps from shard to shard: its images, its features, its programs."""

    def __init__(self, family_name: str, variant: str):
        made = family(family_name)
        self.fast = Executor(made, variant, probes=True)
        self.checked = Executor(made, variant, checked=True)
        self.operations = self.fast.operations()
        self.features = Features()
        self.kept: list[Kept] = []
        self.seen: set[Program] = set()         # every program kept here or handed over


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
        self.checked_program: Program | None = None
        self.checked_prepared: Any = None
        self.start = time.monotonic()
        rng = self.rng
        self.schedulers: list[tuple[str, Any]] = [
            ("walk", Walk(rng, 0.02)), ("walk", Walk(rng, 0.05)), ("walk", Walk(rng, 0.1)), ("walk", Walk(rng, 0.25)),
            ("pct", Pct(rng, 2)), ("pct", Pct(rng, 3)), ("pct", Pct(rng, 5)),
            *[("mutate", Mutate(rng))] * 7,
        ]
        for name, _ in self.schedulers:
            self.result.tallies[name] = Tally()

    def over(self) -> bool:
        return self.result.runs >= self.task.runs or time.monotonic() - self.start > self.task.seconds

    def run(self) -> ShardResult:
        handed = [program for program in self.task.programs if program not in self.worker.seen]
        while not self.over():
            if handed:
                self._program(handed.pop(), [])
            else:
                self._program(*self._choose())
        self.result.features = self.worker.features.count
        self.result.blocks = len(self.worker.features.reached)
        return self.result

    def _choose(self) -> tuple[Program, list[Bred]]:
        """A new program, a kept one again, or a mutated one. Of a few kept ones the rarest and least picked."""
        rng, kept = self.rng, self.worker.kept
        if not kept or rng.random() < NEW_SHARE:
            return generate.program(rng, self.worker.operations), []
        some = [kept[rng.randrange(len(kept))] for _ in range(TOURNAMENT)]
        best = min(some, key=lambda one: self.worker.features.rarity(one.blocks) * (1 + one.picks) * one.program.size)
        best.picks += 1
        if rng.random() < AGAIN_SHARE:
            return best.program, best.schedules
        return generate.mutate(rng, best.program, rng.choice(kept).program, self.worker.operations), []

    def _keep(self, program: Program, blocks: frozenset[int], schedules: list[Bred]) -> None:
        worker = self.worker
        if program in worker.seen:
            return
        if len(worker.seen) > 20 * KEPT_MAX:
            worker.seen.clear()
        worker.seen.add(program)
        worker.kept.append(Kept(program, blocks, schedules))
        if len(worker.kept) > KEPT_MAX:
            worker.kept.remove(max(worker.kept[: KEPT_MAX // 2], key=lambda one: worker.features.rarity(one.blocks)))
        self.result.kept.append(program)

    def _program(self, program: Program, schedules: list[Bred]) -> None:
        worker, result = self.worker, self.result
        result.programs_run += 1
        try:
            prepared = worker.fast.prepare(program)
        except SetupFailed as failed:
            result.runs += 1
            self._failed(program, Outcome([failed.finding], [], [], failed.finding.step), "setup")
            return
        marks = prepared.image.probes
        marks[:] = bytes(len(marks))
        m.observer = worker.features.switched
        try:
            self._explore(program, prepared, schedules)
        finally:
            m.observer = None

    def _explore(self, program: Program, prepared: Prepared, schedules: list[Bred]) -> None:
        """Batches of schedules, as long as they show something new. Runs that do are bred from."""
        result, rng = self.result, self.rng
        features, marks = self.worker.features, prepared.image.probes
        first = self._one(program, prepared, "nopreempt", NoPreempt())
        steps = first.steps
        if not schedules:
            schedules.append(self._breed(prepared, first, 4))
        features.take()
        seen: set[int] = set()
        blocks: frozenset[int] = frozenset()
        covered = marks.count(1)
        for batch in range(BATCHES_MAX):
            fresh = 0
            for name, scheduler in rng.choices(self.schedulers, k=BATCH):
                if name == "pct":
                    scheduler.learn(steps)
                elif name == "mutate":
                    scheduler.base = rng.choices(schedules, [one.weight for one in schedules])[0]
                outcome = self._one(program, prepared, name, scheduler)
                new = features.take()
                now = marks.count(1)
                if now > covered or (new and len(schedules) < PAIRS_MAX):
                    schedules.append(self._breed(prepared, outcome, 4 if now > covered else 1))
                    if len(schedules) > SCHEDULES_MAX:
                        del schedules[rng.randrange(1, len(schedules) - 1)]
                    covered = now
                tally = result.tallies[name]
                tally.features += new
                fresh += new
                key = hash((tuple(outcome.switches), tuple(outcome.forced)))
                if key not in seen:
                    seen.add(key)
                    tally.distinct += 1
                    result.distinct += 1
                if result.runs % CHECKED_EVERY == 0:
                    self._check(program, outcome)
            reached = features.blocks_of(prepared.image)
            fresh_blocks = features.count_program(reached - blocks)
            fresh += fresh_blocks
            blocks = reached
            rare = features.rarity(blocks) <= RARE
            if fresh_blocks or (rare and not batch):
                self._keep(program, blocks, schedules)
            if self.over() or not (fresh or (rare and batch < RARE_BATCHES)):
                break

    def _breed(self, prepared: Prepared, outcome: Outcome, weight: int) -> Bred:
        """A run as something to breed from. Run again with a recorder, to see where it touches what other tasks touch."""
        places = Places()
        observer, m.observer, m.recorder = m.observer, None, places
        try:
            self.worker.fast.replay(prepared, outcome.switches, outcome.forced)
        finally:
            m.observer, m.recorder = observer, None
        return Bred(outcome.switches, outcome.forced, outcome.steps, places.contended(), weight)

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
            if self.checked_program is not program:
                self.checked_program, self.checked_prepared = program, checked.prepare(program)
            prepared = self.checked_prepared
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
