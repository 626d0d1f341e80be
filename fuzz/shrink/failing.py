# SPDX-License-Identifier: MIT
"""A failure that is confirmed and shrunk: what the steps from a hit to a kept failure need of a family's program and of plain functions.

    hit -> replay it -> shrink its program (families) -> shrink its schedule -> name the schedule -> replay it REPLAYS times -> keep it
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from vmrace.fuzz.run import stop_request
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.sampling.portfolio import Ran
from vmrace.harness.errors import Diverged
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.replay.named_schedule import Line, Narrator
from vmrace.harness.schedulers import Pct
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.harness.schedulers.replay import Replay

CLASSES_MAX = 20_000        # runs that exploring the classes of schedules of one program may take

CUT_TIME = "the time was up"
CUT_ASKED = "interrupted"


class Cut(Exception):
    """Shrinking has to end here: CUT_TIME or CUT_ASKED."""


class Budget:
    """The runs that shrinking one failure has taken, and its deadline (of time.monotonic)."""

    def __init__(self, deadline: float = math.inf):
        self.deadline = deadline
        self.runs = 0

    def check(self) -> None:
        """Raise Cut if the time is up, or the user asked to stop."""
        if stop_request.asked():
            raise Cut(CUT_ASKED)
        if time.monotonic() >= self.deadline:
            raise Cut(CUT_TIME)


class Run(Ran, Protocol):
    """A run that can fail."""

    @property
    def titles(self) -> list[str]: ...
    @property
    def preemptions(self) -> int: ...


class Failing(Protocol):
    """One program, some of whose runs end in `title`. `keys` are the names of its tasks in a schedule."""

    title: str

    @property
    def keys(self) -> Sequence[str]: ...

    def run(self, scheduler: Scheduler) -> Run:
        """Make one run. Raises Diverged if `scheduler` has decisions that cannot be taken."""

    def trace(self, scheduler: Scheduler) -> tuple[str, Run]:
        """Make one run with everything recorded: the digest of its trace, and the run."""

    def tell(self, scheduler: Scheduler) -> tuple[list[str], str, Run]:
        """Make one run as a story: its lines, the digest of its trace, and the run."""

    def facts(self, run: Run) -> dict[str, Any]:
        """Return everything that two runs with the same decisions must have in common, by what it is called in a message."""

    def differs(self, why: str, named: bool) -> Exception:
        """Return the error for a failure that does not replay; `named`: by the names of its points, not by its decisions."""

    def places(self, run: Run) -> Places:
        """Make the run once more, and return where it touches what."""

    def classes(self, preemptions: int, runs_max: int, budget: Budget) -> Exploration | None:
        """Explore the classes of schedules with at most that number of preemptions; None where that shows nothing of the title."""


@contextlib.contextmanager
def decisions_of(failing: Failing) -> Iterator[None]:
    """Raise `failing.differs(...)` if the decisions of an earlier run cannot be taken in this block."""
    try:
        yield
    except Diverged as error:
        raise failing.differs(error.why, False) from None


def narrate(failing: Failing, run: Run) -> tuple[Line, ...]:
    """Return the schedule of a run by the names of its points. Raises `failing.differs(...)` if the run does not replay."""
    narrator = Narrator(Replay(run.switches, run.forced), failing.keys)
    with decisions_of(failing):
        failing.run(narrator)
    return tuple(narrator.end(m))


class Searched(NamedTuple):
    """The result of a search for a failing run. `clean`: every schedule, or every class, was run, and none fails."""

    found: Run | None
    number: int
    clean: bool


class Attempts:
    """The one door for attempts at one program: each run is counted and checked against the budget."""

    def __init__(self, failing: Failing, budget: Budget):
        self.failing = failing
        self.budget = budget

    def run(self, scheduler: Scheduler) -> Run:
        self.budget.check()
        self.budget.runs += 1
        return self.failing.run(scheduler)

    def fails(self, run: Run) -> bool:
        return self.failing.title in run.titles

    def first(self, schedulers: Iterator[Scheduler]) -> Run | None:
        """Return the first run, by these schedulers in turn, that fails; None if none does."""
        for scheduler in schedulers:
            run = self.run(scheduler)
            if isinstance(scheduler, Pct):
                scheduler.learn(run.steps)
            if self.fails(run):
                return run
        return None

    def enumerate(self, preemptions: int, runs_max: int, exactly: bool = False) -> Searched:
        """Run the schedules with at most that number of preemptions, at most `runs_max` runs, up to the first that fails."""
        before = self.budget.runs
        for run in every_schedule(self.run, preemptions, exactly):
            runs = self.budget.runs - before
            if self.fails(run):
                return Searched(run, runs, False)
            if runs >= runs_max:
                return Searched(None, runs, False)
        return Searched(None, self.budget.runs - before, True)

    def classes(self, preemptions: int) -> Searched:
        """Run the classes of schedules with at most that number of preemptions. `found` is the failing run with the fewest."""
        self.budget.check()
        every = self.failing.classes(preemptions, CLASSES_MAX, self.budget)
        if every is None:
            return Searched(None, 0, False)
        self.budget.runs += every.classes + every.blocked
        if self.failing.title not in every.titles:
            return Searched(None, every.classes, every.complete)
        seen = every.fewest(self.failing.title)
        return Searched(self.first(iter([Replay(seen.switches, seen.forced)])), every.classes, False)
