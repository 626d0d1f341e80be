# SPDX-License-Identifier: MIT
"""The log of a run, from which the class of the run can be worked out (explore/run_class.py). The machine keeps one while `m.run_log`
is set.

A log has parts. In a part one process runs; its entries are points and, as TOUCH, accesses that their points do not announce. A point
at which its task was preempted is an entry where the task goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmrace.harness import points

if TYPE_CHECKING:
    from vmrace.harness.machine.machine import Machine

Entry = tuple[int, Any, Any]        # kind, object, argument of a point
# What a part begins with, and its number: of the task that runs on, of the interrupt, or of the cpu on which a task becomes ready.
RUNS, RAISED, ENTERED, LEFT, READY = range(5)
Part = tuple[int, int, list[Entry]]


def begin(m: Machine) -> None:
    """Begin the log of a run, if there is to be one."""
    m.log = None
    if m.run_log is not None:
        m.run_log.clear()
    part(m, RUNS, -1)


def part(m: Machine, what: int, number: int) -> None:
    """Begin a part of the log, if the machine keeps one."""
    if m.run_log is not None:
        m.log = []
        m.run_log.append((what, number, m.log))


def touched(m: Machine, what: Any, kind: int) -> None:
    """Report to an explorer, and to the log, that the running event accesses `what` as well as what its point announced."""
    if m.explorer is not None:
        m.explorer.touched(m, what, kind)
    elif m.log is not None:
        m.log.append((points.TOUCH, what, kind))
