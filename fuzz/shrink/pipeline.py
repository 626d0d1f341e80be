# SPDX-License-Identifier: MIT
"""From a hit to a failure that can be kept: replay it, shrink it, name its schedule, tell its story, and replay it REPLAYS times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vmrace.fuzz.run.hit import REPLAYS
from vmrace.fuzz.shrink.failing import Failing, Run, decisions_of
from vmrace.fuzz.shrink.schedule import Shrunk
from vmrace.harness.errors import Diverged
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.schedulers.replay import Replay

TRACED_MAX = 5_000          # points of a run that is recorded in each of its replays; a longer one is recorded in two


def confirm(failing: Failing, switches: Sequence[int], forced: Sequence[int],
            shrink: Callable[[Failing, Run], Shrunk]) -> tuple[Shrunk, list[str], str]:
    """Confirm the run with these decisions: (what `shrink` left of it, its story, the digest of its trace).

    Raises `failing.differs(...)` if the run, or one of the replays of the shrunk one, does not end as it did.
    """
    with decisions_of(failing):
        found = failing.run(Replay(switches, forced))
    if failing.title not in found.titles:
        raise failing.differs(f"{failing.title!r} does not replay: got {found.titles}", False)
    shrunk = shrink(failing, found)
    shrunk.narrate()
    return shrunk, *_replays(shrunk)


def _replays(shrunk: Shrunk) -> tuple[list[str], str]:
    """Replay the run by its decisions and by the names of its points in turn, all alike. Return its story and digest."""
    failing, title = shrunk.failing, shrunk.failing.title
    replay = Replay(shrunk.run.switches, shrunk.run.forced)
    with decisions_of(failing):
        story, digest, told = failing.tell(replay)
    if title not in told.titles:
        raise failing.differs(f"{title!r}: the run that is told differs: {told.titles}", False)
    facts = failing.facts(told)
    for number in range(REPLAYS):
        named = bool(number & 1)
        scheduler = Named(shrunk.lines, failing.keys) if named else replay
        try:
            if told.steps > TRACED_MAX and number > 1:
                its_digest, run = digest, failing.run(scheduler)
            else:
                its_digest, run = failing.trace(scheduler)
        except Diverged as error:
            why = error.why
        else:
            now = failing.facts(run)
            why = next((name for name, was in facts.items() if now[name] != was), "" if its_digest == digest else "its points")
        if why:
            raise failing.differs(f"{title!r}: replay {number + 1} of {REPLAYS} differs: {why}", named)
    return story, digest
