# SPDX-License-Identifier: MIT
"""Other orders of a run that are equivalent to it: what is run again in one of them must come to the same.

If it does not, the program did something that no explorer was told of: a plain variable that tasks share, a kernel object whose
value is changed where it is only read. What was proved by one run of each class is then worth nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vmrace.harness.errors import Diverged
from vmrace.harness.explore.event import IRQS_FROM, Event
from vmrace.harness.explore.optimal import YIELDS_MAX
from vmrace.harness.machine.machine import Machine
from vmrace.harness.schedulers.follower import Follower

Order = Callable[[Sequence[Event]], list[int]]


def last_first(events: Sequence[Event]) -> list[int]:
    """The process that came last goes on whenever it can; as processes, point by point."""
    rank: dict[int, int] = {}
    for event in events:
        rank.setdefault(event.process, -len(rank))
    return _ordered(events, lambda process, last, passed: (rank[process], 0))


def in_turn(events: Sequence[Event]) -> list[int]:
    """Whoever ran longest ago goes on."""
    return _ordered(events, lambda process, last, passed: (last.get(process, 0), -process))


def stop_of(number: int) -> Order:
    """The order of that number, below `stops_of`: one process goes on first, stops after one of its points, and waits there until the
    others are done. So whatever it leaves half done between two points, be they as quiet as they like, the others see."""
    def order(events: Sequence[Event]) -> list[int]:
        process, after = [(process, point) for process, points in _points(events).items() for point in range(points)][number]
        return _ordered(events, lambda one, last, passed: ((one == process) * (1 if passed.get(one, 0) > after else -1), one))
    return order


def stops_of(events: Sequence[Event]) -> int:
    """How many such orders there are."""
    return sum(_points(events).values())


def _points(events: Sequence[Event]) -> dict[int, int]:
    points: dict[int, int] = {}
    for event in events:
        points[event.process] = points.get(event.process, 0) + event.points
    return points


ORDERS: tuple[Order, ...] = (last_first, in_turn)


def _ordered(events: Sequence[Event], first: Callable[[int, dict[int, int], dict[int, int]], tuple[int, int]]) -> list[int]:
    """`first` of a process, of when each was last, and of how many points each has passed: the least goes on."""
    lines: dict[int, list[Event]] = {}
    for event in events:
        lines.setdefault(event.process, []).append(event)
    at = dict.fromkeys(lines, 0)
    points = dict.fromkeys(lines, 0)        # of its event, that are behind it: the first has all that others can see
    last: dict[int, int] = {}
    passed: dict[int, int] = {}
    done, count = 0, sum(event.points for event in events)
    together = len({event.cpu for event in events}) < len(lines)     # who dies on a cpu takes others with it
    out: list[int] = []
    while len(out) < count:
        ready = [process for process, line in lines.items()
                 if at[process] < len(line) and not line[at[process]].past & ~done & ~(1 << line[at[process]].number)]
        process = min(ready, key=lambda process: first(process, last, passed))
        event = lines[process][at[process]]
        points[process] += 1
        over = points[process] == event.points
        if over:
            at[process], points[process] = at[process] + 1, 0
        if over or not together:
            done |= 1 << event.number
        out.append(process)
        last[process] = len(out)
        passed[process] = passed.get(process, 0) + 1
    return out


def can_be_ordered(events: Sequence[Event]) -> bool:
    """Where an interrupt enters depends on what its cpu runs, and is no matter of processes alone."""
    return bool(events) and all(event.process < IRQS_FROM for event in events)


class InOrder(Follower):
    """A scheduler that runs the processes in that order, point by point, as an explorer does: a finding halts its cpu only.

    Diverged if one of them cannot go on where it should."""

    explores = True
    yields_max = YIELDS_MAX

    def __init__(self, order: Sequence[int]):
        self.order = order

    def begin(self, m: Machine) -> None:
        self.left = list(reversed(self.order))
        m.want(1)

    def at(self, m: Machine) -> int:
        m.want(m.step + 1)
        return self._next(m, m.choices(), m.current.id)

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        return self._next(m, choices, choices[0])

    def _next(self, m: Machine, choices: Sequence[int], otherwise: int) -> int:
        if not self.left:
            return otherwise
        process = self.left.pop()
        if process not in choices:
            raise Diverged(m.step, f"task {process} cannot go on")
        return process
