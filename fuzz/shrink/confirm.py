# SPDX-License-Identifier: MIT
"""From a hit to an entry: replay it, shrink it, name its schedule, tell its story, and replay it twenty times more."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.corpus.verdict import bug
from vmrace.fuzz.run.executor import Executor, Outcome
from vmrace.fuzz.run.exhaustive import explore_on
from vmrace.fuzz.run.hit import REPLAYS, Hit
from vmrace.fuzz.run.story import narrate, tell
from vmrace.fuzz.shrink.minimize import Shrunk, minimize
from vmrace.fuzz.text.wording import count
from vmrace.harness.errors import HarnessError
from vmrace.harness.finding import is_of_one_run
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.family import family

SHARE_MAX = 2000            # runs that counting the share of schedules that fail may take ...
SHARE_SECONDS = 10.0        # ... and how long


@dataclass
class Sizes:
    """How large a failure is."""

    operations: int
    tasks: int
    cpus: int
    preemptions: int

    def __str__(self) -> str:
        return f"{count(self.operations, 'operation')}, {count(self.cpus, 'cpu')}, {count(self.preemptions, 'preemption')}"


@dataclass
class Confirmed:
    """A shrunk failure, ready to be written and told."""

    title: str
    entry: Entry
    before: Sizes
    after: Sizes
    story: list[str]
    digest: str
    runs: int
    seconds: float
    minimal: str
    least_proved: bool
    operations_proved: bool
    cut: str = ""               # why it is not shrunk, or not to the end
    replays: int = REPLAYS
    passes: dict[str, tuple[int, int]] = field(default_factory=dict)


def confirm(family_name: str, variant: str, hit: Hit, seed: int, unshrunk: str = "", deadline: float = math.inf) -> Confirmed:
    """Shrink a hit, until `deadline` at most, and make its entry; with `unshrunk`, for that reason, as it is. HarnessError if it
    does not replay: that is our error, never the kernel's."""
    started = time.monotonic()
    executor = Executor(family(family_name), variant, checked=True)
    program, title = hit.program, hit.title
    executor.only(title)
    outcome = _again(executor, hit)
    before = _sizes(hit, len(hit.switches) // 2)
    shrunk = (Shrunk(program, outcome, cut=unshrunk) if unshrunk
              else minimize(executor, program, outcome, title, seed, deadline))
    prepared = executor.prepare(shrunk.program)
    lines = narrate(executor, prepared, shrunk.outcome)
    story, digest = _replays(executor, shrunk, lines, title)
    after = Sizes(shrunk.program.size, len(shrunk.program.tasks), shrunk.program.cpus, shrunk.outcome.preemptions)
    entry = Entry(title=title, asks=_question(title), source=executor.family.variants[variant].source,
                  found_on=f"{family_name}/{variant}", program=shrunk.program, schedule=lines,
                  expect={variant: bug(title)})
    minimal = "; ".join([minimal_text(shrunk), *_share(executor, shrunk, title)])
    return Confirmed(title, entry, before, after, story, digest, shrunk.runs, time.monotonic() - started, minimal,
                     shrunk.least_proved, shrunk.operations_proved, shrunk.cut, passes=shrunk.passes)


def _share(executor: Executor, shrunk: Shrunk, title: str) -> list[str]:
    """Which share of all schedules fails, if they can all be run."""
    if shrunk.cut or is_of_one_run(title):
        return []
    every = explore_on(executor, shrunk.program, runs_max=SHARE_MAX, seconds_max=SHARE_SECONDS)
    if not every.complete or title not in every.titles:
        return []
    failing = every.classes_with(title)
    return [f"{failing:,} of {'all ' * (every.classes > 1)}{count(every.classes, 'class of schedules')} fail{'s' * (failing == 1)}"]


def _again(executor: Executor, hit: Hit) -> Outcome:
    prepared = executor.prepare(hit.program)
    outcome = executor.replay(prepared, hit.switches, hit.forced)
    if hit.title not in outcome.titles:
        raise HarnessError(f"{hit.title!r} does not replay: got {outcome.titles}")
    return outcome


def _replays(executor: Executor, shrunk: Shrunk, lines: tuple, title: str) -> tuple[list[str], str]:
    """Replay by decisions and by name, all alike."""
    prepared = executor.prepare(shrunk.program)
    replay = Replay(shrunk.outcome.switches, shrunk.outcome.forced)
    story, traced = tell(executor, prepared, replay, title)
    keys = prepared.program.keys()
    for number in range(REPLAYS):
        again = executor.trace(prepared, Named(lines, keys) if number & 1 else replay)
        if title not in again.outcome.titles or again.digest != traced.digest:
            raise HarnessError(f"{title!r}: replay {number + 1} of {REPLAYS} differs: {again.outcome.titles}, trace {again.digest}"
                               f" instead of {traced.digest}")
    return story, traced.digest


def _sizes(hit: Hit, preemptions: int) -> Sizes:
    return Sizes(hit.program.size, len(hit.program.tasks), hit.program.cpus, preemptions)


def minimal_text(shrunk: Shrunk) -> str:
    """One sentence: what is proved, and what is not."""
    if shrunk.cut and not shrunk.runs:
        return f"no: not shrunk, {shrunk.cut}"
    if shrunk.cut:
        parts = [f"no: shrinking was cut, {shrunk.cut}; an operation may still go"]
    else:
        parts = ["no operation can go" if shrunk.operations_proved else "operations: not proved minimal, the budget of runs was spent"]
    if shrunk.least_proved and shrunk.preemptions:
        fewer = shrunk.preemptions - 1
        parts.append(f"no schedule with {count(fewer, 'preemption')}{' or fewer' * (fewer > 0)} fails"
                     f" (all {count(shrunk.classes, 'class of schedules') if shrunk.classes else f'{shrunk.fewer_runs:,}'} run)")
    elif shrunk.least_proved:
        parts.append("it needs no preemption")
    elif not shrunk.cut:
        parts.append("the number of preemptions is not proved least, the budget of runs was spent")
    return "; ".join(parts)


def _question(title: str) -> str:
    return f"Can the operations below end in `{title}`?"
