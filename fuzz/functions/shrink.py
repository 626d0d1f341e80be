# SPDX-License-Identifier: MIT
"""A failure of plain functions: confirmed, shrunk, named and told."""

from __future__ import annotations

import time

from vmrace.fuzz.functions.failing import FunctionsFail
from vmrace.fuzz.functions.result import Failure
from vmrace.fuzz.shrink import pipeline
from vmrace.fuzz.shrink.failing import Budget, Cut, Failing, Run
from vmrace.fuzz.shrink.schedule import Shrunk, fewer_preemptions, least_preemptions, minimal_text
from vmrace.fuzz.text.times import SHRINK_SECONDS_MAX
from vmrace.harness import stop
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.program import Runner

NOT_ASKED_FOR = "as it was found"


def confirm(runner: Runner, failure: Failure) -> None:
    """Shrink a failure that was found earlier, name its schedule and replay it. Differs if it no longer fails."""
    with watchdog.watched(), stop.held():
        shrink_failure(runner, failure, SHRINK_SECONDS_MAX)


def shrink_failure(runner: Runner, failure: Failure, seconds: float) -> None:
    """Shrink a failure for at most that number of seconds (0: not at all), name its schedule and replay it. Differs if it does not
    replay."""
    budget = Budget(time.monotonic() + seconds)

    def shrink(failing: Failing, run: Run) -> Shrunk:
        state = Shrunk(failing, run, cut="" if seconds else NOT_ASKED_FOR)
        if seconds:
            try:
                state.narrate()
                fewer_preemptions(state, budget)
                least_preemptions(state, budget)
            except Cut as cut:
                state.cut = str(cut)
        state.runs = budget.runs
        return state
    shrunk, failure.story, failure.digest = pipeline.confirm(FunctionsFail(runner, failure.title), failure.switches, failure.forced, shrink)
    failure.switches, failure.forced, failure.schedule = list(shrunk.run.switches), list(shrunk.run.forced), shrunk.lines
    failure.shrink_runs, failure.least_proved, failure.minimal = shrunk.runs, shrunk.least_proved, minimal_text(shrunk)
