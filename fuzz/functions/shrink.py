# SPDX-License-Identifier: MIT
"""A failure of plain functions: shrunk, named and replayed."""

from __future__ import annotations

import random
import time
from typing import Any

from vmrace.fuzz.functions.rerun import places_of, replayed
from vmrace.fuzz.functions.result import Failure
from vmrace.fuzz.functions.story import tell, traced
from vmrace.fuzz.run.hit import REPLAYS
from vmrace.fuzz.text.times import SHRINK_SECONDS_MAX
from vmrace.harness import stop
from vmrace.harness.errors import Diverged, HarnessError
from vmrace.harness.functions import watchdog
from vmrace.harness.functions.program import Result, Runner
from vmrace.harness.functions.verify import Differs, facts
from vmrace.harness.machine.machine import m
from vmrace.harness.replay.named_schedule import Named, Narrator
from vmrace.harness.schedulers import Contended
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.harness.schedulers.replay import Replay

ENUMERATE_MAX = 60_000      # runs that the proof of the least number of preemptions may take
NEAR_TRIES = 400            # schedules of few preemptions at contended places that are tried before all are run, of each number
TRACED_MAX = 5_000          # points of a run that is recorded in each of its replays


class _Late(Exception):
    """Shrinking has to end here."""


def confirm(runner: Runner, failure: Failure) -> None:
    """Shrink a failure that was found earlier, name its schedule and replay it. Differs if it does not fail so any more."""
    with watchdog.watched(), stop.held():
        _confirm(runner, failure, SHRINK_SECONDS_MAX)


def _confirm(runner: Runner, failure: Failure, seconds: float) -> None:
    """Shrink a failure for so many seconds at most, name its schedule and replay it. Differs if it does not replay."""
    found = replayed(runner, Replay(failure.switches, failure.forced))
    if failure.title not in found.titles:
        raise Differs(f"its findings: {failure.title!r} before, {found.title or 'nothing'} now")
    if seconds:
        found = _shrunk(runner, failure, found, time.monotonic() + seconds)
    failure.switches, failure.forced = list(found.switches), list(found.forced)
    replay = Replay(failure.switches, failure.forced)
    keys = runner.keys()
    narrator = Narrator(replay, keys)
    runner.run(narrator)
    failure.schedule = tuple(narrator.end(m))
    failure.story, failure.digest, result = tell(runner, replay, failure.title)
    before = facts(result)
    for number in range(REPLAYS):
        named = bool(number & 1)
        scheduler = Named(failure.schedule, keys) if named else replay
        try:
            if result.steps > TRACED_MAX and number > 1:
                same, now = True, runner.run(scheduler)
            else:
                events, now = traced(runner, scheduler)
                same = events.digest() == failure.digest
        except Diverged as error:
            same, why = False, error.why
        else:
            why = next((name for name, was in facts(now).items() if was != before[name]), "the number of its points")
            same = same and facts(now) == before
        if not same:
            why = f"{failure.title!r}: replay {number + 1} of {REPLAYS} differs: {why}"
            raise HarnessError(why) if named else Differs(why)


def _shrunk(runner: Runner, failure: Failure, found: Result, deadline: float) -> Result:
    """A run with the same title that has fewer preemptions: first by leaving them out, then by a few at contended places, then by
    running every schedule with none, with one ... until one fails, which proves that number least."""
    best, title = found, failure.title

    def run(scheduler: Any) -> Result:
        if stop.asked() or time.monotonic() > deadline or failure.shrink_runs >= ENUMERATE_MAX:
            raise _Late
        failure.shrink_runs += 1
        return runner.run(scheduler)

    def without_one() -> Result | None:
        pairs = list(zip(best.switches[::2], best.switches[1::2], strict=True))
        for number in reversed(range(len(pairs))):
            kept = [part for pair in pairs[:number] + pairs[number + 1:] for part in pair]
            now = run(Replay(kept, best.forced, lenient=True))
            if title in now.titles and len(now.switches) < len(best.switches):
                return now
        return None

    def with_few() -> Result | None:
        places = places_of(runner, best).contended()
        for preemptions in range(1, min(len(best.switches) // 2, 5)):
            scheduler = Contended(random.Random(preemptions), preemptions)
            scheduler.learn(set(places), sum(map(len, places.values())))
            for _ in range(NEAR_TRIES):
                now = run(scheduler)
                if title in now.titles and len(now.switches) < len(best.switches):
                    return now
        return None

    try:
        for smaller_than in (without_one, with_few, without_one):
            smaller = smaller_than()
            while smaller is not None:
                best, smaller = smaller, smaller_than()
        fewer = 0
        for preemptions in range(len(best.switches) // 2 + 1):
            before = failure.shrink_runs
            for now in every_schedule(run, preemptions, exactly=preemptions > 0):
                if title in now.titles:
                    failure.fewer_runs = fewer
                    return now
            fewer = failure.shrink_runs - before
    except _Late:
        pass
    return best
