# SPDX-License-Identifier: MIT
"""include/linux/completion.h: a task waits until another one says that some work is done.

`done` counts the complete() calls that no wait has used yet. wait_for_completion() goes on while `done` is above 0, and decrements it.
The kernel wakes one sleeper for each complete(), in the order of arrival, and a task that has not slept may come first. Here any waiting
task may go on, as if it arrived only then. No other task can observe the arrival, unless tasks share a cpu.

A wait is one point, at which a task is chosen only while `done` is above 0. A semaphore would have two points more in a wait that sleeps,
and for each wait two classes of schedules: with and without that sleep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.errors import ProgramError
from vmrace.harness.kernel import waiting
from vmrace.harness.kernel.registry import register
from vmrace.harness.machine.machine import m
from vmrace.harness.points import ACQUIRE, RELEASE
from vmrace.harness.sanitizers import atomic_sleep

if TYPE_CHECKING:
    from vmrace.harness.kernel.struct import struct as Struct
    from vmrace.harness.machine.task import Task

DONE_FOR_ALL = (1 << 32) // 2 - 1       # added by complete_all(): UINT_MAX / 2
ALL = "all"                             # the argument of the point of complete_all()


class completion:
    """A completion. `done`: the number of waits that can go on at once, at least 0."""

    __slots__ = ("cls", "done", "name", "struct")
    spins = True                        # a task at a wait is chosen only while the completion is available
    sleeps = True                       # but it does not keep its cpu
    owner: Task | None = None           # always
    state_slots = ("done",)

    def __init__(self, name: str, done: int = 0, struct: Struct | None = None, cls: str = ""):
        self.name = name
        self.cls = cls or name
        if done < 0:
            raise ProgramError(f"completion {name} begins with done = {done}: it must be at least 0")
        self.done = done
        self.struct = struct
        register(self)

    def available(self, task: object) -> bool:
        return self.done > 0

    def __repr__(self) -> str:
        return self.name


def wait_for_completion(x: completion) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, x)
    cur = m.current
    if cur.held.spinning or cur.held.irqs_off or cur.irq_depth:
        atomic_sleep.might_sleep(m)
    if x.done <= 0:
        waiting.until_available(m, x)
    x.done -= 1
    waiting.availability_changed(m, x)


def complete(x: completion) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, x)
    x.done += 1
    waiting.availability_changed(m, x)


def complete_all(x: completion) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, x, ALL)
    x.done += DONE_FOR_ALL
    waiting.availability_changed(m, x)
