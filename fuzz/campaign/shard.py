# SPDX-License-Identifier: MIT
"""One shard of a campaign: the work of a worker process between two messages of the driver.

A shard is a pure function of its task and of the memory that it begins with, unless its time limit ends it. It makes at most
`task.runs` runs. If it is asked to stop, it returns its results so far. It generates programs or mutates kept ones, runs many
schedules of each, keeps programs that reach something new, and returns what it has learnt and each title that it saw first.
"""

from __future__ import annotations

import contextlib
import functools
import random
import time
import zlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from vmrace.fuzz.campaign.accesses import Accesses, choose
from vmrace.fuzz.campaign.composing import Composing, Meeting
from vmrace.fuzz.campaign.effort import ROUND, Effort
from vmrace.fuzz.campaign.facts import Fact, Witness, facts_of
from vmrace.fuzz.campaign.memory import Kept, key_of
from vmrace.fuzz.campaign.messages import ShardResult, ShardTask
from vmrace.fuzz.campaign.sweeping import NAME, Sweeping
from vmrace.fuzz.campaign.sweeps import Pair
from vmrace.fuzz.campaign.worker import Worker
from vmrace.fuzz.programs import generate
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.executor import Outcome, Prepared, SetupFailed
from vmrace.fuzz.sampling import classes
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.sampling.finder import Door, Finder, tallies
from vmrace.fuzz.sampling.portfolio import Ran, Sampling, Spent, bred, portfolio
from vmrace.harness.explore.exploration import explore
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.mutate import Bred
from vmrace.variants.program import Program

NEW_SHARE = 0.2             # share of programs that are entirely new, once some are kept
STATE_SHARE = 0.6           # share of the others that start from a state which some setup has reached, each state equally often
CANDIDATES = 10             # programs drawn, of which the one with most untried triples is run
REACH_OUT = 2               # longer setups tried before each program
AGAIN_SHARE = 0.3           # share of the picked kept programs that are run again unchanged, of those that are not spent
TOURNAMENT = 6              # kept programs drawn, of which the best is picked
SCHEDULES_KEPT = 6          # runs stored with a kept program
RARE = 0.02                 # a block is rare if at most this share of the programs reaches it, or at most RARE_MIN programs
RARE_MIN = 8
ADOPT_RUNS = 8              # random schedules that measure the coverage of a program of the inputs
GOAL_EVERY = 4              # one shard in four composes a program for a goal of locks: later ones know that it was tried
SWEEP_FROM = 60             # the first shards only look for states and for programs
SWEEP_LESS = 180            # until this shard three in four sweep, then every second: half of all, while there is something to sweep
EXHAUST_MAX = 12            # runs of an explorer, for a program whose runs without preemption are of one class
EXPLORED = "explored"       # these runs
PAIRS = 4                   # programs that another one in four composes for goals of two accesses


def sweeps(number: int) -> bool:
    """True if a shard sweeps."""
    return number >= SWEEP_FROM and number % (4 if number < SWEEP_LESS else 2) != 0


def sweeps_before(number: int) -> int:
    """The shards before a shard that sweep."""
    return sum(map(sweeps, range(min(number, SWEEP_LESS)))) + max(0, number - SWEEP_LESS) // 2


class _Explored(Door):
    """The program being explored, as the sampler's door."""

    def __init__(self, shard: _Shard, program: Program, prepared: Prepared, schedules: list[Bred]):
        super().__init__(shard, program, prepared, shard.worker.features)
        self.sampling = Sampling(shard.rng, shard.schedulers, len(program.tasks), program.size, self, schedules)


_workers: dict[tuple[str, str], Worker] = {}


def run_shard(task: ShardTask) -> ShardResult:
    """Run a shard in a worker process. An error of vmrace ends the shard, and is returned with what was found before."""
    key = (task.family, task.variant)
    if key not in _workers:
        _workers[key] = Worker(*key)
    _workers[key].begin(task.lesson)
    classes.forget()
    shard = _Shard(_workers[key], task)
    try:
        return shard.make_runs()
    except Exception as error:              # MemoryError and RecursionError, too
        _workers[key] = _workers[key].linked_again()
        shard.result.error = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return shard.result


class _Shard(Finder):
    """The search of one shard. `result` is its counts and hits; `ended` is set by a title that ends the shard."""

    def __init__(self, worker: Worker, task: ShardTask):
        self.result = ShardResult(number=task.number, tallies=tallies())
        super().__init__(worker.fast, worker.checked, self.result, {*task.known, *worker.memory.titles})
        self.worker = worker
        self.task = task
        self.rng = random.Random(f"{task.seed}/{task.number}")
        self.ended = False
        self.composing: Composing | None = None         # the composition being searched
        self.worker.fast.left_open.clear()
        self.start = time.monotonic()
        rng = self.rng
        self.schedulers = portfolio(rng)
        self.unlearnt = [(way, scheduler) for way, scheduler in self.schedulers if way.unlearnt]

    def over(self) -> bool:
        if self.ended or self.result.runs >= self.task.runs:
            return True
        self.result.late = time.monotonic() - self.start > self.task.seconds
        return self.result.late

    def make_runs(self) -> ShardResult:
        with contextlib.suppress(Spent):
            self._search()
        self.result.left_open = dict(self.worker.fast.left_open)
        self.result.learnt = self.worker.learnt([hit.title for hit in self.result.hits])
        self.result.check(self.task)
        return self.result

    def _search(self) -> None:
        handed = [program for program in self.task.programs if key_of(program) not in self.worker.memory.seen]
        self._compose_some()
        self._sweep()
        while not self._done():
            self._reach_out()
            if handed:
                self._adopt(handed.pop())
            else:
                self._program(*self._choose())

    def spend(self) -> None:
        """Charge one run to the shard's budget, before it is made. Raises Spent if the budget is used up or the shard is to end."""
        if self.ended or self.result.runs >= self.task.runs or stop_request.asked():
            raise Spent
        self.result.runs += 1

    def _reach_out(self) -> None:
        """Run REACH_OUT setups, each a known one with more operations, to see which states they reach."""
        worker = self.worker
        for _ in range(REACH_OUT):
            program = generate.extended(self.rng, worker.states.setup(self.rng), worker.operations)
            try:
                prepared = worker.fast.prepare(program)
            except SetupFailed as failed:
                self.spend()
                self.setup_failed(program, failed)
                continue
            worker.states.reach(program.setup, worker.fast.family.describe(prepared.image))

    def _choose(self) -> tuple[Program, list[Bred]]:
        """Choose the next program and its kept runs: a new program, one from a reached state, a kept one, or a mutated one.

        Among TOURNAMENT kept ones, the best has a rare block, was picked seldom and is short.
        """
        rng, kept = self.rng, self.worker.kept
        if not kept or rng.random() < NEW_SHARE:
            return generate.program(rng, self.worker.operations), []
        states, operations = self.worker.states, self.worker.operations
        if rng.random() < STATE_SHARE:
            setup = states.setup(rng)
            return max((generate.from_setup(rng, setup, operations) for _ in range(CANDIDATES)), key=states.novelty), []
        some = [kept[rng.randrange(len(kept))] for _ in range(TOURNAMENT)]
        picks = self.worker.memory.picks
        best = min(some, key=lambda one: self.worker.features.rarity(one.blocks) * (1 + picks.get(one.key, 0)) * one.program.size)
        self.worker.memory.pick(best.key)
        if rng.random() < AGAIN_SHARE and not best.spent:
            return best.program, [replace(one, children=one.children[:]) for one in best.schedules]
        other = rng.choice(kept).program
        return max((generate.mutate(rng, best.program, other, operations) for _ in range(CANDIDATES)), key=states.novelty), []

    def _keep(self, program: Program, blocks: frozenset[int], schedules: list[Bred], spent: bool) -> None:
        if self.worker.memory.keep(Kept.of(program, blocks, schedules[:SCHEDULES_KEPT], spent)):
            self.result.kept.append(program)

    def _adopt(self, program: Program) -> None:
        """Measure the coverage of a program of the user's inputs, and keep it for mutation."""
        worker = self.worker
        try:
            prepared = worker.fast.prepare(program)
        except SetupFailed:
            return
        worker.states.meet(program, worker.fast.family.describe(prepared.image))
        marks = prepared.image.probes
        marks[:] = bytes(len(marks))
        first = self.one(program, prepared, "nopreempt", NoPreempt())
        for way, scheduler in self.rng.choices(self.unlearnt, k=ADOPT_RUNS):
            self.one(program, prepared, way.name, scheduler)
        blocks = worker.features.blocks_of(prepared.image)
        worker.features.count_program(blocks, first=True)
        worker.memory.keep(Kept.of(program, blocks, [bred(self.rng, first, self.places(prepared, first), 4)]))

    def _program(self, program: Program, schedules: list[Bred]) -> None:
        begun = self._begin(program)
        if begun is None:
            return
        prepared, novelty = begun
        try:
            with m.watched(observer=self.worker.features):
                self._explore(program, prepared, schedules, novelty)
        finally:
            self._witness(program, prepared, easily=False)

    def _begin(self, program: Program) -> tuple[Prepared, bool] | None:
        """Prepare a program to be explored. Returns also whether one of its triples is not well known; None if its setup has a finding."""
        worker, result = self.worker, self.result
        result.programs_run += 1
        try:
            prepared = worker.fast.prepare(program)
        except SetupFailed as failed:
            self.spend()
            self.setup_failed(program, failed)
            return None
        novelty = worker.states.meet(program, worker.fast.family.describe(prepared.image))
        marks = prepared.image.probes
        marks[:] = bytes(len(marks))
        prepared.image.lockdep.begin_anew()
        return prepared, novelty

    def _witness(self, program: Program, prepared: Prepared, easily: bool) -> None:
        """Record what the runs of the program so far have shown about locks."""
        self.worker.memory.facts.witness(facts_of(prepared.image.lockdep), Witness(program, easily))

    def _compose_some(self) -> None:
        """Compose programs, if it is this shard's turn: one for a goal of locks, or some for goals of two accesses."""
        facts, (number, turn) = self.worker.memory.facts, divmod(self.task.number, GOAL_EVERY)
        goals = facts.goals() if turn == 0 else []
        if goals:
            self._compose(Composing(self, facts, goals[number % len(goals)]))
        for _ in range(PAIRS if turn == GOAL_EVERY // 2 else 0):
            pair = choose(facts, self.rng)
            if pair is not None and not self.over():
                self._compose(Meeting(self, facts, pair))

    def _compose(self, composing: Composing) -> None:
        """Search a program composed of the witnesses of a goal."""
        self.worker.memory.facts.try_goal(composing.goal)
        self.result.programs_run += 1
        self.composing = composing
        found = composing.program()
        if found is not None:
            composing.direct(*found)
            if not isinstance(composing, Meeting):
                self._program(found[0], [])
        self.composing = None

    def _sweep(self) -> None:
        """Sweep, if it is this shard's turn: look at new states, then run the most promising pairs, in turns of rare states and of those
        with short setups. If none is left, begin again with other setups: pages in one state may differ in what the state does not say.

        Shards that run at the same time do not know of each other, so each takes another part of the states and of the pairs.
        """
        if not sweeps(self.task.number):
            return
        memory, number = self.worker.memory, sweeps_before(self.task.number)
        parts = 1 << (number - sweeps_before(self.worker.position)).bit_length()        # a power of 2: a part stays the same longer

        def mine(what: object) -> bool:
            return zlib.crc32(str(what).encode()) % parts == number % parts

        with m.watched(observer=self.worker.features):
            self._look_at(state for state in memory.states.setups if state not in memory.sweeps.begun and mine(state))
            for state, pair in memory.sweeps.queue(memory.states.seen, short=number // parts % 2 == 0):
                if self._done():
                    break
                if mine((state, *map(str, pair))):
                    self._sweep_pair(Sweeping(self, memory.sweeps, state), pair)
            self._look_at(state for state in memory.states.setups if mine(state))

    def _look_at(self, states: Iterable[str]) -> None:
        """Begin a sweep of each of these states, with a setup with which none has begun."""
        memory = self.worker.memory
        for state in states:
            setups = memory.sweeps.other(state, memory.states.setups[state])
            if state and setups and not self._done():
                Sweeping(self, memory.sweeps, state).begin(setups, self.worker.operations)

    def _done(self) -> bool:
        return self.result.runs >= self.task.enough or self.over()

    def _sweep_pair(self, sweeping: Sweeping, pair: Pair) -> None:
        """Explore a pair of a sweep. The program is kept if it reaches a new block."""
        features, program = self.worker.features, sweeping.program(pair)
        begun = self._begin(program)
        if begun is None:
            self.worker.memory.sweeps.run(sweeping.state, pair, [])
            return
        prepared, _ = begun
        try:
            leads = sweeping.explore(pair, prepared)
        finally:
            self._witness(program, prepared, easily=False)
        self.result.tallies[NAME].features += features.take()
        blocks = features.blocks_of(prepared.image)
        if features.count_program(blocks, first=True):
            self._keep(program, blocks, leads, spent=False)

    @property
    def named(self) -> dict[Any, Fact]:
        return self.worker.named

    def recorder(self) -> Accesses:
        return Accesses(self.named)

    def recorded(self, prepared: Prepared, ran: Ran, places: Places) -> None:
        """Take the accesses of a recorded run as facts."""
        assert isinstance(places, Accesses), type(places)
        facts = self.worker.memory.facts
        facts.witness(places.seen, Witness(prepared.program, not ran.switches))
        for goal in places.together():
            facts.meet(goal)

    def _explore(self, program: Program, prepared: Prepared, schedules: list[Bred], novelty: bool) -> None:
        """Run the schedules without preemption. If they are of one class, run every class, if these are few. Else run rounds of random
        schedules, and of children if the program has `novelty`, while they are worth it (effort.py). A program that reaches a new block,
        or a rare one in its first round, is kept."""
        features, memory, before = self.worker.features, self.worker.memory, self.result.distinct
        explored = _Explored(self, program, prepared, schedules)
        sampling = explored.sampling
        sampling.leads()
        self._witness(program, prepared, easily=True)
        features.take()
        explored.covered = prepared.image.probes.count(1)
        effort, kept = Effort(memory.yields.least), False
        blocks: frozenset[int] = frozenset()
        if self.result.distinct - before <= 1:
            effort.exhausted = self._exhaust(program, prepared)
        while True:
            distinct, shown = self.result.distinct, explored.shown
            if not effort.exhausted:
                sampling.mixed(ROUND, novelty)
            reached = features.blocks_of(prepared.image)
            fresh_blocks = features.count_program(reached - blocks, first=not effort.new)
            rare = not effort.new and features.rarity(reached) <= max(RARE_MIN, RARE * features.programs)
            blocks = reached
            kept = kept or fresh_blocks > 0 or rare
            effort.add(self.result.distinct - distinct, fresh_blocks > 0 or rare, explored.shown > shown)
            if effort.over or self.over():
                break
        memory.add_yields(*effort.first())
        if kept:
            self._keep(program, blocks, schedules, effort.spent)

    def _exhaust(self, program: Program, prepared: Prepared) -> bool:
        """Run one schedule of each class of a program, at most EXHAUST_MAX. True if these were all."""
        if self.result.runs + EXHAUST_MAX > self.task.runs:
            return False
        run = functools.partial(self.explored, program, prepared, EXPLORED)
        with m.watched():
            found = explore(run, prepared.cpus, lambda ran, events: ((),), up=prepared.cpus == 1, runs_max=EXHAUST_MAX, least=False)
        self.distinct(EXPLORED, found.classes - 1)          # a run without preemption had one of them
        return found.complete

    def _failed(self, program: Program, outcome: Outcome, name: str) -> None:
        before = len(self.result.hits)
        super()._failed(program, outcome, name)
        if self.composing is not None:
            for hit in self.result.hits[before:]:
                hit.composed = self.composing.text
        self.ended = self.ended or self.task.ends_with(self.result.hits)
