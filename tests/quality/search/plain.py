# SPDX-License-Identifier: MIT
"""Runs to the first failure of programs of SCTBench, beside those that RFF publishes (ASPLOS 2024)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from vmrace.fuzz.functions.sample import fuzz_runner
from vmrace.harness.functions.program import Program, Result, Runner
from vmrace.harness.functions.verify import verify
from vmrace.harness.machine.scheduler import Scheduler

from tests.programs import sctbench

RUNS_MAX = 2_000            # runs of one search, after which it counts as one that found nothing
SECONDS = 3_600.0
STACK_RUNS = 5_000
STACK_BOUNDS = (0, 1)        # with two, 20,000 runs are not enough
GOOD, LIMIT = 1.5, 3.0      # times the published mean: the aim, and the most


@dataclass(frozen=True)
class Subject:
    """A program. `published`: the mean number of schedules to the first failure that RFF publishes; 0: it publishes none."""

    name: str
    make: Callable[..., Program]
    args: tuple[int, ...] = ()
    published: float = 0
    why: str = ""                       # the reason, where the mean is above GOOD times the published one


SUBJECTS = (
    Subject("account", sctbench.account, (), 1),
    Subject("bluetooth_driver", sctbench.bluetooth_driver, (), 45),
    Subject("deadlock01", sctbench.deadlock01, (), 5),
    Subject("lazy01", sctbench.lazy01, (), 6),
    Subject("reorder_3", sctbench.reorder, (2, 1), 6),
    Subject("reorder_4", sctbench.reorder, (3, 1), 6),
    Subject("reorder_5", sctbench.reorder, (4, 1), 6),
    Subject("reorder_10", sctbench.reorder, (9, 1), 6),
    Subject("reorder_20", sctbench.reorder, (10, 10), 6),
    Subject("reorder_50", sctbench.reorder, (49, 1), 6),
    Subject("reorder_100", sctbench.reorder, (99, 1), 6),
    Subject("twostage", sctbench.twostage, (1, 1), 8),
    Subject("twostage_20", sctbench.twostage, (19, 1), 22),
    Subject("twostage_50", sctbench.twostage, (49, 1), 35),
    Subject("twostage_100", sctbench.twostage, (99, 1), 56),
    Subject("wronglock", sctbench.wronglock, (1, 7), 1),
    Subject("wronglock_3", sctbench.wronglock, (1, 3), 1),
)


@dataclass(frozen=True)
class Measured:
    """The searches on one program: for each seed, the run that failed first; None if none did."""

    subject: Subject
    runs: tuple[int | None, ...]

    @property
    def found(self) -> list[int]:
        return [run for run in self.runs if run is not None]

    @property
    def mean(self) -> float:
        """The mean number of runs; a search that found nothing counts RUNS_MAX."""
        return statistics.mean(RUNS_MAX if run is None else run for run in self.runs)

    @property
    def ratio(self) -> float:
        return self.mean / self.subject.published

    @property
    def row(self) -> str:
        runs = " ".join("-" if run is None else str(run) for run in self.runs)
        return (f"| {self.subject.name} | {self.subject.published:g} | {self.mean:.1f} | {self.ratio:.2f} | {len(self.found)} of "
                f"{len(self.runs)} | {runs} |")


def runs_to_failure(subject: Subject, seed: int) -> int | None:
    """Return the number of runs of the program up to the first that fails; None if none of RUNS_MAX does.

    The runs that are made again count as well: one in twenty, to test that the program is a function of its schedule.
    """
    runner = _Counted(subject.make, *subject.args)
    first: list[int] = []
    fuzz_runner(runner, runs=RUNS_MAX, seconds=SECONDS, seed=seed, shrink=False, seen=lambda failure: first.append(runner.count))
    return first[0] if first else None


class _Counted(Runner):
    """A runner that counts all its runs."""

    count = 0

    def run(self, scheduler: Scheduler, watch: bool = False) -> Result:
        self.count += 1
        return super().run(scheduler, watch)


def measure(subjects: Sequence[Subject], seeds: int, tell: Callable[[str], None]) -> list[Measured]:
    """Search each program with the seeds 1 to `seeds`, and pass each row to `tell`."""
    out = []
    for subject in subjects:
        out.append(Measured(subject, tuple(runs_to_failure(subject, seed) for seed in range(1, seeds + 1))))
        tell(out[-1].row)
    return out


def table(measured: Sequence[Measured]) -> str:
    """Return the table as text for the documentation, with a reason for each program above GOOD."""
    lines = ["| program | RFF | mean | ratio | seeds | runs of each seed |", "|---|---|---|---|---|---|", *(one.row for one in measured)]
    above = [one for one in measured if one.ratio > GOOD]
    lines += ["", f"Above {GOOD:g} times the published mean: " + (", ".join(one.subject.name for one in above) or "none") + "."]
    lines += [f"- {one.subject.name}: {one.subject.why or 'no reason is known'}" for one in above]
    return "\n".join(lines)


def safestack() -> str:
    """Sample SafeStack, and explore it with few preemptions. Return what came of it, as text for the documentation."""
    found = fuzz_runner(Runner(sctbench.safestack), runs=STACK_RUNS, seconds=SECONDS, seed=1, shrink=False)
    lines = [f"SafeStack: {_said(found.titles)} in {found.runs:,} runs (seed 1). Its failure needs five preemptions, and no published "
             "sampler finds it. With few preemptions, every class of schedules was run, up to two yields of each task:"]
    for bound in STACK_BOUNDS:
        proof = verify(sctbench.safestack, preemptions=bound)
        lines.append(f"{bound} preemption{'s' * (bound != 1)}: {proof.classes:,} classes, {_said(proof.titles)}"
                     + (f" ({proof.why})." if proof.why else "."))
    return "\n\n".join(lines)


def _said(titles: Collection[str]) -> str:
    return ", ".join(titles) or "no failure"
