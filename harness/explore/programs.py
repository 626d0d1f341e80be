# SPDX-License-Identifier: MIT
"""Proofs about programs of plain functions, from Python or a test:

    from harness.explore.programs import verify

    def test_no_update_is_lost():
        proof = verify(make, 3)
        assert proof.proved, proof.titles
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.explore.exploration import Exploration, Progress, explore, minimal_titles
from harness.explore.optimal import Event
from harness.program import Program, Result, Runner


def verify(make: Callable[..., Program], *args: Any, bound: int | None = None, runs_max: int = 1 << 60, seconds_max: float = 1e9,
           progress: Callable[[Progress], None] | None = None) -> Exploration:
    """Run every class of equivalent runs of the program that `make(*args)` returns.

    The outcomes are (titles, results): what was found, or else what the tasks returned. `bound`: at most so many preemptions.
    ProgramError if `make` makes none.
    """
    return verify_runner(Runner(make, *args), bound=bound, runs_max=runs_max, seconds_max=seconds_max, progress=progress)


def verify_runner(runner: Runner, **limits: Any) -> Exploration:
    def reached(result: Result, events: list[Event]) -> Any:
        titles = minimal_titles(events) or sorted(set(result.titles))
        return tuple(titles), () if titles else tuple(map(repr, result.results))

    return explore(runner.run, runner.cpus, reached, up=False, **limits)
