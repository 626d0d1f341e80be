# SPDX-License-Identifier: MIT
"""Other orders of a run in the same class of schedules. A run in such an order must have the same outcome.

If its outcome differs, the program did something that no point announced: its tasks share a plain variable, or one changes the value of
a kernel object that it only seems to read. Then one run of each class proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vmrace.harness.errors import Diverged
from vmrace.harness.explore.event import IRQS_FROM, Event
from vmrace.harness.explore.optimal import YIELDS_MAX
from vmrace.harness.explore.runnable import can_be_acquired
from vmrace.harness.explore.tokens import count, least_tokens, waits_in_vain
from vmrace.harness.machine.machine import Machine
from vmrace.harness.points import ACQUIRE
from vmrace.harness.schedulers.follower import Follower

Order = Callable[[Sequence[Event]], list[int]]


def last_first(events: Sequence[Event]) -> list[int]:
    """Order the points so that the process that began last goes on whenever it can. Return the process of each point."""
    rank: dict[int, int] = {}
    for event in events:
        rank.setdefault(event.process, -len(rank))
    return _order_points(events, lambda process, last, passed: (rank[process], 0))


def in_turn(events: Sequence[Event]) -> list[int]:
    """Order the points so that the process that ran longest ago goes on. Return the process of each point."""
    return _order_points(events, lambda process, last, passed: (last.get(process, 0), -process))


def stop_of(number: int) -> Order:
    """Return the order with that number, which is below `stops_of`.

    One process goes first, stops after one of its points, and waits there until the other processes have ended. They see everything
    that it leaves half done between two points, also between quiet ones.
    """
    def order(events: Sequence[Event]) -> list[int]:
        stopping, after = [(process, point) for process, points in _points(events).items() for point in range(points)][number]
        return _order_points(
            events, lambda process, last, passed: ((process == stopping) * (1 if passed.get(process, 0) > after else -1), process))
    return order


def stops_of(events: Sequence[Event]) -> int:
    """Return the number of orders that `stop_of` has for this run."""
    return sum(_points(events).values())


def _points(events: Sequence[Event]) -> dict[int, int]:
    """Return the number of points of each process."""
    points: dict[int, int] = {}
    for event in events:
        points[event.process] = points.get(event.process, 0) + event.points
    return points


ORDERS: tuple[Order, ...] = (last_first, in_turn)


def _order_points(events: Sequence[Event], rank: Callable[[int, dict[int, int], dict[int, int]], tuple[int, int]]) -> list[int]:
    """Return the process of each point, in an order that agrees with happens-before.

    The process with the least `rank(process, last, passed)` goes on: `last` maps a process to the position of its last point in the
    order, `passed` to the number of its points so far.
    """
    events_of: dict[int, list[Event]] = {}
    for event in events:
        events_of.setdefault(event.process, []).append(event)
    position = dict.fromkeys(events_of, 0)
    points = dict.fromkeys(events_of, 0)    # passed points of the present event: other processes can notice only the first
    last: dict[int, int] = {}
    passed: dict[int, int] = {}
    done, size = 0, sum(event.points for event in events)
    tokens = least_tokens(events)
    shared = len({event.cpu for event in events}) < len(events_of)      # a process that dies on a shared cpu stops the others there
    keepers: dict[int, int] = {}            # cpu -> the process that is within an event that keeps the other tasks of the cpu out
    order: list[int] = []
    while len(order) < size:
        ready = [process for process, own in events_of.items() if position[process] < len(own)
                 and not own[position[process]].past & ~done & ~(1 << own[position[process]].number)
                 and keepers.get(own[position[process]].cpu, process) == process]
        assert ready, (len(order), size)
        with_token = [process for process in ready if points[process] or not waits_in_vain(events_of[process][position[process]], tokens)]
        process = min(with_token or ready, key=lambda process: rank(process, last, passed))
        event = events_of[process][position[process]]
        if not points[process]:
            count(tokens, event)
        points[process] += 1
        over = points[process] == event.points
        if event.shuts_out():
            keepers[event.cpu] = process
        if over:
            keepers.pop(event.cpu, None)
            position[process], points[process] = position[process] + 1, 0
        if over or not shared:
            done |= 1 << event.number
        order.append(process)
        last[process] = len(order)
        passed[process] = passed.get(process, 0) + 1
    return order


def can_be_ordered(events: Sequence[Event]) -> bool:
    """True if an order of processes says all of a run. It does not if interrupts enter, which also depends on what their cpus run."""
    return bool(events) and all(event.process < IRQS_FROM for event in events)


class InOrder(Follower):
    """A scheduler that runs the processes in that order, point by point. A finding halts its cpu only, as in an exploration.

    Raises Diverged if a process cannot go on at its turn.
    """

    explores = True
    yields_max = YIELDS_MAX

    def __init__(self, order: Sequence[int]):
        self.order = order

    def begin(self, m: Machine) -> None:
        self.remaining = list(reversed(self.order))
        m.want(1)

    def at(self, m: Machine) -> int:
        m.want(m.step + 1)
        return self._next(m, m.choices(), m.current.id)

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        return self._next(m, choices, choices[0])

    def _next(self, m: Machine, choices: Sequence[int], otherwise: int) -> int:
        if not self.remaining:
            return otherwise
        process = self.remaining.pop()
        at = m.tasks[process].at
        if process not in choices or (at is not None and getattr(at[1], "sleeps", False) and not can_be_acquired(*at[1:], m.tasks[process])
                                      and at[0] == ACQUIRE):
            raise Diverged(m.step, f"task {process} cannot go on")
        return process
