# SPDX-License-Identifier: MIT
"""The schedulers, one strategy a file. A scheduler knows cpus and decisions, never kernel objects.

Each has four methods: begin, at, forced, wake (see vmrace.harness.machine.scheduler.Scheduler).
"""

from __future__ import annotations

from vmrace.harness.schedulers.contended import Contended
from vmrace.harness.schedulers.in_turn import InTurn
from vmrace.harness.schedulers.mutate import Mutate
from vmrace.harness.schedulers.nopreempt import NoPreempt
from vmrace.harness.schedulers.pct import Pct
from vmrace.harness.schedulers.pos import Pos
from vmrace.harness.schedulers.reads_from import ReadsFrom
from vmrace.harness.schedulers.surw import Surw
from vmrace.harness.schedulers.walk import Walk

__all__ = ["Contended", "InTurn", "Mutate", "NoPreempt", "Pct", "Pos", "ReadsFrom", "Surw", "Walk"]
