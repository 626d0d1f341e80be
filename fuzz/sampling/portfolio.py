# SPDX-License-Identifier: MIT
"""Schedules of one program, sampled: each task first, every child of these runs with one preemption at a contended place, then
random schedules of all kinds, bred from runs that showed something new. Campaigns and programs of plain functions share it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from vmrace.fuzz.sampling.contention import Places
from vmrace.harness.schedulers import Contended, Mutate, NoPreempt, Pct, Walk
from vmrace.harness.schedulers.mutate import Bred
from vmrace.harness.schedulers.nopreempt import INTERRUPTS

BATCH = 24                  # schedules before a program has to have shown something new
CHILDREN_MAX = 600
SCHEDULES_MAX = 24          # kept runs of a program
PAIRS_MAX = 8               # of these, as long as there are fewer, also runs that only had a new pair


class Ran(Protocol):
    """What came of a run: vmrace.fuzz.run.executor.Outcome, or vmrace.harness.functions.program.Result."""

    switches: list[int]
    forced: list[int]
    steps: int


class Door(Protocol):
    """How a program is run, and what a run is worth."""

    def run(self, name: str, scheduler: Any) -> Any:
        """One run by that kind of schedule."""

    def places(self, ran: Any) -> Places:
        """The run again, to see where it touches what."""

    def shows(self, name: str, ran: Any) -> int:
        """The weight with which a run is bred from; 0 if it showed nothing new."""

    def over(self) -> bool:
        """No more."""


@dataclass(frozen=True)
class Way:
    """A way to make random schedules. `make(rng)`: its scheduler; `weight`: how often it is drawn; `learn(scheduler, sampling)`: what the
    scheduler is told before each run; `unlearnt`: it is of use, too, where nothing is known of the program yet."""

    name: str
    make: Callable[[random.Random], Any]
    weight: int = 1
    learn: Callable[[Any, Sampling], None] | None = None
    unlearnt: bool = False


def _steps(scheduler: Pct, sampling: Sampling) -> None:
    scheduler.learn(sampling.steps)


def _objects(scheduler: Contended, sampling: Sampling) -> None:
    scheduler.learn(sampling.objects, sampling.accesses)


def _base(scheduler: Mutate, sampling: Sampling) -> None:
    scheduler.base = sampling.rng.choices(sampling.schedules, [one.weight for one in sampling.schedules])[0]


SCHEDULERS = (
    Way("walk", lambda rng: Walk(rng, 0.02), unlearnt=True),
    Way("walk", lambda rng: Walk(rng, 0.05), unlearnt=True),
    Way("walk", lambda rng: Walk(rng, 0.1), unlearnt=True),
    Way("walk", lambda rng: Walk(rng, 0.25), unlearnt=True),
    Way("pct", lambda rng: Pct(rng, 2), learn=_steps, unlearnt=True),
    Way("pct", lambda rng: Pct(rng, 3), learn=_steps),
    Way("pct", lambda rng: Pct(rng, 5), learn=_steps),
    Way("mutate", Mutate, weight=5, learn=_base),
    Way("contended", lambda rng: Contended(rng, 1), learn=_objects),
    Way("contended", lambda rng: Contended(rng, 2), learn=_objects),
    Way("contended", lambda rng: Contended(rng, 3), learn=_objects),
)


def portfolio(rng: random.Random) -> list[tuple[Way, Any]]:
    """Each way with its scheduler, as often as its weight says."""
    made = [(way, way.make(rng)) for way in SCHEDULERS]
    return [one for one in made for _ in range(one[0].weight)]


def bred(rng: random.Random, ran: Ran, places: Places, weight: int) -> Bred:
    """A run as something to breed from."""
    one = Bred(ran.switches, ran.forced, ran.steps, places.contended(), weight)
    one.breed(rng, one.places.values(), places.others)
    return one


class Sampling:
    """What is known of the program being explored. `schedules`: runs of it to breed from, if it was explored before."""

    def __init__(self, rng: random.Random, schedulers: list[tuple[Way, Any]], tasks: int, size: int, door: Door, schedules: list[Bred]):
        self.rng, self.schedulers, self.tasks, self.door, self.schedules = rng, schedulers, tasks, door, schedules
        self.bases: list[tuple[Bred, Places]] = []      # the runs without preemption, if this is the first time
        self.steps = 0
        self.seen: set[int] = set()
        self.mutate = Mutate(random.Random(size))
        self.objects: set[Any] = set()
        self.accesses = 0

    def new(self, ran: Ran) -> bool:
        """Whether these decisions were not made before."""
        key = hash((tuple(ran.switches), tuple(ran.forced)))
        if key in self.seen:
            return False
        self.seen.add(key)
        return True

    def learn(self) -> None:
        """All objects that were contended in any of the runs, and how many accesses to such there are in a run."""
        self.objects = {key for one in self.schedules for key in one.places}
        self.accesses = max(sum(map(len, one.places.values())) for one in self.schedules)

    def leads(self) -> None:
        """Each task first, with no preemption; then interrupts first."""
        fresh = not self.schedules
        for lead in (*range(self.tasks), INTERRUPTS):
            ran = self.door.run("nopreempt", NoPreempt(lead))
            self.steps = max(self.steps, ran.steps)
            if fresh:
                places = self.door.places(ran)
                self.schedules.append(Bred(ran.switches, ran.forced, ran.steps, places.contended(), 4))
                self.bases.append((self.schedules[-1], places))
        self.learn()

    def children(self) -> None:
        """Every child of the runs without preemption, once: one preemption, wherever it can matter."""
        budget = CHILDREN_MAX
        for base, places in self.bases:
            touched = places.touched()
            base.breed(self.rng, [touched[key] for key in self.objects if key in touched], places.others)
            self.mutate.base = base
            while base.children and budget and not self.door.over():
                budget -= 1
                self._one("mutate", self.mutate)

    def batch(self) -> None:
        """A batch of random schedules."""
        for way, scheduler in self.rng.choices(self.schedulers, k=BATCH):
            if way.learn is not None:
                way.learn(scheduler, self)
            self._one(way.name, scheduler)

    def _one(self, name: str, scheduler: Any) -> None:
        """One schedule; kept to breed from if it shows something new."""
        ran = self.door.run(name, scheduler)
        weight = self.door.shows(name, ran)
        if weight:
            self.schedules.append(bred(self.rng, ran, self.door.places(ran), weight))
            if len(self.schedules) > SCHEDULES_MAX:
                del self.schedules[self.rng.randrange(self.tasks, len(self.schedules) - 1)]
            self.learn()


@dataclass
class Tally:
    """What one scheduler did."""

    runs: int = 0
    distinct: int = 0
    features: int = 0
    findings: int = 0


class Spent(Exception):
    """No run is left for this shard, or it was asked to end."""
