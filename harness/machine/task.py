# SPDX-License-Identifier: MIT
"""Tasks, cpus and interrupts, as the machine sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

CPUS_MAX = 128
TASKS_MAX = 128
IRQ_DEPTH_MAX = 2           # an interrupt may be interrupted by another one, once
NEVER = 1 << 60
PARK = -1                   # a decision: the running task runs no more
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
    """A raised interrupt: its handler and what it is called with."""

    __slots__ = ("args", "handler", "name", "number")

    def __init__(self, number: int, handler: Callable[..., Any], args: tuple[Any, ...]):
        self.number = number
        self.name = getattr(handler, "__name__", "handler")
        self.handler = handler
        self.args = args


class Task:
    """A stack of execution on one cpu: a process in the kernel, or the idle loop that takes interrupts.

    `held` says which locks it holds and whether its interrupts are off; `waiting` is what it spins on, if anything,
    and of a task that sleeps `wants` the lock it sleeps for, if it is one; `task` is the kernel's own task_struct; `queued` counts
    its entries on wait queues; `reads`, of one that is parked, what it reads again and again.
    """

    __slots__ = (
        "at", "below", "cpu", "finished", "held", "id", "inject", "irq_depth", "irqs", "name", "op", "operations",
        "queued", "reads", "resumes", "stack", "started", "state", "task", "waiting", "waiting_frame", "wants", "yields",
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
        self.below: list[Any] = []              # what it held where each of them came over it
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
        self.resumes: tuple[int, Any, Any] | None = None        # what it was at when the last interrupt hit it
        self.yields = 0
        self.queued = 0
        self.reads: Any = ()            # what it waits by reading, if it is PARKED: of explore/spinning.py

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Sleeping:
    """What a task that is off its cpu waits for: to be woken. Nothing else makes it able to run."""

    def available(self, task: Task) -> bool:
        return False


SLEEPING = Sleeping()
HALTED = Sleeping()         # what a dead cpu waits for
PARKED = Sleeping()         # what a task waits for that only reads, until others change what it reads


def preemptible(task: Task) -> bool:
    """CONFIG_PREEMPT: a task may lose its cpu where it holds no spinlock and is in no interrupt."""
    return not (task.irq_depth or task.held.spinning or task.held.irqs_off)
