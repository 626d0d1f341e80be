# SPDX-License-Identifier: MIT
"""include/linux/sched.h: the task that runs on this cpu, and the ways in which it gives up the cpu."""

from __future__ import annotations

import sys
from typing import Any

from vmrace.harness.kernel import waiting
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import INTERRUPTIBLE, RUNNING, UNINTERRUPTIBLE, Task
from vmrace.harness.points import READ, WAIT, WRITE

TASK_RUNNING = RUNNING
TASK_INTERRUPTIBLE = INTERRUPTIBLE
TASK_UNINTERRUPTIBLE = UNINTERRUPTIBLE


def current_task() -> Task:
    """Return the machine's task that runs on this cpu; in an interrupt, the interrupted one."""
    me = m.current
    if me.irq_depth:
        m.looked.add(me.cpu.number)
    return me


def current() -> Any:
    """Return the kernel's own task_struct of the task on this cpu; in an interrupt, that of the interrupted task.

    Its type belongs to the family. It is None in a family without a task_struct, and in a program of plain functions.
    """
    return current_task().task


def function_here(*helpers: str) -> str:
    """Return the kernel function that a title would name here: the innermost one that is not in include/, and none of `helpers`."""
    return m.where(sys._getframe(1), helpers)


def in_interrupt() -> bool:
    return m.current.irq_depth > 0


def smp_processor_id() -> int:
    return m.current.cpu.number


def need_resched() -> bool:
    """True if another task is ready to run on this cpu, and the current one has not just given up the cpu.

    In the kernel a wake-up or the timer sets this flag, and schedule() clears it. There is no timer here: the time of a task is over
    when it asks for the second time.
    """
    me = m.current
    cpu = me.cpu
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, cpu)
    if me.rested:
        me.rested = False
        return False
    return any(task.waiting is None or task.waiting.available(task) for task in cpu.ready)


def set_task_state(state: int) -> None:
    """Set the state of the current task, then a barrier: a waker can see the state before this task reads anything more."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, m.current, state)
    m.current.state = state


def __set_task_state(state: int) -> None:
    """Set the state without the barrier. A waker reads the state, so this is a point like any store."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, m.current, state)
    m.current.state = state


def schedule() -> None:
    """Give up the cpu. The task sleeps, unless a waker has set its state to TASK_RUNNING meanwhile."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, m.current)
    if m.current.state == RUNNING:
        waiting.give_way(m)
    else:
        waiting.sleep(m)
    m.current.rested = True


def yield_cpu() -> None:
    """yield(): let the other tasks run first, if any can. The name is the one that Python cannot spell."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, m.current)
    waiting.yield_cpu(m)
    m.current.rested = True


set_current_state = set_task_state
__set_current_state = __set_task_state
