# SPDX-License-Identifier: MIT
"""The runs of one input: a number of schedules of its program, judged by the sanitizers.

The runs are a function of the input: their random choices are seeded by its bytes, and no run depends on earlier inputs. libFuzzer
therefore sees the same features whenever it runs the input again.
"""

from __future__ import annotations

import contextlib
import random
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

from vmrace.fuzz.libfuzzer.inputs import Input, decode
from vmrace.fuzz.libfuzzer.mutate import Mutator, no_sweep
from vmrace.fuzz.programs import generate
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.executor import Outcome, Prepared, SetupFailed
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.sampling.coverage import Features
from vmrace.fuzz.sampling.finder import Counts, Door, Finder, alone, executors, tallies
from vmrace.fuzz.sampling.portfolio import Sampling, Spent, bred, portfolio
from vmrace.harness.link.image import Image
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.program import Op, Program

SCHEDULES = 64              # of an input
REACH_OUT = 3               # longer setups that are tried before a change of an input
TRIED = 1 << 14             # counters of pairs of operations in a state
PROGRAMS_MAX = 2_000        # programs whose schedules are remembered for the mutator
OWN_WEIGHT = 4              # the weight of an input's own schedule, as that of a run that reached a new block


class Memory(Protocol):
    """The memory of what programs have tried (vmrace.fuzz.campaign.libfuzzer_memory)."""

    def learn(self, program: Program, described: dict[str, str]) -> Sequence[object]:
        """Record that a program starts at pages with these descriptions. Returns what it tries there."""

    def novelty(self, program: Program) -> float:
        """Return the number of things that the program would try and that are not well known, per operation."""

    def setup(self, rng: random.Random) -> tuple[Op, ...]:
        """Pick a setup that reaches a state, rare ones as often as common ones."""

    def sweep(self, runs: Swept, operations: Sequence[str]) -> Program | None:
        """Run the schedules of two operations that conflict in a state, and return that program; None if there is none."""


class Runner(Finder):
    """The runs of inputs of one variant. `counts` has a hit for each title outside `known`; `titles` are those of the last input.

    `runs_max` bounds the runs that are counted; 0 means no bound. After `end` no run is made until `begin`.
    """

    def __init__(self, family_name: str, variant: str, memory: Memory, schedules: int = SCHEDULES):
        super().__init__(*executors(family_name, variant), Counts(), set())
        self.operations = self.fast.operations()
        self.memory, self.schedules = memory, schedules
        self.tried = bytearray(TRIED)           # what the last input tried, hashed
        self.features = Features()
        self.pairs = 0                          # every pair so far, as bits
        self.image: Image | None = None         # of the last input
        self.remembered: OrderedDict[Program, list[Input]] = OrderedDict()
        self.titles: list[str] = []
        self.named: dict[Any, Any] = {}         # of sweeps: see Accesses
        self.begin(0)

    def begin(self, runs_max: int) -> None:
        """Begin to count anew, at most `runs_max` runs; 0 means no bound."""
        self.counts, self.runs_max, self.ended = Counts(tallies=tallies()), runs_max, False
        self.fast.left_open.clear()

    def end(self) -> None:
        """Make no further run: the counts were handed on."""
        self.ended = True

    @property
    def buffers(self) -> list[bytearray]:
        """The features of an input: blocks of kernel source, and pairs of operations that start in a state of a page."""
        return [self.tried, *self.blocks_buffers]

    @property
    def blocks_buffers(self) -> list[bytearray]:
        """The blocks of kernel source alone."""
        return [self.fast.image(cpus).probes for cpus in (1, 2)]

    def fresh_blocks(self) -> int:
        """Count the blocks that the last input reached and no earlier one did."""
        return self.features.count_program(self.features.blocks_of(self.image), first=True) if self.image is not None else 0

    def over(self) -> bool:
        return self.ended or 0 < self.runs_max <= self.counts.runs or stop_request.asked()

    def runs_of(self, program: Program) -> list[Input]:
        """Return the schedules of a program that showed something new, as inputs."""
        return self.remembered.get(program, [])

    def run(self, data: bytes) -> None:
        """Run the schedules of an input."""
        one = decode(data, self.operations)
        self.titles, self.image = [], None
        for buffer in (*self.buffers, self.features.pairs):
            buffer[:] = bytes(len(buffer))      # libFuzzer has done so, if it calls
        self.counts.programs_run += 1
        rng = random.Random(zlib.crc32(data))
        with m.watched(observer=self.features), contextlib.suppress(Spent):
            try:
                prepared = self.fast.prepare(one.program)
            except SetupFailed as failed:
                self.spend()
                self.setup_failed(one.program, failed)
                return
            self.image = prepared.image
            for one_of in self.memory.learn(one.program, self.fast.family.describe(prepared.image)):
                self.tried[zlib.crc32(repr(one_of).encode()) % TRIED] = 1
            try:
                _Door(self, one, prepared, rng).sample()
            finally:
                self.pairs |= int.from_bytes(self.features.pairs, "little")

    def reach_out(self, rng: random.Random) -> Program | None:
        """Run REACH_OUT setups, each a known one with more operations, to see which states they reach. Returns a program that fails alone,
        if one of them does. libFuzzer sets the counters to 0 between this and the next input."""
        for _ in range(REACH_OUT):
            program = generate.extended(rng, self.memory.setup(rng), self.operations)
            with m.watched():
                try:
                    prepared = self.fast.prepare(program)
                except SetupFailed as failed:
                    if failed.finding.title not in self.known:
                        return alone(program)
                else:
                    self.memory.learn(program, self.fast.family.describe(prepared.image))
        return None

    def sweep(self, rng: random.Random) -> Input | None:
        """Run the schedules of two operations that conflict in a state of a page. Returns the run with the first new title, else the
        program, else None."""
        if self.over():
            return None
        program, before = None, len(self.counts.hits)
        with m.watched(observer=self.features), contextlib.suppress(Spent):
            program = self.memory.sweep(Swept(self, rng), self.operations)
        self.pairs |= int.from_bytes(self.features.pairs, "little")
        for hit in self.counts.hits[before:]:
            return Input(hit.program, tuple(hit.switches), tuple(hit.forced))
        return Input(program) if program is not None else None

    def spend(self) -> None:
        if self.over():
            raise Spent
        self.counts.runs += 1

    def _count(self, title: str) -> None:
        super()._count(title)
        if title not in self.titles:
            self.titles.append(title)


class _Door(Door):
    """The access of `Sampling` to one input, for at most `limit` runs."""

    def __init__(self, runner: Runner, one: Input, prepared: Prepared, rng: random.Random):
        super().__init__(runner, one.program, prepared, runner.features)
        self.runner, self.input, self.rng = runner, one, rng
        self.runs, self.limit = 0, runner.schedules
        self.sampling = Sampling(rng, portfolio(rng), len(one.program.tasks), one.program.size, self, [])

    def sample(self) -> None:
        """Make the runs: the input's own schedule, those without preemption, their children for at most half of the runs, random ones."""
        most, sampling = self.limit, self.sampling
        try:
            if self.input.switches or self.input.forced:
                ran = self.run("mutate", Replay(self.input.switches, self.input.forced, lenient=True))
                sampling.schedules.append(bred(self.rng, ran, self.places(ran), OWN_WEIGHT))
            elif most == 1:
                self.run("nopreempt", NoPreempt())
            self.runner.features.take()
            sampling.leads()
            if sampling.bases:
                self.limit = most // 2
                sampling.children()
                self.limit = most
            while self._batch_reaches_more():
                pass
        finally:
            self._remember()

    def _batch_reaches_more(self) -> bool:
        """Run a batch of random schedules. True if they reached a block that no earlier run of the input had reached."""
        covered = self.covered
        self.sampling.batch()
        return self.covered > covered

    def _remember(self) -> None:
        """Remember the schedules that showed something new, for the mutator."""
        shown = self.sampling.schedules[len(self.sampling.bases):]
        if shown:
            remembered = self.runner.remembered
            remembered[self.input.program] = [Input(self.input.program, tuple(run.switches), tuple(run.forced)) for run in shown]
            while len(remembered) > PROGRAMS_MAX:
                remembered.popitem(last=False)

    def over(self) -> bool:
        return self.runs >= self.limit

    def run(self, name: str, scheduler: Scheduler, places: Places | None = None) -> Outcome:
        if self.over():
            raise Spent
        self.runs += 1
        return super().run(name, scheduler, places)


class Swept:
    """The runs of a sweep, as those of a runner."""

    def __init__(self, runner: Runner, rng: random.Random):
        self.fast, self.rng, self.named = runner.fast, rng, runner.named
        self.one, self.check, self.over = runner.one, runner.check, runner.over


def mutator_of(runner: Runner, sweeps: bool = True) -> Mutator:
    """Return the changes of inputs that this runner has use for; `sweeps`: also sweeps, which make inputs larger."""
    return Mutator(runner.operations, runner.runs_of, runner.memory.novelty, runner.memory.setup, runner.reach_out,
                   runner.sweep if sweeps else no_sweep)
