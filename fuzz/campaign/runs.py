# SPDX-License-Identifier: MIT
"""The shard as those see it who make runs for it: composing.py and sweeping.py."""

from __future__ import annotations

import random
from typing import Protocol

from vmrace.fuzz.run.executor import Executor, Outcome, Prepared
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.variants.program import Program


class Runs(Protocol):
    """The shard that makes the runs."""

    fast: Executor
    rng: random.Random

    def one(self, program: Program, prepared: Prepared, name: str, scheduler: Scheduler) -> Outcome:
        """Run one schedule."""

    def check(self, program: Program, outcome: Outcome) -> None:
        """Make the same decisions on a checked image."""

    def over(self) -> bool:
        """True if no more runs are wanted."""
