# SPDX-License-Identifier: MIT
"""Witnesses: schedules by which one variant reaches an outcome that another does not, to be kept as entries."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vmrace.fuzz.compare.outcomes import Comparison, Difference, Reach, Side, things
from vmrace.fuzz.compare.reached_text import text_of
from vmrace.fuzz.corpus.entry import Entry, save
from vmrace.fuzz.corpus.judge import PROVE_MAX, judge_entry
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, SetupFailed
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.fuzz.run.story import narrate
from vmrace.harness.errors import Diverged, HarnessError
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.replay.named_schedule import Line, Named
from vmrace.harness.schedulers.enumerate import every_schedule

WITNESS_RUNS, WITNESS_SECONDS = 3000, 5.0       # limits of the search for a witness with fewer preemptions


@dataclass
class Witness:
    """A schedule by which the side `of` reaches an outcome. `elsewhere` maps each other variant to the outcome of the same schedule.
    `least`: it is proved that no schedule needs fewer preemptions."""

    thing: Reached
    of: Side
    preemptions: int
    least: bool
    schedule: tuple[Line, ...] = ()
    elsewhere: dict[str, str] = field(default_factory=dict)
    path: pathlib.Path | None = None


def witness(comparison: Comparison, difference: Difference, seconds: float = WITNESS_SECONDS) -> Witness:
    """Find a run with few preemptions that reaches the outcome of a difference, and replay it by the names of its points on every
    variant. The search for fewer takes at most WITNESS_RUNS runs, and `seconds`. Raises HarnessError if that replay misses the outcome."""
    side = min(difference.having, key=lambda one: one.reached[difference.thing].preemptions)
    thing = next(one for one in side.reached if one == difference.thing)        # as this variant prints it
    reach = side.reached[thing]
    if side.setup_fails:
        return Witness(thing, side, 0, True, elsewhere=_elsewhere(comparison, side, ()))
    executor = side.contender.executor
    executor.only("")
    prepared = executor.prepare(comparison.program)
    outcome, least = _fewest(executor, prepared, lambda run: thing in things(side.contender, prepared, run), reach, seconds)
    lines = narrate(executor, prepared, outcome)
    again = things(side.contender, prepared, executor.run(prepared, Named(lines, comparison.program.keys())))
    if thing not in again:
        ends = [str(one) for one in again]
        raise HarnessError(f"the schedule to {thing} on {side.contender.full_name} leads to {ends} by name")
    return Witness(thing, side, outcome.preemptions, least, lines, _elsewhere(comparison, side, lines))


def _fewest(executor: Executor, prepared: Prepared, fits: Callable[[Outcome], bool], reach: Reach,
            seconds: float) -> tuple[Outcome, bool]:
    """Return a run that `fits` with few preemptions, and True if no run with fewer fits."""
    deadline = time.monotonic() + seconds
    runs = 0

    def run(scheduler: Scheduler) -> Outcome | None:
        nonlocal runs
        runs += 1
        outcome = executor.run(prepared, scheduler)
        return outcome if fits(outcome) else None

    for preemptions in range(reach.preemptions if reach.least else 0, len(reach.switches) // 2 + 1):
        for outcome in every_schedule(run, preemptions, exactly=True):
            if outcome is not None:
                return outcome, True
            if runs >= WITNESS_RUNS or time.monotonic() > deadline:
                break
        if runs >= WITNESS_RUNS or time.monotonic() > deadline:
            break
    outcome = _without_some(executor, prepared, fits, executor.replay(prepared, reach.switches, reach.forced))
    return outcome, reach.least and outcome.preemptions == reach.preemptions


def _without_some(executor: Executor, prepared: Prepared, fits: Callable[[Outcome], bool], outcome: Outcome) -> Outcome:
    """Remove preemptions from a run, one at a time, as long as the run still fits."""
    at = 0
    while at < len(outcome.switches):
        fewer = executor.replay(prepared, outcome.switches[:at] + outcome.switches[at + 2:], outcome.forced, lenient=True)
        if fits(fewer) and fewer.preemptions < outcome.preemptions:
            outcome, at = fewer, 0
        else:
            at += 2
    return outcome


def _elsewhere(comparison: Comparison, side: Side, lines: tuple[Line, ...]) -> dict[str, str]:
    """Run the schedule on each other variant, and describe the outcome."""
    out: dict[str, str] = {}
    for other in comparison.applying:
        if other is side:
            continue
        executor = other.contender.executor
        executor.only("")
        try:
            prepared = executor.prepare(comparison.program)
            outcome = executor.run(prepared, Named(lines, comparison.program.keys()))
        except SetupFailed as failed:
            out[other.name] = str(failed)
        except Diverged as error:
            out[other.name] = f"diverges at step {error.step}: {error.why}"
        else:
            out[other.name] = "; ".join(text_of(thing) for thing in things(other.contender, prepared, outcome)) or "no end"
    return out


def keep(comparison: Comparison, found: Witness, directory: pathlib.Path) -> pathlib.Path:
    """Write a witness as an entry, with the verdict of each compared variant of its family. Raises EntryError if that fails."""
    found.path = save(entry_of(comparison, found), directory)
    return found.path


def entry_of(comparison: Comparison, found: Witness) -> Entry:
    """Make the entry of a witness, with the verdict of each compared variant of its family."""
    family = found.of.contender.family
    if found.thing.titles:
        title = found.thing.printed[0]
        asks = f"Can the operations below end in `{title}`?"
    else:
        title = f"ends with {text_of(found.thing)}"
        asks = f"Can the operations below end with {text_of(found.thing)}?"
    entry = Entry(title=title, asks=asks, source=f"vmrace diff; the program is {comparison.name}", found_on=found.of.contender.full_name,
                  program=comparison.program, schedule=found.schedule, expect={})
    for side in comparison.sides:
        if side.contender.family.name == family.name:
            entry.expect[side.contender.variant] = _verdict(side, entry)
    return entry


def _verdict(side: Side, entry: Entry) -> Verdict:
    """Return the verdict of an entry on one side: proved if every class of schedules ran without a finding, else as a replay judges."""
    if side.complete and side.distinct <= PROVE_MAX and not any(thing.titles for thing in side.reached):
        return Verdict(Word.PROVED, number=side.distinct)
    verdict = judge_entry(entry, side.contender.executor).accepted or Verdict(Word.ABSENT)
    side.contender.executor.only("")
    return verdict
