# SPDX-License-Identifier: MIT
"""Threads of plain functions: tasks that begin when another task spawns them, and that a task can join.

    def make():
        worker = thread("worker", work)
        def main():
            spawn(worker)
            join(worker)
        return Program([main, worker])

spawn, the end of a thread, and join are one point each. join is chosen only when the thread has ended, so it adds no class of schedules.
The kernel has the same three in wake_up_process() of a new kthread, its exit, and the wait of kthread_stop().
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vmrace.harness.errors import ProgramError
from vmrace.harness.kernel import waiting
from vmrace.harness.kernel.registry import register
from vmrace.harness.machine.machine import m
from vmrace.harness.points import ACQUIRE, RELEASE, SPAWN
from vmrace.harness.sanitizers import atomic_sleep

if TYPE_CHECKING:
    from vmrace.harness.machine.task import Task

NEW, SPAWNED, ENDED = 0, 1, 2


class thread:
    """A thread that runs `function()` once it is spawned. `number`: its task, -1 until it is one of the tasks of a program."""

    __slots__ = ("cls", "function", "name", "number", "progress")
    spins = True                        # a task at a join is chosen only when the thread has ended
    sleeps = True                       # but it does not keep its cpu
    owner: Task | None = None           # always
    state_slots = ("progress",)

    def __init__(self, name: str, function: Callable[[], Any]):
        self.name = self.cls = name
        self.function = function
        self.number = -1
        self.progress = NEW
        register(self)

    def available(self, task: object) -> bool:
        return self.progress == ENDED

    def __repr__(self) -> str:
        return self.name


def spawn(t: thread) -> None:
    """Let the thread begin. RuntimeError if it was spawned before in this run; ProgramError if it is none of the program's tasks."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(SPAWN, t)
    if t.number < 0 or m.current.id == -1:
        raise ProgramError(f"thread {t.name} is spawned, but is none of the program's tasks" if t.number < 0 else
                           f"thread {t.name} is spawned outside of a run")
    if t.progress != NEW:
        raise RuntimeError(f"thread {t.name} is spawned twice")
    t.progress = SPAWNED
    m.remaining += 1
    waiting.make_ready(m, m.tasks[t.number])


def join(t: thread) -> None:
    """Wait until the thread has ended. A thread that is never spawned never ends."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, t)
    cur = m.current
    if cur.held.spinning or cur.held.irqs_off or cur.irq_depth:
        atomic_sleep.might_sleep(m)
    if t.progress != ENDED:
        waiting.until_available(m, t)


def thread_exit(t: thread) -> None:
    """End the thread. The runner calls this when the thread's function has returned; a program does not."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, t)
    t.progress = ENDED
    waiting.availability_changed(m, t)
