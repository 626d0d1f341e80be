# SPDX-License-Identifier: MIT
"""include/linux/wait.h: queues one sleeps on.

A queue's own lock is an irq-safe leaf inside which nothing else happens, so each operation is one point. The entry on a
queue is always the caller's own. Exclusive sleepers stand at the tail, the others at the head.
"""

from harness.kernel.registry import register
from harness.kernel.sched import current_task
from harness.machine import RUNNING, SLEEPING, m
from harness.points import READ, WAIT, WAKE


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
    q.entries.insert(0, (current_task(), False))


def add_wait_queue_exclusive(q):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, q)
    q.entries.append((current_task(), True))


def remove_wait_queue(q):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAIT, q)
    me = current_task()
    q.entries[:] = [entry for entry in q.entries if entry[0] is not me]


def waitqueue_active(q):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(READ, q)
    return bool(q.entries)


def _wake(q, exclusive):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(WAKE, q)
    for task, alone in list(q.entries):
        task.state = RUNNING
        if task.waiting is SLEEPING:
            m.make_ready(task)
        if alone:
            exclusive -= 1
            if not exclusive:
                return


def wake_up(q):
    """Wake everybody who does not mind company, and one who does."""
    _wake(q, 1)


def wake_up_all(q):
    _wake(q, 0)
