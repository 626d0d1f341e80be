# SPDX-License-Identifier: MIT
"""Every schedule with at most N preemptions, each exactly once, by plain enumeration.

The default schedule preempts no task, and at a forced choice takes the lowest one. Any other schedule is its deviations from the default,
{event: decision}; an event is a point or a forced choice, counted from the start of the run. A deviation at a point costs one
preemption, at a forced choice none. Each child of a run has one more deviation, after all those of the run. Nothing is pruned: the
explorers are tested against this enumeration, and it proves that a number of preemptions is the least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vmrace.harness.machine.machine import Machine
from vmrace.harness.schedulers.follower import Follower

Deviations = tuple[tuple[int, int], ...]


class Deviate(Follower):
    """A scheduler that follows the default but for `deviations`. It lists in `open`, for each later event, the other possible decisions."""

    yields_max = 2

    def __init__(self, explores: bool = False) -> None:
        self.explores = explores        # see machine.scheduler.Explorer
        self.deviations: Mapping[int, int] = {}
        self.first_open = 0
        self.preempt = True

    def set(self, deviations: Deviations, note_points: bool) -> None:
        """Set the next run. `note_points`: list other decisions at points, too, and not only at forced choices."""
        self.deviations = dict(deviations)
        self.first_open = deviations[-1][0] + 1 if deviations else 0
        self.note_points = note_points

    def begin(self, m: Machine) -> None:
        self.event = 0
        self.open: list[tuple[int, bool, list[int]]] = []
        m.want(1)

    def at(self, m: Machine) -> int:
        event = self.event
        self.event = event + 1
        m.want(m.step + 1)
        me = m.current.id
        if event < self.first_open:
            return self.deviations.get(event, me)
        if self.note_points:
            choices = m.choices()
            if len(choices) > 1:
                self.open.append((event, True, [choice for choice in choices if choice != me]))
        return me

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        event = self.event
        self.event = event + 1
        if event < self.first_open:
            return self.deviations.get(event, choices[0])
        self.open.append((event, False, list(choices[1:])))
        return choices[0]


def every_schedule(run: Callable[[Deviate], Any], preemptions: int, exactly: bool = False,
                   explores: bool = False) -> Iterator[Any]:
    """Yield `run(scheduler)` for each schedule with at most `preemptions` preemptions; with `exactly`, only those with that number."""
    scheduler = Deviate(explores)
    todo: list[tuple[Deviations, int]] = [((), 0)]
    while todo:
        deviations, cost = todo.pop()
        scheduler.set(deviations, cost < preemptions)
        result = run(scheduler)
        children = [
            ((*deviations, (event, choice)), cost + preempts)
            for event, preempts, others in scheduler.open for choice in others]
        todo.extend(reversed(children))
        if not exactly or cost == preemptions:
            yield result
