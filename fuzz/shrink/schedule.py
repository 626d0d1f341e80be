# SPDX-License-Identifier: MIT
"""Shrinking the schedule of a failure: fewer preemptions, and a proof that there are none fewer.

First a preemption less, by its decision or by the line that names it, as long as the run still fails. Then a few preemptions at
contended places only. Then every schedule with 0 preemptions, with 1, ... until one fails, which proves that number least. With
interrupts, which may come at any point, there are often too many schedules. The classes of these schedules are run then, unless they
are too many, too, or exploring shows nothing of that title. A proof that exceeds its budget is not claimed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from vmrace.fuzz.shrink.failing import Attempts, Budget, Failing, Run, narrate
from vmrace.fuzz.text.wording import count
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.replay.named_schedule import Line, Named
from vmrace.harness.schedulers import Contended
from vmrace.harness.schedulers.replay import Replay

NEAR_TRIES = 400            # schedules with preemptions at contended places that are tried, of each number of preemptions
NEAR_PREEMPTIONS = 4        # the largest such number
MANY = 12                   # preemptions of a run from which several are left out at once
ENUMERATE_MAX = 60_000      # runs that the proof of the least number of preemptions may take


@dataclass
class Shrunk:
    """A failure as far as it is shrunk: a program, a failing run of it, and the proofs that there is no smaller one.

    `fewer_runs` schedules, or `classes` of them, have fewer preemptions, and none of these
    fails. `cut`: why shrinking did not come to its end (CUT_TIME, CUT_ASKED, or what the caller says).
    """

    failing: Failing
    run: Run
    runs: int = 0
    least_proved: bool = False
    fewer_runs: int = 0
    classes: int = 0
    operations_proved: bool | None = None       # None: a program of plain functions, which has no operations to leave out
    cut: str = ""
    passes: dict[str, tuple[int, int]] = field(default_factory=dict)        # pass -> useful, tried
    lines: tuple[Line, ...] = ()                # the schedule by the names of its points

    @property
    def preemptions(self) -> int:
        """The preemptions of the failing run."""
        return self.run.preemptions

    def narrate(self) -> None:
        """Name the points of the failing schedule."""
        self.lines = narrate(self.failing, self.run)


def fewer_preemptions(state: Shrunk, budget: Budget) -> None:
    """Find a run with fewer preemptions that fails: random schedules have more than they need, and the enumeration that follows may
    be too long to find that out."""
    attempts = Attempts(state.failing, budget)
    drop_preemptions(state, attempts)
    if _at_contended_places(state, attempts):
        drop_preemptions(state, attempts)


def drop_preemptions(state: Shrunk, attempts: Attempts) -> None:
    """Leave out one preemption at a time until none can go; of a run with more than MANY, first halves, quarters and so on."""
    size = state.preemptions // 2 if state.preemptions > MANY else 1
    while size:
        for shorter in _less(state, size):
            run = attempts.run(shorter)
            if attempts.fails(run) and run.preemptions < state.preemptions:
                state.run = run
                state.narrate()
                break
        else:
            size //= 2


def _less(state: Shrunk, size: int) -> Iterator[Scheduler]:
    """Yield the run without each `size` preemptions in a row, by their decisions and by the lines that name them."""
    switches, forced = state.run.switches, state.run.forced
    for at in range(0, len(switches), 2 * size):
        yield Replay([*switches[:at], *switches[at + 2 * size:]], forced, lenient=True)
    for at in range(0, len(state.lines), size):
        yield Named((*state.lines[:at], *state.lines[at + size:]), state.failing.keys, lenient=True)


def _at_contended_places(state: Shrunk, attempts: Attempts) -> bool:
    """Look for a run with fewer preemptions, all at places where tasks touch the same. True if there is one."""
    places = state.failing.places(state.run).contended()
    for preemptions in range(1, min(state.preemptions, NEAR_PREEMPTIONS + 1)):
        scheduler = Contended(random.Random(preemptions), preemptions)
        scheduler.learn(set(places), sum(map(len, places.values())))
        for _ in range(NEAR_TRIES):
            run = attempts.run(scheduler)
            if attempts.fails(run) and run.preemptions < state.preemptions:
                state.run = run
                state.narrate()
                return True
    return False


def least_preemptions(state: Shrunk, budget: Budget) -> None:
    """Run every schedule with 0, 1, 2 ... preemptions until one fails."""
    attempts = Attempts(state.failing, budget)
    fewer = state.classes = 0
    left = ENUMERATE_MAX
    state.least_proved = False          # a proof of another program says nothing of this one
    for preemptions in range(state.preemptions + 1):
        found, runs, clean = attempts.enumerate(preemptions, left, exactly=preemptions > 0)
        left -= runs
        if found is not None:
            state.run = found
            state.least_proved = True
            break
        if not clean:
            _least_by_classes(state, attempts)
            break
        fewer = runs                    # an enumeration with at most that number makes the runs with fewer again
    state.fewer_runs = fewer


def _least_by_classes(state: Shrunk, attempts: Attempts) -> None:
    """Prove the number least: every class of schedules with fewer was run, and none fails."""
    if not state.preemptions:
        state.least_proved = True
        return
    found, classes, clean = attempts.classes(state.preemptions - 1)
    if found is not None and found.preemptions < state.preemptions:
        state.run = found
        _least_by_classes(state, attempts)
    elif clean:
        state.least_proved, state.classes = True, classes


def minimal_text(shrunk: Shrunk) -> str:
    """Say in one sentence what is proved, and what is not."""
    if shrunk.cut and not shrunk.runs:
        return f"no: not shrunk, {shrunk.cut}"
    parts = []
    if shrunk.cut:
        parts.append(f"no: shrinking was cut, {shrunk.cut}{'; an operation may still go' * (shrunk.operations_proved is not None)}")
    elif shrunk.operations_proved is not None:
        parts.append("no operation can go" if shrunk.operations_proved else "operations: not proved minimal, the budget of runs was spent")
    if shrunk.least_proved and shrunk.preemptions:
        fewer = shrunk.preemptions - 1
        parts.append(f"no schedule with {count(fewer, 'preemption')}{' or fewer' * (fewer > 0)} fails"
                     f" (all {count(shrunk.classes, 'class of schedules') if shrunk.classes else f'{shrunk.fewer_runs:,}'} run)")
    elif shrunk.least_proved:
        parts.append("it needs no preemption")
    elif not shrunk.cut:
        parts.append("the number of preemptions is not proved least, the budget of runs was spent")
    return "; ".join(parts)
