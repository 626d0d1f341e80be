# SPDX-License-Identifier: MIT
"""From a hit of a family to an entry of the corpus."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.corpus.verdict import bug
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.exhaustive import explore_on
from vmrace.fuzz.run.hit import REPLAYS, Hit
from vmrace.fuzz.shrink import pipeline
from vmrace.fuzz.shrink.failing import Budget, Failing, Run
from vmrace.fuzz.shrink.minimize import minimize, program_of
from vmrace.fuzz.shrink.operations import OperationsFail
from vmrace.fuzz.shrink.schedule import Shrunk, minimal_text
from vmrace.fuzz.text.wording import count
from vmrace.harness.finding import is_of_one_run
from vmrace.variants.family import family
from vmrace.variants.program import Program

SHARE_MAX = 2000            # runs that counting the share of schedules that fail may take ...
SHARE_SECONDS = 10.0        # ... and how long, if there is a deadline


@dataclass
class Sizes:
    """The size of a failure."""

    operations: int
    tasks: int
    cpus: int
    preemptions: int

    def __str__(self) -> str:
        return f"{count(self.operations, 'operation')}, {count(self.cpus, 'cpu')}, {count(self.preemptions, 'preemption')}"


@dataclass
class Confirmed:
    """A shrunk failure, ready to be written and reported. `cut`: why it is not shrunk, or not to the end."""

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
    cut: str = ""
    replays: int = REPLAYS
    passes: dict[str, tuple[int, int]] = field(default_factory=dict)


def confirm(family_name: str, variant: str, hit: Hit, seed: int, unshrunk: str = "", deadline: float = math.inf,
            executor: Executor | None = None) -> Confirmed:
    """Shrink a hit, until `deadline` (of time.monotonic) at most, and make its entry.

    With `unshrunk`, keep it as it is, for that reason. `executor`: a checked one of that variant, if its runs are judged by more than the
    sanitizers. HarnessError if it does not replay: that is an error of vmrace, never the
    kernel's.
    """
    started = time.monotonic()
    executor = executor or Executor(family(family_name), variant, checked=True)
    executor.only(hit.title)
    failing = OperationsFail(executor, hit.program, hit.title)

    def shrink(as_found: Failing, run: Run) -> Shrunk:
        if unshrunk:
            return Shrunk(as_found, run, cut=unshrunk, operations_proved=False)
        return minimize(failing, run, Budget(deadline), seed)
    shrunk, story, digest = pipeline.confirm(failing, hit.switches, hit.forced, shrink)
    program = program_of(shrunk)
    entry = Entry(title=hit.title, asks=_question(hit.title), source=executor.family.variants[variant].source,
                  found_on=f"{family_name}/{variant}", program=program, schedule=shrunk.lines, expect={variant: bug(hit.title)})
    minimal = "; ".join([minimal_text(shrunk), *_share(executor, shrunk, 1e9 if math.isinf(deadline) else SHARE_SECONDS)])
    return Confirmed(hit.title, entry, _sizes(hit.program, len(hit.switches) // 2), _sizes(program, shrunk.preemptions), story,
                     digest, shrunk.runs, time.monotonic() - started, minimal, shrunk.least_proved, bool(shrunk.operations_proved),
                     shrunk.cut, passes=shrunk.passes)


def _share(executor: Executor, shrunk: Shrunk, seconds: float) -> list[str]:
    """Return the share of all schedules that fails, if they can all be run in `seconds`."""
    title = shrunk.failing.title
    if shrunk.cut or is_of_one_run(title):
        return []
    every = explore_on(executor, program_of(shrunk), runs_max=SHARE_MAX, seconds_max=seconds)
    if not every.complete or title not in every.titles:
        return []
    failing = every.classes_with(title)
    return [f"{failing:,} of {'all ' * (every.classes > 1)}{count(every.classes, 'class of schedules')} fail{'s' * (failing == 1)}"]


def _sizes(program: Program, preemptions: int) -> Sizes:
    return Sizes(program.size, len(program.tasks), program.cpus, preemptions)


def _question(title: str) -> str:
    return f"Can the operations below end in `{title}`?"
