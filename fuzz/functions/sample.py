# SPDX-License-Identifier: MIT
"""Fuzzing of plain functions: schedules are sampled (search.py), and each failure is shrunk to the fewest preemptions.

    from vmrace.fuzz.functions.sample import fuzz

    def test_no_update_is_lost():
        found = fuzz(make, 3, runs=1000)
        assert found.ok, found.story

A failure is replayed REPLAYS times, by its decisions and by the names in its schedule, before it is reported. If the runs of a
program do not repeat by the same schedule, that is the only report. If its tasks share plain data, or it has no points, failures are
reported, but the absence of failures is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from vmrace.fuzz.functions.result import Failure, Sampled
from vmrace.fuzz.functions.search import Search
from vmrace.fuzz.functions.shrink import shrink_failure
from vmrace.fuzz.text.times import shrink_seconds
from vmrace.harness import stop
from vmrace.harness.errors import HarnessError, ProgramError
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.functions.verify import Differs
from vmrace.harness.incomplete import Incomplete, Reason, of_error


def fuzz(make: Callable[..., Program], *args: Any, runs: int = 10_000, seconds: float = 60.0, seed: int = 0, keep_going: bool = False,
         shrink: bool = True) -> Sampled:
    """Sample schedules of the program that `make(*args)` returns.

    At most `runs` of them (0: any number), for at most `seconds`, up to the first that fails unless `keep_going`. ProgramError if
    `make` makes no program, or one that cannot be run. HarnessError for an error of vmrace.
    """
    with watchdog.watched():
        out = fuzz_runner(Runner(make, *args), runs=runs, seconds=seconds, seed=seed, keep_going=keep_going, shrink=shrink)
    for failure, why in out.unconfirmed:
        raise HarnessError(f"{failure.title}: {why}")
    return out


def fuzz_runner(runner: Runner, *, runs: int = 0, seconds: float = 60.0, seed: int = 0, keep_going: bool = False, shrink: bool = True,
                seen: Callable[[Failure], None] | None = None, told: Callable[[Failure], None] | None = None,
                tick: Callable[[Sampled], None] | None = None, over: Callable[[], bool] = lambda: False) -> Sampled:
    """Sample schedules of a program as `fuzz` does.

    `seen` hears of each failure at once, `told` hears of it when it is shrunk and replayed, `tick` hears of progress. A request to stop,
    or `over`, ends the sampling; the failures found by then are replayed and reported, and not shrunk.
    """
    out = Sampled(runner.name, seed)
    search = Search(runner, out, runs, seconds, keep_going, seen, tick, over)
    try:
        with watchdog.watched(), stop.held():
            search.sample()
            if not runner.sharing.points:
                out.unseen = out.unseen or Incomplete(Reason.NOTHING)
            for failure in out.failures:
                left = search.start + seconds + shrink_seconds(seconds) - time.monotonic()
                each = max(0.0, min(shrink_seconds(seconds), left)) if shrink and not stop.asked() else 0.0
                if _confirmed(runner, failure, each, out) and told is not None:
                    told(failure)
    except Differs as error:
        out.why = error.incomplete
    out.interrupted = stop.asked()
    out.seconds = time.monotonic() - search.start
    return out


def _confirmed(runner: Runner, failure: Failure, seconds: float, out: Sampled) -> bool:
    """Confirm one failure. An error of vmrace with it does not keep the others from being confirmed."""
    try:
        shrink_failure(runner, failure, seconds)
    except (Differs, ProgramError):
        raise                                   # an error of the program
    except Exception as error:
        out.unconfirmed.append((failure, str(of_error(error))))
        return False
    return True
