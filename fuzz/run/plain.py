# SPDX-License-Identifier: MIT
"""Plain enumeration of schedules that ends as soon as there are known to be too many."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

from vmrace.harness.schedulers.enumerate import Deviate, Deviations


class TooMany(Exception):
    """There are more schedules than the limit."""


def at_most(limit: int, run: Callable[[Deviate], Any], preemptions: int) -> Iterator[Any]:
    """Yield `run(scheduler)` for each schedule with at most `preemptions` preemptions. Raises TooMany if there are more than `limit`.

    These are the schedules of `every_schedule` in another order. Each decision that a run leaves open is one more schedule, and a run
    whose last deviation is early leaves many open: such runs come first, so a few hundred show that there are more than 20,000.
    """
    scheduler = Deviate(explores=True)
    todo: list[tuple[int, Deviations, int]] = [(0, (), 0)]
    known = 1
    while todo:
        _, deviations, cost = heapq.heappop(todo)
        scheduler.set(deviations, cost < preemptions)
        result = run(scheduler)
        for event, preempts, others in scheduler.open:
            for choice in others:
                heapq.heappush(todo, (event, (*deviations, (event, choice)), cost + preempts))
        known += sum(len(others) for _, _, others in scheduler.open)
        if known > limit:
            raise TooMany
        yield result
