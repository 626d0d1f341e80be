# SPDX-License-Identifier: MIT
"""Repeats a run of plain functions by its decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmrace.fuzz.sampling.contention import Places
from vmrace.fuzz.shrink.failing import Run
from vmrace.harness.errors import Diverged
from vmrace.harness.functions.program import Result, Runner
from vmrace.harness.functions.verify import Differs, facts, must_agree
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers.replay import Replay


def places_of(runner: Runner, result: Run) -> Places:
    """Make the run again, and return where it touches what."""
    places = Places()
    with m.watched(places):
        replayed(runner, Replay(result.switches, result.forced))
    return places


def again(runner: Runner, switches: Sequence[int], forced: Sequence[int], before: dict[str, Any]) -> None:
    """Make the run with these decisions again. Differs if its facts are not those `before`."""
    must_agree(before, facts(replayed(runner, Replay(switches, forced), watch=True)))


def replayed(runner: Runner, scheduler: Scheduler, watch: bool = False) -> Result:
    """Make a run with decisions that were possible before. Differs if they cannot be taken now."""
    try:
        return runner.run(scheduler, watch)
    except Diverged as error:
        raise Differs(error.why) from None
