# SPDX-License-Identifier: MIT
"""A failing program of plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmrace.fuzz.functions.rerun import places_of
from vmrace.fuzz.functions.story import tell, traced
from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.shrink.failing import Budget, Run
from vmrace.harness.errors import HarnessError
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.functions.program import Result, Runner
from vmrace.harness.functions.verify import Differs, facts
from vmrace.harness.machine.scheduler import Scheduler


class FunctionsFail:
    """A program of plain functions: vmrace.fuzz.shrink.failing.Failing."""

    def __init__(self, runner: Runner, title: str):
        self.runner = runner
        self.title = title

    @property
    def keys(self) -> Sequence[str]:
        return self.runner.keys()

    def run(self, scheduler: Scheduler) -> Result:
        return self.runner.run(scheduler)

    def trace(self, scheduler: Scheduler) -> tuple[str, Result]:
        recorder, result = traced(self.runner, scheduler)
        return recorder.digest(), result

    def tell(self, scheduler: Scheduler) -> tuple[list[str], str, Result]:
        return tell(self.runner, scheduler, self.title)

    def facts(self, run: Run) -> dict[str, Any]:
        assert isinstance(run, Result), run
        return facts(run)

    def differs(self, why: str, named: bool) -> Exception:
        """A program of a user need not be a function of its decisions. The names of its points are vmrace's own."""
        return HarnessError(why) if named else Differs(why)

    def places(self, run: Run) -> Places:
        return places_of(self.runner, run)

    def classes(self, preemptions: int, runs_max: int, budget: Budget) -> Exploration | None:
        """Explore nothing: which loops of the program wait is known only where all of its runs are repeated (see verify)."""
        return None
