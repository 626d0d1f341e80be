# SPDX-License-Identifier: MIT
"""Runs of an explorer once more: whole, or up to where a task was parked, and from there on with that task alone."""

from __future__ import annotations

from collections.abc import Sequence

from vmrace.harness.errors import Diverged
from vmrace.harness.explore.optimal import YIELDS_MAX
from vmrace.harness.explore.spinning import only_reads
from vmrace.harness.machine.machine import Machine
from vmrace.harness.schedulers.follower import Follower
from vmrace.harness.schedulers.replay import Replay


class Again(Replay, Follower):
    """A replay of a run of an explorer: a finding halts its cpu only, and it is asked where there is one choice, too."""

    explores = True
    yields_max = YIELDS_MAX

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        return super().forced(m, choices) if len(choices) > 1 else choices[0]


class Alone(Again):
    """A run up to where a task was parked, and then that task alone, for `rounds` points. It ends in Diverged, or with the task.

    `goes_on`: the task did something else than read, or ended: it did not wait.
    """

    yields_max = 1 << 60

    def __init__(self, switches: Sequence[int], forced: Sequence[int], park: int, task: int, rounds: int):
        """`park`: the index of the decision PARK of that task in `switches`, before which the replay ends."""
        super().__init__(switches[:park - 1], forced)
        self.park_step, self.task, self.rounds = switches[park - 1], task, rounds
        self.begun = False
        self.goes_on = True

    def begin(self, m: Machine) -> None:
        super().begin(m)
        self._want_park(m)

    def _want_park(self, m: Machine) -> None:
        if self.next >= len(self.switches):
            m.want(self.park_step)

    def at(self, m: Machine) -> int:
        if self.next < len(self.switches):
            decision = super().at(m)
            self._want_park(m)
            return decision
        self.begun = True
        task = m.current
        assert task.at is not None
        if task.id != self.task or not only_reads(task, *task.at):
            raise Diverged(m.step, "it goes on")
        self.rounds -= 1
        if not self.rounds:
            self.goes_on = False
            raise Diverged(m.step, "it waits")
        m.want(m.step + 1)
        return task.id

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        if not self.begun:
            return super().forced(m, choices)
        if self.task in choices:                # it has yielded
            return self.task
        raise Diverged(m.step, "it goes on")
