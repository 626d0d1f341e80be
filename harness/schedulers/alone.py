# SPDX-License-Identifier: MIT
"""Alone: an earlier run up to where a task was parked, and from there on that task, with nobody else, for so many points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness import points
from harness.errors import Diverged
from harness.machine import RUNNING, Machine
from harness.schedulers.follower import Follower
from harness.schedulers.replay import Replay


class Alone(Replay, Follower):
    """Ends in Diverged. `key`: the task and what it reads there; `goes_on`: True if it did something else than read, or ended.

    `known`: keys of which that is known; then the run ends at once.
    """

    explores = True
    yields_max = 1 << 60

    def __init__(self, switches: Sequence[int], forced: Sequence[int], park: int, rounds: int, known: set[Any]):
        """`park`: the index of the decision PARK in `switches`, before which the replay ends."""
        super().__init__(switches[:park - 1], forced)
        self.park_step = switches[park - 1]
        self.rounds, self.known = rounds, known
        self.key: Any = None
        self.goes_on = True

    def begin(self, m: Machine) -> None:
        super().begin(m)
        if not self.switches:
            m.want(self.park_step)

    def at(self, m: Machine) -> int:
        if self.next < len(self.switches):
            decision = super().at(m)
            if self.next >= len(self.switches):
                m.want(self.park_step)
            return decision
        task = m.current
        assert task.at is not None
        kind, obj, arg = task.at
        if self.key is None:
            self.key = task.id, obj, arg
            if self.key in self.known:
                raise Diverged(m.step, "known")
        if task.id != self.key[0] or not _only_reads(task, kind, obj, arg):
            raise Diverged(m.step, "it goes on")
        self.rounds -= 1
        if not self.rounds:
            self.goes_on = False
            raise Diverged(m.step, "it waits")
        m.want(m.step + 1)
        return task.id

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        if self.key is not None:
            if self.key[0] in choices:          # it has yielded
                return int(self.key[0])
            raise Diverged(m.step, "it goes on")
        return super().forced(m, choices) if len(choices) > 1 else choices[0]


def _only_reads(task: Any, kind: int, obj: Any, arg: Any) -> bool:
    yields = kind == points.WAIT and obj is task and arg is None and task.state == RUNNING
    return kind in (points.READ, points.BARRIER) or yields
