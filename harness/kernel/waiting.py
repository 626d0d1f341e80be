# SPDX-License-Identifier: MIT
"""The ways in which the running task waits or gives up its cpu: every primitive that does so calls one of these."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from vmrace.harness import points
from vmrace.harness.machine import run_log
from vmrace.harness.machine.run_log import touched
from vmrace.harness.machine.stacks import comes_or_goes
from vmrace.harness.machine.task import HALTED, RUNNING, SLEEPING, UNINTERRUPTIBLE, Task
from vmrace.harness.machine.watched import give_up
from vmrace.harness.sanitizers import atomic_sleep

if TYPE_CHECKING:
    from vmrace.harness.machine.machine import Machine


def spin(m: Machine, lock: Any) -> None:
    """Wait, on the cpu, until the running task can acquire `lock`."""
    me = m.current
    if lock.owner is me:
        m.image.lockdep.recursion(m, lock)
    at = m.log.pop() if m.log else None         # the acquire is made after the wait
    while not lock.available(me):
        me.waiting = lock
        me.waiting_frame = sys._getframe(1)
        m.waiters += 1
        m.enabled = None
        m.dispatch(me)
        m.waiters -= 1
        me.waiting = me.waiting_frame = None
        m.enabled = None
    if m.log is not None:
        m.log.append(at)


def released(m: Machine) -> None:
    """Tell the scheduler that a lock was released for which other tasks may spin."""
    m.scheduler.wake(m)


def sleep(m: Machine, lock: Any = None) -> None:
    """Take the running task off its cpu until `make_ready`. It sleeps for `lock`; None: until another task wakes it.

    A task that sleeps for a lock while it is on a wait queue can be woken through that queue, too, so the caller looks again.
    """
    me = m.current
    me.wants = lock
    at = m.log[-1] if m.log else None           # a task that goes on makes the rest of this point
    _may_leave_cpu(m, me)
    if lock is not None:
        _set_state(m, me, UNINTERRUPTIBLE)
    me.waiting = SLEEPING
    me.waiting_frame = sys._getframe(1)
    me.cpu.running = None
    m.enabled = None
    comes_or_goes(m, me)
    m.dispatch(me)
    if m.log is not None:
        m.log.append(at)
    if lock is not None:
        _set_state(m, me, RUNNING)


def until_available(m: Machine, what: Any) -> None:
    """Take the running task off its cpu until `what`, a completion or a thread, is available to it.

    The task stands among those that are ready, but is no choice before that: its wait has no step of its own.
    """
    me = m.current
    _may_leave_cpu(m, me)
    at = m.log.pop() if m.log else None
    while not what.available(me):
        me.waiting = what
        me.waiting_frame = sys._getframe(1)
        me.cpu.running = None
        me.cpu.ready.append(me)
        m.enabled = None
        comes_or_goes(m, me)
        m.dispatch(me)
        me.waiting = me.waiting_frame = None
        m.enabled = None
    if m.log is not None:
        m.log.append(at)


def availability_changed(m: Machine, what: Any) -> None:
    """Tell the scheduler that a completion or a thread became available, or no longer is."""
    m.enabled = None
    if m.explorer is not None:
        for task in m.tasks:
            if task.waiting is what:
                comes_or_goes(m, task)
    m.scheduler.wake(m)


def make_ready(m: Machine, task: Task) -> None:
    """End the sleep of a task: it can run again when its cpu is free."""
    assert task.waiting is SLEEPING, task
    task.waiting = task.waiting_frame = None
    task.cpu.ready.append(task)
    m.enabled = None
    if m.observer is not None:
        m.observer.woken(m, task)
    run_log.part(m, run_log.READY, task.cpu.number)
    comes_or_goes(m, task)
    m.scheduler.wake(m)


def give_way(m: Machine) -> None:
    """Let any other task run: a free choice that is no preemption."""
    me = m.current
    at = m.log[-1] if m.log else None
    _may_leave_cpu(m, me)
    if me.cpu.ready:
        me.cpu.running = None
        me.cpu.ready.append(me)
        m.enabled = None
    m.dispatch(me)
    if m.log is not None:
        m.log.append(at)


def yield_cpu(m: Machine) -> None:
    """Let another task run, as yield() does, so that a loop that waits for that task gives it the time.

    Turns go round: tasks that only yield do not pass the time to each other while another task could have it. An explorer runs
    on as if the call did nothing, at most `yields_max` times for each task; then the task runs no more.
    """
    me = m.current
    at = m.log[-1] if m.log else None
    _may_leave_cpu(m, me)
    if m.explorer is not None and me.yields == m.explorer.yields_max:
        m.cut = True
        me.cpu.running = None
        me.waiting = HALTED
        m.enabled = None
        comes_or_goes(m, me)
    elif me.cpu.ready:
        me.cpu.running = None
        me.cpu.ready.append(me)
        m.enabled = None
    me.yields += 1
    others = [] if m.explorer is not None else [choice for choice in m.choices() if choice != me.id]
    if not others:
        m.dispatch(me)
        if m.log is not None:
            m.log.append(at)
        return
    m.passed.add(me.id)
    fresh = [choice for choice in others if choice not in m.passed]
    if fresh:
        others = fresh
    else:                                       # all have yielded: a new round
        m.passed = {me.id}
    decision = others[0]
    if len(others) > 1:
        decision = m.ask(others)
        m.forced.append(decision)
    give_up(m, me, decision)
    if m.log is not None:
        m.log.append(at)


def _set_state(m: Machine, me: Task, state: int) -> None:
    """Set the task's state within the point at which it acquires a lock. A task that wakes it through a wait queue sees it."""
    if me.queued:
        touched(m, me, points.WRITE)
    me.state = state


def _may_leave_cpu(m: Machine, me: Task) -> None:
    if me.irq_depth or me.held.spinning or me.held.irqs_off:
        atomic_sleep.slept(m)
