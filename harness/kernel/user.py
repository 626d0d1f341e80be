# SPDX-License-Identifier: MIT
"""What user space saw: the history that the user-visible model judges a run by. Not a point and no part of the kernel."""

from vmrace.harness.machine.machine import m
from vmrace.harness.points import BEGIN, END


def now():
    """The present step."""
    if m.explorer is not None:
        m.explorer.touched(m, "user", BEGIN)
    return m.step


def saw(what, who, where, value, since):
    """User space did `what` to word `where` of `who` and saw `value`, some time between step `since` and now."""
    if m.explorer is not None:
        m.explorer.touched(m, "user", END)
    m.history.append((what, who, where, value, since, m.step))


def touches(kind, *what):
    """What user space or a device keeps for itself is accessed, in the step that runs now: an explorer must know of it."""
    if m.explorer is not None:
        m.explorer.touched(m, what if len(what) > 1 else what[0], kind)
