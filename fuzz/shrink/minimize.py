# SPDX-License-Identifier: MIT
"""Shrinking a failure over (program, schedule), and proving what is left minimal.

One door for attempts, `Search.fails`: a program in, the outcome of a failing run out, or None. It keeps the title: another
failure is not the one being shrunk. The order in which results are better is shortlex: fewer tasks, fewer operations, fewer
outside the setup, then operations that come earlier in the shared interface, then lower operands.

First the program: tasks, operations, then simpler operands. Each candidate is run under the schedule that failed, by its
decisions and by the names of its points (which survive the loss of an operation), then near it, then at random. Then the
schedule: a preemption less, as long as that still fails; then every schedule with 0 preemptions, with 1, ... until one fails,
which proves the number least. Then the program again, now by that enumeration, which proves that no operation can go. Where there
are too many schedules, as with interrupts, which may come at any point, the classes of these schedules are run instead (see
explored), unless they are too many too, or the title is one that is not looked for there, or the image is not checked. Either proof may
exceed its budget: then it says so.
At its deadline, or where it is asked to end, shrinking is cut: what it has got to stands, and says that it was cut.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vmrace.fuzz.programs.reduce import PASSES, adapted, without_an_operation
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, SetupFailed
from vmrace.fuzz.run.exhaustive import explore_on
from vmrace.fuzz.run.story import narrate
from vmrace.harness.explore.exploration import Seen
from vmrace.harness.finding import is_of_one_run
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.replay.named_schedule import Line, Named
from vmrace.harness.schedulers import Mutate, Pct, Walk
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.harness.schedulers.mutate import Bred
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.program import Program

RANDOM_TRIES = 120          # random schedules searched for a candidate program
BRED_TRIES = 120            # schedules near the one that failed
ENUMERATE_MAX = 60_000      # runs that the proof of the least number of preemptions may take
REMOVE_MAX = 10_000         # runs that the proof for one removed operation may take
CLASSES_MAX = 20_000        # runs that exploring the classes of schedules of one program may take

CUT_TIME = "the time was up"
CUT_ASKED = "interrupted"


class Cut(Exception):
    """Shrinking has to end here."""


@dataclass
class Shrunk:
    """The result: a program and the outcome of its failing run, and how far it is proved minimal."""

    program: Program
    outcome: Outcome
    runs: int = 0
    preemptions: int = 0
    least_proved: bool = False
    fewer_runs: int = 0
    classes: int = 0            # of its schedules with fewer preemptions, if it took them to prove that number least
    operations_proved: bool = False
    cut: str = ""               # why shrinking did not come to its end: CUT_TIME, CUT_ASKED, or what the caller says
    passes: dict[str, tuple[int, int]] = field(default_factory=dict)        # pass -> useful, tried
    lines: tuple[Line, ...] = ()


class Search:
    """Looks for a failing run of candidate programs: the one door for attempts."""

    def __init__(self, executor: Executor, title: str, rng: random.Random, deadline: float = math.inf):
        self.executor = executor
        self.deadline = deadline
        self.title = title
        self.rng = rng
        self.runs = 0

    def _check(self) -> None:
        """Cut if there is no time for more."""
        if stop_request.asked():
            raise Cut(CUT_ASKED)
        if time.monotonic() >= self.deadline:
            raise Cut(CUT_TIME)

    def _run(self, prepared: Prepared, scheduler: Scheduler) -> Outcome:
        self._check()
        self.runs += 1
        return self.executor.run(prepared, scheduler)

    def _keeps(self, outcome: Outcome) -> bool:
        return self.title in outcome.titles

    def fails(self, program: Program, schedulers: Callable[[], Iterator[Scheduler]]) -> Outcome | None:
        if self.executor.lacks(program):
            return None
        try:
            prepared = self.executor.prepare(program)
        except SetupFailed:
            return None
        for scheduler in schedulers():
            outcome = self._run(prepared, scheduler)
            if isinstance(scheduler, Pct):
                scheduler.learn(outcome.steps)
            if self._keeps(outcome):
                return outcome
        return None

    def near(self, state: Shrunk, candidate: Program) -> Callable[[], Iterator[Scheduler]]:
        """The schedule that failed, then schedules bred from it, then random ones."""
        outcome, lines = state.outcome, adapted(state.lines, state.program, candidate)

        def schedulers() -> Iterator[Scheduler]:
            yield Replay(outcome.switches, outcome.forced, lenient=True)
            yield Named(lines, candidate.keys(), lenient=True)
            bred = Mutate(self.rng)
            bred.base = Bred(list(m.switches), list(m.forced), m.step)       # of the run just made
            for _ in range(BRED_TRIES):
                yield bred
            pct = [Pct(self.rng, depth, max(outcome.steps, 10)) for depth in (2, 3, 4)]
            walks = [Walk(self.rng, chance) for chance in (0.05, 0.15, 0.4)]
            for number in range(RANDOM_TRIES):
                yield (pct if number & 1 else walks)[number // 2 % 3]
        return schedulers

    def narrate(self, state: Shrunk) -> None:
        """Name the points of the failing schedule."""
        prepared = self.executor.prepare(state.program)
        state.lines = narrate(self.executor, prepared, state.outcome)

    def enumerate(self, program: Program, preemptions: int, runs_max: int, exactly: bool = False) -> tuple[Outcome | None, int, bool]:
        """All schedules with at most that many preemptions: (a failing outcome, runs, whether all were run)."""
        try:
            prepared = self.executor.prepare(program)
        except SetupFailed:
            return None, 0, True
        runs = 0

        def run(scheduler: Scheduler) -> Outcome:
            nonlocal runs
            runs += 1
            return self._run(prepared, scheduler)

        for outcome in every_schedule(run, preemptions, exactly):
            if self._keeps(outcome):
                return outcome, runs, False
            if runs >= runs_max:
                return None, runs, False
        return None, runs, True

    def classes(self, program: Program, preemptions: int) -> tuple[bool, int, Seen | None]:
        """All classes of schedules with at most that many: (whether all were run, how many, the failing run that takes the fewest)."""
        if is_of_one_run(self.title) or not self.executor.checked:
            return False, 0, None
        self._check()
        every = explore_on(self.executor, program, bound=preemptions, runs_max=CLASSES_MAX, progress=lambda _: self._check())
        self.runs += every.classes + every.blocked
        return every.complete, every.classes, every.fewest(self.title) if self.title in every.titles else None

    def again(self, program: Program, seen: Seen) -> Outcome | None:
        """A run of `classes`, if it is still the failure."""
        return self.fails(program, lambda: iter([Replay(seen.switches, seen.forced)]))


def minimize(executor: Executor, program: Program, outcome: Outcome, title: str, seed: int = 0, deadline: float = math.inf) -> Shrunk:
    """Shrink `program`, whose run `outcome` has a finding of that title, until `deadline` (of time.monotonic) at most."""
    search = Search(executor, title, random.Random(seed), deadline)
    state = Shrunk(program, outcome)
    search.narrate(state)
    try:
        _shrink_program(search, state)
        _drop_preemptions(search, state)
        _least_preemptions(search, state)
        _prove_operations(search, state)
    except Cut as cut:
        state.cut = str(cut)
    state.preemptions = state.outcome.preemptions
    state.runs = search.runs
    return state


def _shrink_program(search: Search, state: Shrunk) -> None:
    improved = True
    while improved:
        improved = False
        for name, candidates in PASSES.items():
            useful = tried = 0
            progress = True
            while progress:
                progress = False
                for candidate in candidates(state.program):
                    tried += 1
                    found = search.fails(candidate, search.near(state, candidate))
                    if found is not None:
                        state.program, state.outcome = candidate, found
                        search.narrate(state)
                        useful += 1
                        progress = improved = True
                        break
            was = state.passes.get(name, (0, 0))
            state.passes[name] = (was[0] + useful, was[1] + tried)


def _drop_preemptions(search: Search, state: Shrunk) -> None:
    """Leave out one preemption, by its decision or by the line that names it, until none can be: random schedules have more than
    they need, and the enumeration that follows may be too long to find that out."""
    progress = True
    while progress:
        progress = False
        for shorter in _one_less(state):
            found = search.fails(state.program, shorter)
            if found is not None and found.preemptions < state.outcome.preemptions:
                state.outcome = found
                search.narrate(state)
                progress = True
                break


def _one_less(state: Shrunk) -> Iterator[Callable[[], Iterator[Scheduler]]]:
    switches, forced = state.outcome.switches, state.outcome.forced
    for at in range(0, len(switches), 2):
        shorter = [*switches[:at], *switches[at + 2:]]
        yield lambda shorter=shorter: iter([Replay(shorter, forced, lenient=True)])  # type: ignore[misc]
    keys = state.program.keys()
    for at in range(len(state.lines)):
        lines = (*state.lines[:at], *state.lines[at + 1:])
        yield lambda lines=lines: iter([Named(lines, keys, lenient=True)])  # type: ignore[misc]


def _least_preemptions(search: Search, state: Shrunk) -> None:
    """Run every schedule with 0, 1, 2 ... preemptions until one fails."""
    fewer = state.classes = 0
    budget = ENUMERATE_MAX
    state.least_proved = False          # of another program, if it was
    for preemptions in range(state.outcome.preemptions + 1):
        found, runs, complete = search.enumerate(state.program, preemptions, budget, exactly=preemptions > 0)
        budget -= runs
        if found is not None:
            state.outcome = found
            state.least_proved = True
            break
        if not complete:
            _least_by_classes(search, state)
            break
        fewer = runs                    # an enumeration with at most so many holds those with fewer again
    state.preemptions = state.outcome.preemptions
    state.fewer_runs = fewer


def _least_by_classes(search: Search, state: Shrunk) -> None:
    """The number is the least if every class of schedules with fewer was run, and none fails."""
    if not state.outcome.preemptions:
        state.least_proved = True
        return
    complete, classes, seen = search.classes(state.program, state.outcome.preemptions - 1)
    found = None if seen is None else search.again(state.program, seen)
    if found is not None and found.preemptions < state.outcome.preemptions:
        state.outcome = found
        _least_by_classes(search, state)
    elif complete and seen is None:
        state.least_proved, state.classes = True, classes


def _prove_operations(search: Search, state: Shrunk) -> None:
    """Can any operation still go? Each candidate is run under every schedule with as few preemptions."""
    progress = True
    while progress:
        progress = False
        proved = True
        for candidate in without_an_operation(state.program):
            found, _, complete = search.enumerate(candidate, state.preemptions, REMOVE_MAX)
            if found is None and not complete:
                complete, _, seen = search.classes(candidate, state.preemptions)
                if seen is not None:
                    found, complete = search.again(candidate, seen), False
            if found is not None:
                state.program, state.outcome = candidate, found
                _least_preemptions(search, state)
                progress = True
                break
            proved = proved and complete
        state.operations_proved = proved and not progress
