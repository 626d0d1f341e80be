# SPDX-License-Identifier: MIT
"""include/linux/wait.h: queues one sleeps on.

A queue's own lock is an irq-safe leaf inside which nothing else happens, so each operation is one point. The entry on a
queue is always the caller's own. Exclusive sleepers stand at the tail, the others at the head.
"""

from vmrace.harness.kernel.registry import register
from vmrace.harness.kernel.sched import current_task
from vmrace.harness.machine import waiting
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import RUNNING, SLEEPING
from vmrace.harness.points import READ, WAIT, WAKE


class wait_queue_head_t:
    """`entries`: (task, exclusive), in the order in which they would be woken."""

    __slots__ = ("entries", "name", "struct")
    volatile_slots = ("entries[:]",)

    def __init__(self, name: str, struct: object = None):
        self.name = name
        self.entries: list = []
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name


def add_wait_queue(q):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, q)
    me = current_task()
    me.queued += 1
    q.entries.insert(0, (me, False))


def add_wait_queue_exclusive(q):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, q)
    me = current_task()
    me.queued += 1
    q.entries.append((me, True))


def remove_wait_queue(q):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, q)
    me = current_task()
    left = [entry for entry in q.entries if entry[0] is not me]
    me.queued -= len(q.entries) - len(left)
    q.entries[:] = left


def waitqueue_active(q):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, q)
    return bool(q.entries)


def _wake(q, exclusive):
    """`__wake_up_common` of 2.4 and 2.6: an exclusive sleeper uses up the wake-up only if it was taken off its sleep. One that has
    set its state and has not slept yet is on the run queue still: it goes on, and the next one is woken, too."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAKE, q)
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


def wake_up(q):
    """Wake everybody who does not mind company, and one who does."""
    _wake(q, 1)


def wake_up_all(q):
    _wake(q, 0)
