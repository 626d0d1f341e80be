# SPDX-License-Identifier: MIT
"""What decides, one strategy a file. A scheduler knows cpus and decisions, never kernel objects.

Each answers four questions (see harness.machine.scheduler.Scheduler): begin, at, forced, wake.
"""

from harness.schedulers.contended import Contended
from harness.schedulers.mutate import Mutate
from harness.schedulers.nopreempt import NoPreempt
from harness.schedulers.pct import Pct
from harness.schedulers.walk import Walk

SCHEDULERS = {
    "nopreempt": NoPreempt,
    "walk": Walk,
    "pct": Pct,
    "mutate": Mutate,
    "contended": Contended,
}
