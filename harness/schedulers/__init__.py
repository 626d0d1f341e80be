# SPDX-License-Identifier: MIT
"""What decides, one strategy a file. A scheduler knows cpus and decisions, never kernel objects.

Each answers four questions (see vmrace.harness.machine.scheduler.Scheduler): begin, at, forced, wake.
"""

from vmrace.harness.schedulers.contended import Contended
from vmrace.harness.schedulers.mutate import Mutate
from vmrace.harness.schedulers.nopreempt import NoPreempt
from vmrace.harness.schedulers.pct import Pct
from vmrace.harness.schedulers.walk import Walk

__all__ = ["Contended", "Mutate", "NoPreempt", "Pct", "Walk"]
