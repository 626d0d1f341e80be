# SPDX-License-Identifier: MIT
"""include/asm/semaphore.h and rwsem.h: locks one sleeps for.

A semaphore wakes its longest sleeper, which then competes again. One that starts at 1 is a mutex, which whoever took it gives
back; with another count (or `mutex=False`) anybody may up() it, as one does to say that something is done, and nobody holds it.
A rw_semaphore hands over in order, so a reader waits behind a waiting writer: a task that reads twice can deadlock with a writer
in between, as in the kernel.
"""

from vmrace.harness.kernel.registry import register
from vmrace.harness.machine import waiting
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import SLEEPING
from vmrace.harness.points import ACQUIRE, RELEASE, TRYLOCK
from vmrace.harness.sanitizers import atomic_sleep, lockdep


class semaphore:
    __slots__ = ("cls", "count", "mutex", "name", "sleepers", "struct")
    spins = False
    owner = None                        # it counts, and does not know who has it: the holders know
    volatile_slots = ("count", "sleepers[:]")

    def __init__(self, name: str, count: int = 1, struct: object = None, cls: str = "", mutex: bool | None = None):
        self.name = name
        self.cls = cls or name
        self.count = count
        self.mutex = count == 1 if mutex is None else mutex
        self.sleepers: list = []
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name


def down(sem):
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
    if cur in sem.sleepers:             # it was woken through a wait queue
        sem.sleepers.remove(cur)
    sem.count -= 1
    if sem.mutex:
        cur.held = cur.held[sem]


def down_trylock(sem):
    """Returns 0 when it took the semaphore, as the kernel's does."""
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(TRYLOCK, sem)
    if sem.count <= 0:
        return 1
    sem.count -= 1
    if sem.mutex:
        m.current.held = m.current.held.tried(sem)
    return 0


def up(sem):
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
    """`owner` is the writer, `readers` how many read, `queue` who sleeps for it: (task, wants to write)."""

    __slots__ = ("cls", "name", "owner", "queue", "read_side", "readers", "struct")
    spins = False
    volatile_slots = ("owner", "readers", "queue[:]")

    def __init__(self, name: str, struct: object = None, cls: str = ""):
        self.name = name
        self.cls = cls or name
        self.owner = None
        self.readers = 0
        self.read_side = ReadSide(self)
        self.queue: list = []
        self.struct = struct
        register(self)

    def __repr__(self) -> str:
        return self.name

    def hand_over(self) -> None:
        """The longest sleeper gets it; behind a reader every reader up to the next writer does."""
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

    def wait(self, task: object, writes: bool) -> None:
        """Sleep in line until it is handed over."""
        entry = (task, writes)
        self.queue.append(entry)
        while entry in self.queue:
            waiting.sleep(m, self)


class ReadSide:
    """The semaphore as a reader holds it: no guard of stores. Not `shared`: the next reader may have to wait for a writer."""

    __slots__ = ("cls", "name", "rwlock")
    spins = False
    reads = True

    def __init__(self, sem: rw_semaphore):
        self.rwlock = sem
        self.name = sem.name
        self.cls = sem.cls

    def __repr__(self) -> str:
        return self.name


def down_read(sem):
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


def up_read(sem):
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RELEASE, sem, "read")
    cur = m.current
    side, held = sem.read_side, cur.held
    cur.held = held.parent if held.lock is side else held.without(m, side)
    sem.readers -= 1
    if sem.queue:
        sem.hand_over()


def down_write(sem):
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


def up_write(sem):
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


def downgrade_write(sem):
    """The writer goes on as a reader; readers that sleep behind it go on too, up to the next writer."""
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
