# SPDX-License-Identifier: MIT
"""Replay: the decisions of an earlier run, exactly. A decision that cannot be taken raises Diverged, unless `lenient`."""

from __future__ import annotations

from collections.abc import Sequence

from vmrace.harness.errors import Diverged
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import NEVER, PARK


class Replay:
    """A scheduler that repeats a run. `switches` is [step, decision, step, decision ...].

    `forced` are the decisions at the points where the running task could not go on. A lenient replay, as a shrinker needs it, skips a
    decision that cannot be taken, and takes the first choice if it must choose.
    """

    def __init__(self, switches: Sequence[int], forced: Sequence[int], lenient: bool = False):
        assert len(switches) % 2 == 0, switches
        self.switches = tuple(switches)
        self.forced_list = tuple(forced)
        self.lenient = lenient

    def begin(self, m: Machine) -> None:
        self.next = 0
        self.used = 0
        m.want(self.switches[0] if self.switches else NEVER)

    def at(self, m: Machine) -> int:
        if self.next >= len(self.switches) or self.switches[self.next] > m.step:
            m.want(self.switches[self.next] if self.next < len(self.switches) else NEVER)
            return m.current.id
        decision = self.switches[self.next + 1]
        self.next += 2
        m.want(self.switches[self.next] if self.next < len(self.switches) else NEVER)
        if decision != PARK and decision not in m.choices():
            if not self.lenient:
                raise Diverged(m.step, f"decision {decision} is not one of {m.choices()}")
            return m.current.id
        return decision

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        decision = self.forced_list[self.used] if self.used < len(self.forced_list) else None
        self.used += 1
        if decision is not None and decision in choices:
            return decision
        if not self.lenient:
            raise Diverged(m.step, f"forced decision {decision} is not one of {list(choices)}")
        return choices[0]

    def wake(self, m: Machine) -> None:
        pass
