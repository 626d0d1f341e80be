# SPDX-License-Identifier: MIT
"""The smallest program that still tells variants apart by one kind of difference.

A program whose schedules all fit the budget is made smaller by comparing each smaller program in full. A finding of a larger program is
shrunk on the variant that has it, as a campaign does; a smaller program counts only if no variant that lacked the finding shows it, by
the same schedule or in QUICK samples. The comparison in full comes after that, in decide.py.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence

from vmrace.fuzz.compare.found import Found
from vmrace.fuzz.compare.kinds import kind_of
from vmrace.fuzz.compare.matched import compare_matched
from vmrace.fuzz.compare.outcomes import Contender, things
from vmrace.fuzz.programs.reduce import PASSES
from vmrace.fuzz.run.executor import SetupFailed
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.fuzz.shrink.failing import Budget, Cut
from vmrace.fuzz.shrink.minimize import program_of, shrink_program
from vmrace.fuzz.shrink.operations import OperationsFail
from vmrace.fuzz.shrink.schedule import Shrunk
from vmrace.harness.errors import Diverged
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.replay.named_schedule import Line, Named
from vmrace.harness.schedulers import NoPreempt, Pct, Walk
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.family import identity
from vmrace.variants.program import Program

QUICK = 60                  # samples of a variant that is to lack a finding
TRIES = 40                  # schedules of a smaller program near the one that failed, and random ones
SHRINK_RUNS = 10_000        # runs that shrinking a finding on its variant may take: until it ends, no later difference is merged
REDUCE_RUNS = 20_000        # runs that comparing smaller programs in full may take
REDUCE_EACH = 2_000         # ... on each variant


class _Limited(Budget):
    """A budget of SHRINK_RUNS runs, and of any time: the result is the same on each machine."""

    def check(self) -> None:
        """Raise Cut if the runs are used up."""
        if self.runs >= SHRINK_RUNS:
            raise Cut(f"{SHRINK_RUNS:,} runs were used up")


class Tally:
    """The runs that looking into a difference has taken."""

    def __init__(self) -> None:
        self.runs = 0


def smaller_in_full(found: Found, chosen: Sequence[Contender], tally: Tally) -> Program:
    """Return the smallest program reached by the passes of the shrinker whose comparison in full shows a difference of the same kind
    between the same variants, within REDUCE_RUNS runs."""
    left, limit = found.program, tally.runs + REDUCE_RUNS
    progress = True
    while progress:
        progress = False
        for candidates in PASSES.values():
            for candidate in candidates(left):
                if tally.runs >= limit:
                    return left
                if _tells_apart(candidate, found, chosen, tally):
                    left, progress = candidate, True
                    break
    return left


def _tells_apart(program: Program, found: Found, chosen: Sequence[Contender], tally: Tally) -> bool:
    wanted = [chosen[number] for number in (*found.can, *found.cannot)]
    if any(contender.executor.lacks(program) for contender in wanted):
        return False
    comparison = compare_matched("", program, wanted, REDUCE_EACH, 1)
    tally.runs += sum(side.schedules for side in comparison.sides)
    unable = comparison.sides[len(found.can):]
    lacking = [side.name for side in unable]
    return all(side.complete for side in unable) and any(
        kind_of(one) == found.kind and [side.name for side in one.lacking] == lacking for one in comparison.differences)


def smaller_finding(found: Found, chosen: Sequence[Contender], tally: Tally) -> Program | None:
    """Shrink the program of a finding on the variant that has it. Returns None if another variant shows it, too, or every other one.

    Raises LookupError if the run does not replay.
    """
    here, title = chosen[found.on], found.thing.printed[0]
    here.executor.only(title)
    try:
        failing = OperationsFail(here.executor, found.program, title)
    except SetupFailed:
        return found.program
    run = failing.run(Replay(found.switches, found.forced, lenient=True))
    tally.runs += 1
    if title not in run.titles:
        raise LookupError(f"{title!r} does not replay on {here.full_name}: got {run.titles}")
    state, budget = Shrunk(failing, run), _Limited()
    state.narrate()
    others = [chosen[number] for number in found.not_seen or found.cannot]
    lacking = [other for other in others if not _shows(other, found.program, state.lines, found.thing, tally)]
    if not lacking:
        return None

    def fits(candidate: Program, now: Shrunk) -> bool:
        return not any(_shows(other, candidate, now.lines, found.thing, tally) for other in lacking)

    here.executor.only(title)
    with contextlib.suppress(Cut):
        shrink_program(state, budget, random.Random(0), fits, TRIES)
    tally.runs += budget.runs
    return program_of(state)


def _shows(other: Contender, program: Program, lines: tuple[Line, ...], thing: Reached, tally: Tally) -> bool:
    """True if the variant shows the finding, by that schedule or in QUICK samples. A variant that lacks an operation counts as if it did:
    the program tells nothing about it."""
    executor = other.executor
    if executor.lacks(program):
        return True
    executor.only("")
    try:
        prepared = executor.prepare(program)
    except SetupFailed as failed:
        return identity(other.full_name, failed.finding.title) in thing.titles
    rng = random.Random(0)
    schedulers: list[Scheduler] = [Named(lines, program.keys(), lenient=True), NoPreempt()]
    walk, pct = Walk(rng, 0.1), Pct(rng, 2)
    schedulers += [walk if number % 2 else pct for number in range(QUICK)]
    for scheduler in schedulers:
        tally.runs += 1
        try:
            outcome = executor.run(prepared, scheduler)
        except Diverged:
            continue
        if thing in things(other, prepared, outcome):
            return True
        if isinstance(scheduler, Pct):
            scheduler.learn(max(outcome.steps, 2))
    return False
