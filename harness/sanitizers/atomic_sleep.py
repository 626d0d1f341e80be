# SPDX-License-Identifier: MIT
"""atomic_sleep: CONFIG_DEBUG_SPINLOCK_SLEEP. A task sleeps, or calls what may sleep, under a spinlock, with interrupts off or in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from vmrace.harness.finding import Kind

if TYPE_CHECKING:
    from vmrace.harness.machine.machine import Machine
    from vmrace.harness.machine.task import Task

NAME = "atomic_sleep"


def slept(m: Machine) -> NoReturn:
    """Report that the running task gives up its cpu in atomic context."""
    m.report(Kind.SLEEP.title(f"{_why(m.current)} in {m.where()}"), NAME)


def might_sleep(m: Machine) -> NoReturn:
    """Report that the running task calls, in atomic context, a primitive that can sleep, whether or not it would sleep this time."""
    m.report(Kind.SLEEP.title(f"{_why(m.current)} in {m.where()}"), NAME)


def _why(task: Task) -> str:
    if task.irq_depth:
        return "sleeping in an interrupt"
    if task.held.spinning:
        return "sleeping with a spinlock held"
    return "sleeping with interrupts off"
