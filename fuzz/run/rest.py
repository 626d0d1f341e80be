# SPDX-License-Identifier: MIT
"""Judging an image at rest: after a run, and between the operations of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vmrace.harness.finding import Kind
from vmrace.harness.link.image import Image
from vmrace.harness.machine.machine import Machine, m
from vmrace.harness.machine.task import Task
from vmrace.variants.family import Family

Call = tuple[Callable[..., Any], tuple[Any, ...]]       # a kernel function and its arguments

_boot = Task(-1, "boot")


def at_boot(m: Machine) -> None:
    """Make the boot task current: checks of an image at rest then need no lock, and pass no point."""
    _boot.held = m.image.lockdep.root
    m.current = _boot
    m.stop = 1 << 60


class QuietMoments:
    """The moments of one run when no task is in an operation and no interrupt is pending or in progress.

    The invariants at rest hold then, too. One that is broken is a note: it is reported if nothing worse follows in the run.
    """

    def __init__(self, family: Family, image: Image):
        self.family = family
        self.image = image
        self.busy = 0           # tasks that are in an operation

    def tasks(self, tasks: list[tuple[int, list[Call]]]) -> list[tuple[int, list[Call]]]:
        """Return the same tasks, whose operations also look for quiet moments."""
        return [(cpu, [(self.call, (function, args)) for function, args in calls]) for cpu, calls in tasks]

    def call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        self.busy += 1
        result = function(*args)
        self.busy -= 1
        if not self.busy and not m.pending and not any(cpu.running is not None and cpu.running.irq_depth for cpu in m.cpus):
            self.judge()
        return result

    def judge(self) -> None:
        """Judge the invariants without a trace in the run: no step passes, and the task goes on as it was."""
        me, step, stop = m.current, m.step, m.stop
        at_boot(m)
        broken = list(self.family.check(self.image))
        m.current, m.step, m.stop = me, step, stop
        about: list[Any]
        for title, detail, *about in broken:
            m.note(Kind.BETWEEN.title(title), "quiet", detail, *about)
