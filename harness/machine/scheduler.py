# SPDX-License-Identifier: MIT
"""The protocols of schedulers and explorers, and the fair schedule that a run without an end gets."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from vmrace.harness.machine import sites

if TYPE_CHECKING:
    from vmrace.harness.machine.machine import Machine

FAIR_SLICE = 50             # points a task runs before the fair schedule moves on


class Scheduler(Protocol):
    """Takes the decisions of a run. One object may serve many runs; `begin` starts each."""

    def begin(self, m: Machine) -> None:
        """Start a run: forget the last one, and say with `m.want(step)` when to be asked first."""

    def at(self, m: Machine) -> int:
        """Return the decision at the step asked for (`m.current.id`: go on), and say with `m.want` when to be asked again."""

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        """Return one of `choices`, two or more, as the running task cannot go on."""

    def wake(self, m: Machine) -> None:
        """Hear that a task may have become able to run. The scheduler may now ask for an earlier step."""


class Explorer(Scheduler, Protocol):
    """A scheduler that means to see every run. Its attribute `explores` is true: by that the machine knows it.

    The machine asks it at every choice, even if only one decision is possible; it may let a task that yields go on. A finding does
    not end the run but halts its cpu: what the other cpus would still have done must be seen, too.
    """

    yields_max: int         # a task that yields more often runs no more

    def ended(self, m: Machine) -> None:
        """Hear that no task can go on, although not all are done."""

    def touched(self, m: Machine, what: Any, kind: int) -> None:
        """Hear that the running event accesses `what` as well as what its point announced."""


class FairRun:
    """Lets each task run in turn, for FAIR_SLICE points: the machine falls back to it before it calls a run endless."""

    def __init__(self, since: int):
        self.turn = 0
        self.since = since
        self.seen: dict[int, tuple[str, ...]] = {}      # task -> the kernel functions that it was in all the time, outermost first

    def begin(self, m: Machine) -> None:
        pass

    def at(self, m: Machine) -> int:
        m.want(m.step + FAIR_SLICE)
        return self.forced(m, m.choices())

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        self.see(m)
        later = [choice for choice in choices if choice > self.turn]
        self.turn = later[0] if later else choices[0]
        return self.turn

    def see(self, m: Machine) -> None:
        """Note in which functions the running task is. If it goes on for ever, the innermost that it never leaves has the loop."""
        now = sites.functions(m.image, sys._getframe(1))
        before = self.seen.get(m.current.id, now)
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, now))
        self.seen[m.current.id] = tuple(function for function, _ in same) or now[-1:]

    def wake(self, m: Machine) -> None:
        pass
