# SPDX-License-Identifier: MIT
"""No preemption: a task keeps the cpu while it can run. After it the lowest task that can run follows; an interrupt only if none can.

`lead` is the first task in turn: 0 gives the order of the program. With INTERRUPTS, interrupts come before tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import NEVER

INTERRUPTS = -1


class NoPreempt:
    """The scheduler without preemptions, which runs tasks from number `lead` on first."""

    def __init__(self, lead: int = 0):
        self.lead = lead

    def begin(self, m: Machine) -> None:
        m.want(NEVER)

    def at(self, m: Machine) -> int:
        m.want(NEVER)
        return m.current.id

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        if self.lead:
            tasks = len(m.tasks)
            if self.lead == INTERRUPTS:
                return choices[-1] if choices[-1] >= tasks else choices[0]
            for choice in choices:
                if self.lead <= choice < tasks:
                    return choice
        return choices[0]

    def wake(self, m: Machine) -> None:
        pass
