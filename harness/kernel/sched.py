# SPDX-License-Identifier: MIT
"""include/linux/sched.h: who runs here, and how one stops running."""

from vmrace.harness.machine import waiting
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import INTERRUPTIBLE, RUNNING, UNINTERRUPTIBLE
from vmrace.harness.points import READ, WAIT, WRITE

TASK_RUNNING = RUNNING
TASK_INTERRUPTIBLE = INTERRUPTIBLE
TASK_UNINTERRUPTIBLE = UNINTERRUPTIBLE


def current_task():
    """The machine's task; in an interrupt, the one interrupted."""
    me = m.current
    if me.irq_depth:
        m.looked.add(me.cpu.number)
    return me


def current():
    """The kernel's task_struct of whoever runs on this cpu; in an interrupt, of the one interrupted."""
    return current_task().task


def in_interrupt():
    return m.current.irq_depth > 0


def smp_processor_id():
    return m.current.cpu.number


def need_resched():
    """Is another task waiting for this cpu? Set by the wake-up in the kernel; there is no timer tick here."""
    cpu = m.current.cpu
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, cpu)
    return bool(cpu.ready)


def set_task_state(state):
    """State of current, then a barrier: what is read next is read after anybody could see the state."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, m.current, state)
    m.current.state = state


def __set_task_state(state):
    """The same without the barrier. A waker of this task reads the state, so this is a store like any other."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WRITE, m.current, state)
    m.current.state = state


def schedule():
    """Give up the cpu; sleep, unless woken since the state was set."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, m.current)
    if m.current.state == RUNNING:
        waiting.give_way(m)
    else:
        waiting.sleep(m)


def yield_cpu():
    """yield(): let others run first, if there are any."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, m.current)
    waiting.yield_cpu(m)


set_current_state = set_task_state
__set_current_state = __set_task_state
