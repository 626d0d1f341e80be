# SPDX-License-Identifier: MIT
"""The table of schedulers; and sampling the schedules of one program of a family, for campaigns.

The first schedules have no preemption: in each, another task begins. Children of these runs, which are the same run with one preemption
at a contended step, are mixed with random schedules of all kinds. Most of these are changes of earlier runs that showed something new.

How many of each was measured on programs of entries (tests/quality/explorations.py): the cost of a hit is 376 runs with one child in eight
runs, `mutate` ten times as often as another scheduler, and runs kept for what is new to their program; it is 516 with every second run a
child, `mutate` five times as often, and runs kept only for what is new to the campaign (geometric means of 26 entries, 40 seeds each).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from vmrace.fuzz.sampling.contention import Contention, Places
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import Contended, Mutate, NoPreempt, Pct, Pos, ReadsFrom, Surw, Walk
from vmrace.harness.schedulers.every_point import EveryPoint
from vmrace.harness.schedulers.mutate import Bred
from vmrace.harness.schedulers.nopreempt import INTERRUPTS

BATCH = 24                  # random schedules of a batch
CHILDREN_MAX = 600          # children in a batch of them
CHILD_EVERY = 8             # of mixed schedules
SCHEDULES_MAX = 24          # kept runs of a program
PAIRS_MAX = 8               # while fewer runs are kept, a new pair alone is reason enough to keep a run


class Ran(Protocol):
    """The result of a run: vmrace.fuzz.run.executor.Outcome, or vmrace.harness.functions.program.Result."""

    @property
    def switches(self) -> Sequence[int]: ...

    @property
    def forced(self) -> Sequence[int]: ...

    @property
    def steps(self) -> int: ...


R = TypeVar("R", bound=Ran)


class Door(Protocol[R]):
    """The access of a sampler to one program: it runs the program and values the runs."""

    def run(self, name: str, scheduler: Scheduler, places: Places | None = None) -> R:
        """Run the program once; `name` is the kind of schedule. `places` records which steps touch which objects."""

    def recorder(self) -> Places:
        """Return a new recorder for `run`."""

    def places(self, ran: Ran) -> Places:
        """Replay a run and record which steps touch which objects."""

    def shared(self) -> list[Any]:
        """List the objects that several tasks have touched, in whichever runs, since the last call."""

    def shows(self, name: str, ran: R) -> int:
        """Return the weight with which later schedules are made from this run; 0 if it showed nothing new."""

    def over(self) -> bool:
        """True if no more runs are wanted."""


@dataclass(frozen=True)
class Way:
    """One kind of random schedule.

    `make(rng)` makes its scheduler. `weight` is its relative frequency in campaigns of families; `functions` that for programs of plain
    functions, None for the same. `learn(scheduler, sampling)` gives the scheduler, before each run, the known facts of the program; it
    returns False if the scheduler has nothing to do now. `unlearnt`: the scheduler is useful without these facts as well.
    """

    name: str
    make: Callable[[random.Random], Scheduler]
    weight: int = 1
    learn: Callable[[Any, Any], bool | None] | None = None      # only ever called with the scheduler that `make` made
    unlearnt: bool = False
    functions: int | None = None


def _steps(scheduler: Pct, sampling: Any) -> None:
    scheduler.learn(sampling.steps)


def _objects(scheduler: Contended, sampling: Any) -> bool:
    scheduler.learn(sampling.objects, sampling.accesses)
    return bool(sampling.objects)


def _base(scheduler: Mutate, sampling: Any) -> bool:
    if sampling.schedules:
        scheduler.base = base = sampling.rng.choices(sampling.schedules, [one.weight for one in sampling.schedules])[0]
        if base.places is None:
            sampling.find_places(base)
    return bool(sampling.schedules)


def _relation(scheduler: EveryPoint, sampling: Any) -> None:
    scheduler.relation = sampling.relation


def _lead(scheduler: NoPreempt, sampling: Any) -> bool:
    if sampling.unled:
        scheduler.lead = sampling.unled.pop()
        return True
    return False


# Plain functions: the schedule is everything, and a window between two accesses of one task is the same few pairs of sites however many
# tasks there are, so most runs have a reads-from constraint.
SCHEDULERS = (
    Way("walk", lambda rng: Walk(rng, 0.02), unlearnt=True, functions=0),
    Way("walk", lambda rng: Walk(rng, 0.05), unlearnt=True, functions=0),
    Way("walk", lambda rng: Walk(rng, 0.1), unlearnt=True, functions=0),
    Way("walk", lambda rng: Walk(rng, 0.25), unlearnt=True),
    Way("walk", lambda rng: Walk(rng, 1), weight=0, functions=2),
    Way("pct", lambda rng: Pct(rng, 2), learn=_steps, unlearnt=True),
    Way("pct", lambda rng: Pct(rng, 3), weight=0, learn=_steps, functions=3),
    Way("mutate", Mutate, weight=10, learn=_base, functions=4),
    Way("contended", lambda rng: Contended(rng, 1), learn=_objects, functions=0),
    Way("contended", lambda rng: Contended(rng, 2), learn=_objects),
    Way("contended", lambda rng: Contended(rng, 3), learn=_objects, functions=0),
    Way("nopreempt", lambda rng: NoPreempt(), weight=0, learn=_lead, functions=1),
    Way("pos", Pos, weight=0, learn=_relation, functions=2),
    Way("surw", Surw, weight=0, learn=_relation, functions=3),
    Way("rf_walk", ReadsFrom, weight=0, learn=_relation, functions=8),
    Way("rf_pos", lambda rng: ReadsFrom(rng, Pos(rng)), weight=0, learn=_relation, functions=14),
)


def portfolio(rng: random.Random) -> list[tuple[Way, Scheduler]]:
    """Make a scheduler for each way, and list it as many times as its weight says."""
    made = [(way, way.make(rng)) for way in SCHEDULERS]
    return [one for one in made for _ in range(one[0].weight)]


def bred(rng: random.Random, ran: Ran, places: Places, weight: int) -> Bred:
    """Make a base for the scheduler Mutate from a run; its children are preempted at the contended `places`."""
    one = Bred(ran.switches, ran.forced, ran.steps, places.contended(), weight)
    assert one.places is not None
    one.breed(rng, one.places.values(), places.others)
    return one


def leads_of(tasks: int) -> tuple[int, ...]:
    """List who begins each run without preemption: each task, then the interrupts."""
    return (*range(tasks), INTERRUPTS)


class Sampling(Generic[R]):
    """A sampler of the schedules of one program. `tasks` is its number of tasks, `size` its number of operations. `schedules` holds
    kept runs, to make schedules from; it is empty unless the program was explored before."""

    def __init__(self, rng: random.Random, schedulers: list[tuple[Way, Scheduler]], tasks: int, size: int, door: Door[R],
                 schedules: list[Bred]):
        self.rng, self.schedulers, self.tasks, self.door, self.schedules = rng, schedulers, tasks, door, schedules
        self.bases: list[tuple[Bred, Places]] = []      # the runs without preemption, on the first exploration only
        self.contention = Contention()
        self.steps = 0
        self.mutate = Mutate(random.Random(size))
        self.objects: set[Any] = set()
        self.accesses = 0

    def learn(self) -> None:
        """Collect the objects that were contended in any kept run whose places are known, and the largest number of accesses to them in
        one run."""
        known = [one.places for one in self.schedules if one.places is not None]
        self.objects = {key for places in known for key in places}
        self.accesses = max((sum(map(len, places.values())) for places in known), default=0)

    def find_places(self, one: Bred) -> None:
        """Replay a kept run to learn its places: most kept runs are never chosen as a base."""
        places = self.door.places(one)
        self._contend(places)
        self._breed(one, places)
        self.learn()

    def _breed(self, one: Bred, places: Places) -> None:
        """Give a base its places, and list the children that it has not had: each has one preemption, at a step where it can matter."""
        one.places = self.contention.within(places)
        one.breed(self.rng, one.places.values(), places.others)

    def _contend(self, places: Places) -> None:
        """Learn what a recorded run contends for. If that is more than was known, the runs without preemption get more children."""
        for base, lead in self.bases if self.contention.add(places) else ():
            self._breed(base, lead)

    def _meet(self, ran: Ran) -> None:
        """Replay a run in which a task was the second to touch an object that the runs without preemption touch."""
        shared = self.door.shared()
        if any(key in places.objects for _, places in self.bases for key in shared):
            self._contend(self.door.places(ran))
            self.learn()

    def leads(self) -> None:
        """Run the program without preemption, once for each task with that task first, and once with interrupts first."""
        fresh = not self.schedules
        if not fresh and self.schedules[0].places is None:      # else `objects` is empty, and `contended` has nothing to do
            self.find_places(self.schedules[0])
        for lead in leads_of(self.tasks):
            places = self.door.recorder() if fresh else None
            ran = self.door.run("nopreempt", NoPreempt(lead), places)
            self.steps = max(self.steps, ran.steps)
            if places is not None:
                self.schedules.append(Bred(ran.switches, ran.forced, ran.steps, {}, 4))
                self.bases.append((self.schedules[-1], places))
                self.contention.add(places)
        self.door.shared()
        for base, places in self.bases:
            self._breed(base, places)
        self.learn()

    def children(self) -> None:
        """Run every child of the runs without preemption once, at most CHILDREN_MAX. Each has one preemption, at a step where it can
        matter."""
        budget = CHILDREN_MAX
        while budget and (bases := [base for base, _ in self.bases if base.children]) and not self.door.over():
            budget -= 1
            self.mutate.base = bases[0]
            self._one("mutate", self.mutate)

    def batch(self) -> None:
        """Run BATCH random schedules."""
        for _ in range(BATCH):
            self._random()

    def mixed(self, runs: int, children: bool) -> None:
        """Run so many schedules: random ones, and with `children` at every CHILD_EVERY-th turn a child of the runs without preemption."""
        for number in range(runs):
            bases = [base for base, _ in self.bases if base.children] if children and not number % CHILD_EVERY else []
            if bases:
                self.mutate.base = self.rng.choice(bases)
                self._one("mutate", self.mutate)
            else:
                self._random()

    def _random(self) -> None:
        way, scheduler = self.rng.choice(self.schedulers)
        if way.learn is not None:
            way.learn(scheduler, self)
        self._one(way.name, scheduler)

    def _one(self, name: str, scheduler: Scheduler) -> None:
        """Run one schedule, and keep it if it shows something new."""
        ran = self.door.run(name, scheduler)
        weight = self.door.shows(name, ran)
        if weight:
            self.schedules.append(Bred(ran.switches, ran.forced, ran.steps, weight=weight))
            if len(self.schedules) > SCHEDULES_MAX:
                del self.schedules[self.rng.randrange(self.tasks, len(self.schedules) - 1)]
        self._meet(ran)


@dataclass
class Tally:
    """The counts of one kind of schedule: runs, those of a class that no earlier run had, new features, and new findings."""

    runs: int = 0
    distinct: int = 0
    features: int = 0
    findings: int = 0

    def add(self, other: Tally) -> None:
        """Add the counts of another tally."""
        self.runs += other.runs
        self.distinct += other.distinct
        self.features += other.features
        self.findings += other.findings


class Spent(Exception):
    """The error of a run that is not made, because its shard has no run left or is asked to stop."""
