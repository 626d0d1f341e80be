# SPDX-License-Identifier: MIT
"""include/linux/wait.h: queues on which tasks sleep until another task wakes them.

Each operation is one point: the queue's own lock is safe in interrupts, and no other lock is acquired under it. A task only adds or
removes an entry of its own. Entries of exclusive sleepers stand at the tail, the others at the head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.kernel import waiting
from vmrace.harness.kernel.registry import register
from vmrace.harness.kernel.sched import current_task
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import RUNNING, SLEEPING
from vmrace.harness.points import READ, WAIT, WAKE

if TYPE_CHECKING:
    from vmrace.harness.kernel.struct import struct as Struct
    from vmrace.harness.machine.task import Task


class wait_queue_head_t:
    """A wait queue. `entries` are pairs (task, exclusive), in the order in which a wake-up considers them."""

    __slots__ = ("entries", "name", "struct")
    volatile_slots = ("entries[:]",)

    def __init__(self, name: str, struct: Struct | None = None):
        self.name = name
        self.entries: list[tuple[Task, bool]] = []
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name


def add_wait_queue(q: wait_queue_head_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, q)
    me = current_task()
    me.queued += 1
    q.entries.insert(0, (me, False))


def add_wait_queue_exclusive(q: wait_queue_head_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, q)
    me = current_task()
    me.queued += 1
    q.entries.append((me, True))


def remove_wait_queue(q: wait_queue_head_t) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, q)
    me = current_task()
    left = [entry for entry in q.entries if entry[0] is not me]
    me.queued -= len(q.entries) - len(left)
    q.entries[:] = left


def waitqueue_active(q: wait_queue_head_t) -> bool:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, q)
    return bool(q.entries)


def _wake(q: wait_queue_head_t, exclusive: int) -> None:
    """Wake the sleepers of `q`, at most `exclusive` of the exclusive ones (0: all), as `__wake_up_common` of 2.4 and 2.6 does.

    Only an exclusive task that really slept counts. One that has set its state and does not sleep yet is still on the run queue:
    it goes on, and the next exclusive sleeper is woken as well.
    """
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAKE, q)
    if m.log is not None:
        m.log.append((WAKE, q, tuple(task for task, _ in q.entries)))
    for task, alone in list(q.entries):
        if task.state == RUNNING:
            continue
        task.state = RUNNING
        if task.waiting is SLEEPING:
            waiting.make_ready(m, task)
            if alone:
                exclusive -= 1
                if not exclusive:
                    return


def wake_up(q: wait_queue_head_t) -> None:
    """Wake every sleeper that is not exclusive, and one that is."""
    _wake(q, 1)


def wake_up_all(q: wait_queue_head_t) -> None:
    _wake(q, 0)
