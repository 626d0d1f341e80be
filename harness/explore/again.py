# SPDX-License-Identifier: MIT
"""Repeats a run of an explorer: the whole run, or up to the point where a task was parked, and then that task alone."""

from __future__ import annotations

from collections.abc import Sequence

from vmrace.harness.errors import Diverged
from vmrace.harness.explore.optimal import YIELDS_MAX
from vmrace.harness.explore.spinning import only_reads
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import PARK
from vmrace.harness.schedulers.follower import Follower
from vmrace.harness.schedulers.replay import Replay


class Again(Replay, Follower):
    """A replay of a run of an explorer: a finding halts its cpu only, and the machine asks even if there is only one choice."""

    explores = True
    yields_max = YIELDS_MAX

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        return super().forced(m, choices) if len(choices) > 1 else choices[0]


class Alone(Again):
    """A run up to the point where a task was parked, and then that task alone, for at most `rounds` points.

    The run ends in Diverged, or when the task ends. `goes_on` is true unless the task only read for all these points: then it did not wait.
    """

    yields_max = 1 << 60

    def __init__(self, switches: Sequence[int], forced: Sequence[int], park: int, task: int, rounds: int):
        """`park` is the index in `switches` of the decision that parked `task`. The replay ends before it."""
        assert switches[park] == PARK, (park, switches[park])
        super().__init__(switches[:park - 1], forced)
        self.park_step, self.task, self.rounds = switches[park - 1], task, rounds
        self.is_alone = False
        self.goes_on = True

    def begin(self, m: Machine) -> None:
        super().begin(m)
        self._want_park(m)

    def _want_park(self, m: Machine) -> None:
        """Have the machine ask at the step of the park if no switch is left before it."""
        if self.next >= len(self.switches):
            m.want(self.park_step)

    def at(self, m: Machine) -> int:
        if self.next < len(self.switches):
            decision = super().at(m)
            self._want_park(m)
            return decision
        self.is_alone = True
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
        if not self.is_alone:
            return super().forced(m, choices)
        if self.task in choices:                # the task has yielded
            return self.task
        raise Diverged(m.step, "it goes on")
