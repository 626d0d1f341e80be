# SPDX-License-Identifier: MIT
"""One event of a run that an explorer watches, and one hold of a lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vmrace.harness import points
from vmrace.harness.explore.access import Access, Point
from vmrace.harness.finding import Finding
from vmrace.harness.machine.task import TASKS_MAX, Task

EVENTS_MAX = 4_000          # events of one run, or points; a longer run ends the exploration as inconclusive
IRQS_FROM = TASKS_MAX       # the number of the first interrupt among the processes; lower numbers are tasks
NEVER_RELEASED: Final = EVENTS_MAX + TASKS_MAX      # no event has this number
NO_PROCESS: Final = -9      # stands for the process that goes on if there is none: the next one preempts no process

# How the machine learned which process is next: it did not ask, it asked at a point, the running task could not go on.
GOES_ON: Final = 0
SWITCH: Final = 1
ASKED: Final = 2


class Hold:
    """The time for which `process` has a lock, a cpu or an interrupt gate.

    `acquired` and `released` are the numbers of the events at its two ends; `mode` is the mode in which it was acquired. `depth`
    counts the acquires of the process that it has not released yet.
    """

    __slots__ = ("acquired", "depth", "mode", "process", "released")

    def __init__(self, acquired: int, mode: int, process: int):
        self.acquired = acquired
        self.mode = mode
        self.process = process
        self.depth = 1
        self.released = NEVER_RELEASED


class Event:
    """One access of one process, with the local work and the quiet points behind it (see access.py).

    `past` has the bits of all events that happen before it, and its own. `direct` leaves out the events that only the
    hand-over of a lock orders. `base` has only those without which the event could not be there.
    """

    points = 1                          # the number of its points: its own and quiet ones
    last_point: Point | None = None     # the last of these points, where it stopped, unless that is its own
    how = GOES_ON                       # how the machine got the decision for it: GOES_ON, SWITCH or ASKED
    decision = -1                       # that decision, unless the process goes on
    past: int = 0
    direct: int = 0
    base: int = 0
    accesses_elsewhere: tuple[Access, ...] | None = None    # its least accesses in another place of a run; None: the same ones
    planned_accesses: tuple[Access, ...] | None = ()        # its accesses in the plan, where these are a guess; None: any
    races: Sequence[int] = ()           # the events that it races with
    released: Sequence[tuple[int, Hold]] = ()       # location, and the hold that ends here
    reentered: Sequence[tuple[int, Hold]] = ()      # location, and the hold of its own process that becomes deeper here
    findings: Sequence[Finding] = ()
    got = False                         # a trylock: it acquired the lock
    got_token = -1                      # a wait that may have left its cpu: the completion, if it took a token of it
    entered_over: int | None = None     # an interrupt enters: the process that it interrupts, if there is one
    interrupted: tuple[Task, Point, int] | None = None      # that process: its task, its next point, its interrupt depth
    enters = False                      # an interrupt begins with it
    leaves = False                      # an interrupt ends with it
    yields_cpu = False                  # after it the process may lose its cpu without a preemption
    leaves_cpu = False                  # after it the process no longer has its cpu, which tasks share
    asleep = False                      # after it the process can only go on when another one wakes it
    trace: int | None = None            # the hash of the run up to here, see classes.trace_hash

    def __init__(self, number: int, process: int, cpu: int, step: int, pending: tuple[int, Any, Any], accesses: tuple[Access, ...],
                 before: Event | None):
        self.number = number
        self.process = process
        self.cpu = cpu
        self.step = step
        self.pending = pending
        self.accesses = accesses
        self.before = before            # the event before it of the same process

    def shuts_out(self) -> bool:
        """True if its own point may keep the other tasks of its cpu out: it acquires a lock that spins, or turns interrupts off."""
        kind, obj, _ = self.pending
        spins = getattr(obj, "spins", False) and not getattr(obj, "sleeps", False)
        return kind == points.MASK or (kind in (points.ACQUIRE, points.TRYLOCK) and bool(spins))

    def grows(self) -> None:
        """Keep the accesses that its point announced, before more are added."""
        if self.accesses_elsewhere is None:
            self.accesses_elsewhere = self.accesses

    def asleep_by(self) -> tuple[Access, ...] | None:
        """Return the accesses with which its process goes into a sleep set; None: any other event wakes it.

        The guessed accesses are among them, because a plan may have put another process first only for the guess.
        """
        return None if self.planned_accesses is None else self.accesses + self.planned_accesses


def step_of(event: Event) -> int:
    """Return the step at which the explorer must have the machine ask for another choice; -1 if the machine asks by itself."""
    return -1 if event.how == ASKED else event.step
