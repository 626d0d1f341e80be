# SPDX-License-Identifier: MIT
"""What an explorer has to have (machine.Explorer) that only decides: nothing a run tells it matters."""

from __future__ import annotations

from typing import Any

from vmrace.harness.machine.machine import Machine


class Follower:
    def wake(self, m: Machine) -> None:
        pass

    def ended(self, m: Machine) -> None:
        pass

    def touched(self, m: Machine, what: Any, kind: int) -> None:
        pass
