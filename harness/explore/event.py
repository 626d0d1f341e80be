# SPDX-License-Identifier: MIT
"""One event of a run that is explored, and who has a lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vmrace.harness.explore.access import Access, Point
from vmrace.harness.finding import Finding
from vmrace.harness.machine.task import TASKS_MAX, Task

EVENTS_MAX = 4_000          # of one run, or points; a longer one ends the exploration as inconclusive
NEVER_GIVEN: Final = EVENTS_MAX + TASKS_MAX     # no event has this number
NO_PROCESS: Final = -9      # in place of one that goes on: whoever comes next preempts nobody
GOES_ON: Final = 0          # how the machine was told who is next: not at all, where it asked at a point, or had to ask
SWITCH: Final = 1
ASKED: Final = 2


class Taking:
    """Of a lock, or what is like one: the event that took it, how (its mode), for which process, how often that one has it, and the
    event that gave it back."""

    __slots__ = ("deep", "giving", "how", "process", "taking")

    def __init__(self, taking: int, how: int, process: int):
        self.taking = taking
        self.how = how
        self.process = process
        self.deep = 1
        self.giving = NEVER_GIVEN


class Event:
    """One access of one process and the local work behind it, quiet points among it (access.py).

    `past` has the bits of all events that happen before it, and its own; `direct` the same without those that only a
    hand-over puts there; `base`, where an interrupt enters, only those without which it would not be there.
    """

    points = 1                          # it comes over: its own and quiet ones
    last_point: Point | None = None     # the last of these, where it stopped, unless that is its own
    how = GOES_ON                       # how the machine was told: or SWITCH or ASKED
    decision = -1                       # what it was told, unless the process goes on
    past: int = 0
    direct: int = 0
    base: int = 0
    leaf: tuple[Access, ...] | None = None      # what it will touch at least, if it runs in another place, unless that is all
    guess: tuple[Access, ...] | None = ()       # what it was planned to touch, where that was a guess (None: anything)
    races: Sequence[int] = ()
    given: Sequence[tuple[int, Taking]] = ()        # location, what it gives back there
    again: Sequence[tuple[int, Taking]] = ()        # location, what its process had there and takes once more
    findings: Sequence[Finding] = ()
    got = False                         # it looked at a lock, and took it
    over: int | None = None             # the process that an interrupt entered over with this event, if there was one
    interrupted: tuple[Task, tuple[int, Any, Any], int] | None = None       # that one: its task, what it was to do, its level
    enters = False                      # an interrupt begins with it
    leaves = False                      # an interrupt is over with it
    free = False                        # after it the process may lose its cpu without being preempted
    off = False                         # after it the process does not have its cpu, if that is shared
    asleep = False                      # after it the process can only go on when somebody lets it
    trace: int | None = None            # see classes.trace_hash

    def __init__(self, number: int, process: int, cpu: int, step: int, pending: tuple[int, Any, Any], accesses: tuple[Access, ...],
                 before: Event | None):
        self.number = number
        self.process = process
        self.cpu = cpu
        self.step = step
        self.pending = pending
        self.accesses = accesses
        self.before = before            # of the same process

    def grows(self) -> None:
        """It touches more than it said it would."""
        if self.leaf is None:
            self.leaf = self.accesses

    def asleep_by(self) -> tuple[Access, ...] | None:
        """What wakes its process up where it is to run no more: what is planned there may have parted from it for a guess."""
        return None if self.guess is None else self.accesses + self.guess


def step_of(event: Event) -> int:
    """Where the machine has to ask for what may be done instead; -1 if it asks by itself."""
    return -1 if event.how == ASKED else event.step
