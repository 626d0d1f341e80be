# SPDX-License-Identifier: MIT
"""The history of one run as user space sees it; the user-visible model judges a run by it. None of these calls is a point."""

from __future__ import annotations

from vmrace.harness.machine.machine import m
from vmrace.harness.machine.run_log import touched
from vmrace.harness.points import BEGIN, END


def now() -> int:
    """Return the present step: user space begins an access that it will report by `saw`."""
    touched(m, "user", BEGIN)
    return m.step


def saw(what: str, who: object, where: object, value: object, since: int) -> None:
    """Record that user space did `what` to word `where` of `who` and saw `value`, at some time between step `since` and now."""
    touched(m, "user", END)
    m.history.append((what, who, where, value, since, m.step))


def touches(kind: int, *what: object) -> None:
    """Report an access of `kind` to data that user space or a device keeps outside the kernel, within the present step.

    Without the call an explorer would take two such accesses for independent.
    """
    touched(m, what if len(what) > 1 else what[0], kind)
