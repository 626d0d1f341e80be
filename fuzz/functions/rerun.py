# SPDX-License-Identifier: MIT
"""A run of a program of plain functions, once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmrace.fuzz.sampling.contention import Places
from vmrace.harness.errors import Diverged
from vmrace.harness.functions.program import Result, Runner
from vmrace.harness.functions.verify import Differs, facts
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers.replay import Replay


def _places(runner: Runner, result: Result) -> Places:
    """The run again, to see where it touches what."""
    places = Places()
    try:
        with m.watched(places):
            runner.run(Replay(result.switches, result.forced))
    except Diverged as error:
        raise Differs(error.why) from None
    return places


def again(runner: Runner, switches: Sequence[int], forced: Sequence[int], before: dict[str, Any]) -> None:
    """Differs if a run by these decisions does not come to what it came to before."""
    try:
        now = facts(runner.run(Replay(switches, forced), watch=True))
    except Diverged as error:
        raise Differs(error.why) from None
    for name, was in before.items():
        if now[name] != was:
            raise Differs(f"{name}: {was} before, {now[name]} now" if len(f"{was}{now[name]}") < 80 else name)


def _replay(runner: Runner, scheduler: Scheduler) -> Result:
    try:
        return runner.run(scheduler)
    except Diverged as error:
        raise Differs(error.why) from None
