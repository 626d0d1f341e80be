# SPDX-License-Identifier: MIT
"""Tasks, cpus and interrupts, as the machine sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

CPUS_MAX = 128
TASKS_MAX = 128
IRQ_DEPTH_MAX = 2           # an interrupt may be interrupted by another one, once
NEVER = 1 << 60
PARK = -1                   # the decision that the running task runs no more
RUNNING, INTERRUPTIBLE, UNINTERRUPTIBLE = 0, 1, 2


class Cpu:
    """One processor: the task it runs, and those that could run instead."""

    __slots__ = ("idle", "name", "number", "ready", "running", "shared")

    def __init__(self, number: int):
        self.number = number
        self.name = f"cpu{number}"
        self.shared = False                     # by several tasks
        self.running: Task | None = None
        self.ready: list[Task] = []
        self.idle: Task | None = None

    def __repr__(self) -> str:
        return self.name


CPUS = [Cpu(number) for number in range(CPUS_MAX)]      # the same objects in every run: explorers compare runs by what they touch


class Irq:
    """A raised interrupt: its handler and the arguments of that."""

    __slots__ = ("args", "handler", "name", "number")

    def __init__(self, number: int, handler: Callable[..., Any], args: tuple[Any, ...]):
        self.number = number
        self.name = getattr(handler, "__name__", "handler")
        self.handler = handler
        self.args = args


class Task:
    """A stack of execution on one cpu: a process in the kernel, or the idle loop that takes interrupts.

    `held` has the locks that it holds, and whether interrupts are off. `waiting` is the lock that it spins on, SLEEPING, HALTED or
    PARKED; `wants` is the lock that it sleeps for, if any. `rested`: it has given up the cpu since it last asked need_resched().
    `task` is the kernel's task_struct, and `queued` counts its entries on wait queues. `reads` has the loads that a parked task repeats.
    `results` has the number of each operation that returned an int or a str, with that value.
    """

    __slots__ = (
        "at", "below", "cpu", "finished", "held", "id", "inject", "irq_depth", "irqs", "name", "op", "operations",
        "queued", "reads", "rested", "results", "resumes", "stack", "started", "state", "task", "waiting", "waiting_frame",
        "wants", "yields",
    )

    def __init__(self, id: int, name: str):
        self.id = id
        self.name = name
        self.cpu: Cpu = None  # type: ignore[assignment]
        self.operations: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]] = ()
        self.stack: Any = None
        self.task: Any = None
        self.held: Any = None
        self.wants: Any = None
        self.irqs: list[int] = []               # numbers of the interrupts it is in
        self.below: list[Any] = []              # the locks that it held where each of them interrupted it
        self.reset()

    def reset(self) -> None:
        self.started = False
        self.finished = False
        self.inject: Irq | None = None
        self.irq_depth = 0
        if self.irqs:
            self.irqs, self.below = [], []
        self.state = RUNNING
        self.waiting: Any = None
        self.waiting_frame: Any = None
        self.op = -1
        self.at: tuple[int, Any, Any] | None = None
        self.resumes: tuple[int, Any, Any] | None = None        # its point when the last interrupt hit it
        self.yields = 0
        self.rested = False
        self.queued = 0
        self.results: tuple[tuple[int, int | str], ...] = ()
        self.reads: Any = ()            # explore/spinning.py's Reads, if it is PARKED

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Sleeping:
    """The thing that a task waits for which only another task can end: it is never available."""

    def available(self, task: Task) -> bool:
        return False


SLEEPING = Sleeping()
HALTED = Sleeping()         # for a dead cpu
PARKED = Sleeping()         # for a task that waits by reading


def preemptible(task: Task) -> bool:
    """True if the task may lose its cpu with CONFIG_PREEMPT: it holds no spinlock, and is in no interrupt."""
    return not (task.irq_depth or task.held.spinning or task.held.irqs_off)
