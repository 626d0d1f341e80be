# SPDX-License-Identifier: MIT
"""The base of explorers (machine.scheduler.Explorer) that only decide, and ignore all that a run reports to them."""

from __future__ import annotations

from typing import Any

from vmrace.harness.machine.machine import Machine


class Follower:
    """An explorer without `begin`, `at`, `forced` and `yields_max`, which its subclass adds."""

    def wake(self, m: Machine) -> None:
        pass

    def ended(self, m: Machine) -> None:
        pass

    def touched(self, m: Machine, what: Any, kind: int) -> None:
        pass
