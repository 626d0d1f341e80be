# SPDX-License-Identifier: MIT
"""One program on all variants: every schedule where they fit, and elsewhere samples with matching schedules.

A variant that was sampled may lack an outcome of another one. The run of the other variant is then replayed on it, by the names of its
points. A random sample alone would miss outcomes that take a rare schedule on every variant, and each would look like a difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vmrace.fuzz.compare.outcomes import SAMPLE, Budget, Comparison, Contender, Side, look, sampled
from vmrace.fuzz.run.executor import SetupFailed
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.fuzz.run.story import narrate
from vmrace.harness.errors import Diverged
from vmrace.harness.replay.named_schedule import Named
from vmrace.variants.program import Program

MATCHED_MAX = 16            # outcomes of the others that are replayed on a variant


def compare_matched(name: str, program: Program, chosen: Sequence[Contender], runs: int, sample: int = SAMPLE) -> Comparison:
    """Explore a program on each variant in at most `runs` runs; sample and match where that is not enough."""
    sides = [look(contender, program, Budget(math.inf, runs, sample)) for contender in chosen]
    return matched(name, program, sides)


def matched(name: str, program: Program, sides: list[Side]) -> Comparison:
    """Match the sides that were sampled with the others, and compare."""
    for side in sides:
        if side.applies and not side.complete and not side.setup_fails:
            _match(side, program, sides)
    return Comparison(name, program, sides)


def _match(side: Side, program: Program, sides: Sequence[Side]) -> None:
    """Replay the outcomes of the other sides that this one lacks, by the names of the points of their runs."""
    lacking = {thing: other for other in sides if other is not side and other.applies and not other.setup_fails
               for thing in other.reached if thing not in side.reached}
    for thing, other in list(lacking.items())[:MATCHED_MAX]:
        if thing not in side.reached:
            _replay_on(side, program, thing, other)


def _replay_on(side: Side, program: Program, thing: Reached, other: Side) -> None:
    theirs, reach = other.contender.executor, other.reached[thing]
    theirs.only("")
    there = theirs.prepare(program)
    lines = narrate(theirs, there, theirs.replay(there, reach.switches, reach.forced, lenient=True))
    executor = side.contender.executor
    executor.only("")
    try:
        prepared = executor.prepare(program)
        outcome = executor.run(prepared, Named(lines, program.keys()))
    except (SetupFailed, Diverged):
        return
    sampled(side, prepared, outcome)
