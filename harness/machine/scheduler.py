# SPDX-License-Identifier: MIT
"""The protocols of schedulers and explorers, and the fair schedule that a run without an end gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from vmrace.harness.machine.machine import Machine

FAIR_SLICE = 50             # points a task runs before the fair schedule moves on


class Scheduler(Protocol):
    """What decides. One object may serve many runs; `begin` starts each."""

    def begin(self, m: Machine) -> None:
        """A run starts: forget the last one and say when to be asked first (`m.want(step)`)."""

    def at(self, m: Machine) -> int:
        """At the step asked for: the decision. `m.current.id` means go on. Says with `m.want` when to be asked again."""

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        """The running task cannot go on: one of `choices` (two or more)."""

    def wake(self, m: Machine) -> None:
        """Somebody may have become able to run: the scheduler may ask for an earlier step."""


class Explorer(Scheduler, Protocol):
    """A scheduler that means to see every run.

    It is asked at every choice, even if there is one decision only, and may let a task that yields go on. A finding then
    does not end the run but halts the cpu it is on: what the others would still have done must be seen too.
    """

    yields_max: int         # a task that yields more often is left where it is

    def ended(self, m: Machine) -> None:
        """Nobody can go on, but not all are done."""

    def touched(self, m: Machine, what: Any, kind: int) -> None:
        """The running event accesses `what` besides what its point announced."""


class FairRun:
    """Everybody in turn, a slice each: what the machine falls back to before it calls a run endless."""

    def __init__(self, since: int):
        self.turn = 0
        self.since = since
        self.seen: dict[int, str] = {}          # task -> the kernel function it was last in

    def begin(self, m: Machine) -> None:
        pass

    def at(self, m: Machine) -> int:
        m.want(m.step + FAIR_SLICE)
        return self.forced(m, m.choices())

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        self.seen[m.current.id] = m.where()
        later = [choice for choice in choices if choice > self.turn]
        self.turn = later[0] if later else choices[0]
        return self.turn

    def wake(self, m: Machine) -> None:
        pass
