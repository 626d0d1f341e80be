# SPDX-License-Identifier: MIT
"""include/asm/semaphore.h and rwsem.h: locks that a task sleeps for.

up() of a semaphore wakes the task that has slept longest, which then competes for it again. A semaphore that starts at 1 is a mutex:
the task that acquired it must release it. With another count, or `mutex=False`, no task holds it, and any task may up() it, for
example to signal that some work is done.

A rw_semaphore is handed over in order, so a reader waits behind a waiting writer. A task that acquires it twice for reading can
therefore deadlock with a writer that came between, as in the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.errors import ProgramError
from vmrace.harness.kernel import waiting
from vmrace.harness.kernel.registry import register
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import SLEEPING
from vmrace.harness.points import ACQUIRE, RELEASE, TRYLOCK
from vmrace.harness.sanitizers import atomic_sleep, lockdep

if TYPE_CHECKING:
    from vmrace.harness.kernel.struct import struct as Struct
    from vmrace.harness.machine.task import Task


class semaphore:
    """A counting semaphore. `count` is the number of down() that succeed without a wait, `sleepers` the tasks that wait, in order."""

    __slots__ = ("cls", "count", "mutex", "name", "sleepers", "struct")
    spins = False
    owner: Task | None = None           # always: it counts, and only the tasks know that they hold it
    volatile_slots = ("count", "sleepers[:]")

    def __init__(self, name: str, count: int = 1, struct: Struct | None = None, cls: str = "", mutex: bool | None = None):
        self.name = name
        self.cls = cls or name
        if count < 0:
            raise ProgramError(f"semaphore {name} begins with the count {count}: it must be at least 0")
        self.count = count
        self.mutex = count == 1 if mutex is None else mutex
        self.sleepers: list[Task] = []
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name


def down(sem: semaphore) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, sem)
    cur = m.current
    if cur.held.spinning or cur.held.irqs_off or cur.irq_depth:
        atomic_sleep.might_sleep(m)
    while sem.count <= 0:
        if cur not in sem.sleepers:
            sem.sleepers.append(cur)
        waiting.sleep(m, sem)
    if cur in sem.sleepers:             # a wake-up through a wait queue leaves it in the list
        sem.sleepers.remove(cur)
    sem.count -= 1
    if sem.mutex:
        cur.held = cur.held[sem]


def down_trylock(sem: semaphore) -> int:
    """Acquire the semaphore if that needs no wait. Returns 0 if it was acquired, else 1, as in the kernel."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(TRYLOCK, sem)
    if sem.count <= 0:
        return 1
    sem.count -= 1
    if sem.mutex:
        m.current.held = m.current.held.tried(sem)
    return 0


def up(sem: semaphore) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, sem)
    if sem.mutex:
        cur = m.current
        held = cur.held
        cur.held = held.parent if held.lock is sem else held.without(m, sem)
    sem.count += 1
    for task in sem.sleepers:
        if task.waiting is SLEEPING:
            sem.sleepers.remove(task)
            waiting.make_ready(m, task)
            return


class rw_semaphore:
    """A reader-writer semaphore. `owner` is the writer, `readers` the number of readers.

    `queue` has a pair (task, wants to write) for each task that sleeps for it, in order.
    """

    __slots__ = ("cls", "name", "owner", "queue", "read_side", "readers", "struct")
    spins = False
    volatile_slots = ("owner", "readers", "queue[:]")

    def __init__(self, name: str, struct: Struct | None = None, cls: str = ""):
        self.name = name
        self.cls = cls or name
        self.owner: Task | None = None
        self.readers = 0
        self.read_side = ReadSide(self)
        self.queue: list[tuple[Task, bool]] = []
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name

    def hand_over(self) -> None:
        """Hand the semaphore to the task that has slept longest; if it reads, also to each reader behind it, up to the next writer."""
        while self.queue:
            task, writes = self.queue[0]
            if self.owner is not None or (writes and self.readers):
                return
            self.queue.pop(0)
            if writes:
                self.owner = task
            else:
                self.readers += 1
            if task.waiting is SLEEPING:
                waiting.make_ready(m, task)

    def wait(self, task: Task, writes: bool) -> None:
        """Queue `task`, which runs now, and sleep until the semaphore is handed to it."""
        entry = (task, writes)
        self.queue.append(entry)
        while entry in self.queue:
            waiting.sleep(m, self)
        assert (self.owner is task) == writes, (self, self.owner, task, writes)
        assert writes or self.readers > 0, (self, self.readers, task)


class ReadSide:
    """The semaphore as its readers hold it: no guard of stores.

    It is not `shared`: the next reader may have to wait, behind a writer that waits for the present readers.
    """

    __slots__ = ("cls", "name", "rwlock")
    spins = False
    reads = True

    def __init__(self, sem: rw_semaphore):
        self.rwlock = sem
        self.name = sem.name
        self.cls = sem.cls

    def __repr__(self) -> str:
        return self.name


def down_read(sem: rw_semaphore) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, sem, "read")
    cur = m.current
    if cur.held.spinning or cur.held.irqs_off or cur.irq_depth:
        atomic_sleep.might_sleep(m)
    if sem.owner is not None or sem.queue:
        sem.wait(cur, False)
    else:
        sem.readers += 1
    cur.held = cur.held[sem.read_side]


def down_read_trylock(sem: rw_semaphore) -> int:
    """Acquire the semaphore for reading if that needs no wait. Returns 1 if it was acquired, else 0, unlike down_trylock()."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(TRYLOCK, sem, "read")
    if sem.owner is not None or sem.queue:
        return 0
    sem.readers += 1
    m.current.held = m.current.held.tried(sem.read_side)
    return 1


def up_read(sem: rw_semaphore) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, sem, "read")
    cur = m.current
    side, held = sem.read_side, cur.held
    cur.held = held.parent if held.lock is side else held.without(m, side)
    sem.readers -= 1
    if sem.queue:
        sem.hand_over()


def down_write(sem: rw_semaphore) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(ACQUIRE, sem)
    cur = m.current
    if cur.held.spinning or cur.held.irqs_off or cur.irq_depth:
        atomic_sleep.might_sleep(m)
    if sem.owner is not None or sem.readers or sem.queue:
        sem.wait(cur, True)
    else:
        sem.owner = cur
    cur.held = cur.held[sem]


def up_write(sem: rw_semaphore) -> None:
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, sem)
    cur = m.current
    if sem.owner is not cur:
        lockdep.unlocked_by_other(m, sem)
    held = cur.held
    cur.held = held.parent if held.lock is sem else held.without(m, sem)
    sem.owner = None
    if sem.queue:
        sem.hand_over()


def downgrade_write(sem: rw_semaphore) -> None:
    """Turn the writer into a reader. Readers that sleep in line get the semaphore as well, up to the next writer."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, sem)
    cur = m.current
    if sem.owner is not cur:
        lockdep.unlocked_by_other(m, sem)
    held = cur.held
    cur.held = (held.parent if held.lock is sem else held.without(m, sem))[sem.read_side]
    sem.owner = None
    sem.readers += 1
    if sem.queue:
        sem.hand_over()
