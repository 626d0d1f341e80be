# SPDX-License-Identifier: MIT
"""Shrinks an entry, or a hit as it was found, once more."""

from __future__ import annotations

import pathlib
import random

from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.run.executor import Executor, Lacks, Outcome, Prepared, SetupFailed
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.shrink.confirm import Confirmed, confirm
from vmrace.fuzz.text.wording import count
from vmrace.harness.errors import Diverged
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.schedulers import Pct, Walk
from vmrace.variants.family import family

REFIND_RUNS = 20_000


def shrink_entry(entry: Entry, seed: int, refind: bool = False) -> Confirmed | str:
    """Shrink an entry's failure again; a text says why it no longer fails. With `refind`, look for another schedule that fails."""
    executor = Executor(family(entry.family), entry.variant, checked=True)
    try:
        prepared = executor.ready(entry.program, entry.title)
        outcome = executor.run(prepared, Named(entry.schedule, entry.program.keys(), lenient=refind))
    except (Lacks, SetupFailed, Diverged) as error:
        return str(error)
    if refind and entry.title not in outcome.titles:
        outcome, runs = _refound(executor, prepared, outcome, entry.title, seed)
        if entry.title not in outcome.titles:
            return f"not found again in {count(runs, 'schedule')}"
    if entry.title not in outcome.titles:
        return f"its schedule ends in {outcome.title!r}" if outcome.title else "its schedule finds nothing"
    hit = Hit(entry.title, entry.program, outcome.switches, outcome.forced, 0, "entry", 0.0)
    return confirm(entry.family, entry.variant, hit, seed)


def shrink_hit(path: pathlib.Path, seed: int) -> Confirmed | str:
    """Confirm and shrink a hit that was kept as it was found; a text says why it does not fail. EntryError if the file is no hit."""
    hit, found_on = hit_file.load(path)
    family_name, _, variant = found_on.partition("/")
    executor = Executor(family(family_name), variant, checked=True)
    try:
        outcome = executor.replay(executor.ready(hit.program, hit.title), hit.switches, hit.forced)
    except (Lacks, SetupFailed, Diverged) as error:
        return str(error)
    if hit.title not in outcome.titles:
        return f"its run ends in {outcome.title!r}" if outcome.title else "its run finds nothing"
    return confirm(family_name, variant, hit, seed)


def _refound(executor: Executor, prepared: Prepared, outcome: Outcome, title: str, seed: int) -> tuple[Outcome, int]:
    """Run at most REFIND_RUNS schedules of the program, until one ends in that title."""
    rng = random.Random(seed)
    depths = [Pct(rng, depth, max(outcome.steps, 2)) for depth in (2, 3, 4)]
    schedulers: list[Scheduler] = [*depths, *(Walk(rng, chance) for chance in (0.02, 0.1, 0.3))]
    runs = 0
    while title not in outcome.titles and runs < REFIND_RUNS:
        outcome = executor.run(prepared, schedulers[runs % len(schedulers)])
        runs += 1
    return outcome, runs
