# SPDX-License-Identifier: MIT
"""Nobody loses the cpu while it can go on; who follows is the lowest number, an interrupt only when no task can run."""

from collections.abc import Sequence

from harness.machine import NEVER, Machine


class NoPreempt:
    def begin(self, m: Machine) -> None:
        m.want(NEVER)

    def at(self, m: Machine) -> int:
        m.want(NEVER)
        return m.current.id

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        return choices[0]

    def wake(self, m: Machine) -> None:
        pass
