# SPDX-License-Identifier: MIT
"""A failing program of a family's operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmrace.fuzz.run.executor import Executor, Outcome
from vmrace.fuzz.run.exhaustive import explore_on
from vmrace.fuzz.run.story import tell
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.shrink.failing import Budget, Run
from vmrace.harness.errors import HarnessError
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.finding import is_of_one_run
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.program import Program


class OperationsFail:
    """A program on one variant: vmrace.fuzz.shrink.failing.Failing. SetupFailed if its setup alone is a finding."""

    def __init__(self, executor: Executor, program: Program, title: str):
        self.executor = executor
        self.program = program
        self.title = title
        self.prepared = executor.prepare(program)

    @property
    def keys(self) -> Sequence[str]:
        return self.program.keys()

    def run(self, scheduler: Scheduler) -> Outcome:
        return self.executor.run(self.prepared, scheduler)

    def trace(self, scheduler: Scheduler) -> tuple[str, Outcome]:
        traced = self.executor.trace(self.prepared, scheduler, stacks=False)
        return traced.digest, traced.outcome

    def tell(self, scheduler: Scheduler) -> tuple[list[str], str, Outcome]:
        story, traced = tell(self.executor, self.prepared, scheduler, self.title)
        return story, traced.digest, traced.outcome

    def facts(self, run: Run) -> dict[str, Any]:
        return {"what is found": run.titles}

    def differs(self, why: str, named: bool) -> Exception:
        """A variant is a function of its decisions: where it is not, the error is vmrace's."""
        return HarnessError(why)

    def places(self, run: Run) -> Places:
        places = Places()
        with m.watched(places):
            self.run(Replay(run.switches, run.forced))
        return places

    def classes(self, preemptions: int, runs_max: int, budget: Budget) -> Exploration | None:
        if is_of_one_run(self.title) or not self.executor.checked:
            return None
        return explore_on(self.executor, self.program, bound=preemptions, runs_max=runs_max, progress=lambda _: budget.check())
