# SPDX-License-Identifier: MIT
"""Nobody loses the cpu while it can go on; who follows is the first in turn, an interrupt only when no task can run.

`lead` is the task whose turn is first: 0 gives the order of the program. INTERRUPTS: those come before any task.
"""

from collections.abc import Sequence

from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import NEVER

INTERRUPTS = -1


class NoPreempt:
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
