# SPDX-License-Identifier: MIT
"""The processes that can run next, and the decision that makes the machine run each."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from vmrace.harness import points
from vmrace.harness.explore.access import Point, may_leave_cpu
from vmrace.harness.explore.cpus import Cpus
from vmrace.harness.explore.run_record import RunRecord
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.stacks import idle_of
from vmrace.harness.machine.task import HALTED, IRQ_DEPTH_MAX, PARKED, SLEEPING, Task, preemptible

Choice = tuple[int, int, Task]              # a process, the decision that lets it run, and the task it runs on

NO_POINT: Point = (points.LOCAL, None, None)        # of a process that is not at a point: it has not begun
NEEDS_ANOTHER = (SLEEPING, HALTED, PARKED)          # a task that waits for one of these needs another process to go on


class Runnable:
    """The processes that can run next in the run of `record`."""

    def __init__(self, record: RunRecord, cpus: Cpus):
        self.record = record
        self.cpus = cpus

    def pending(self, process: int, task: Task) -> Point:
        """Return the point from which a process goes on."""
        last = self.record.last.get(process)
        if last is not None and last.yields_cpu:
            return last.last_point or last.pending  # it left its cpu in the middle of that point
        at = task.resumes if task.at is not None and task.at[0] == points.IRQ else task.at
        return at or NO_POINT

    def choice(self, m: Machine, process: int) -> Choice | None:
        """Return the choice that lets the process run; None if it cannot run."""
        if 0 <= process < len(m.tasks) and not m.tasks[process].irqs:
            task = m.tasks[process]
            return (process, process, task) if self.may_run(m, task, process) else None
        decision = self.enabled(m).get(process)
        return None if decision is None else (process, *decision)

    def enabled(self, m: Machine) -> dict[int, tuple[int, Task]]:
        """Return every process that can run, with the decision that lets it run and the task it runs on."""
        process_of = self.record.process_of
        out: dict[int, tuple[int, Task]] = {}
        for task in m.tasks:
            process = process_of(task) if task.irqs else task.id
            if self.may_run(m, task, process):
                out[process] = task.id, task
        for cpu in m.cpus:
            idle = cpu.running
            if (idle is not None and idle.id < -1 and not idle.finished and idle.waiting is not PARKED
                    and self._can_go_on(process_of(idle), idle)):
                out[process_of(idle)] = idle.id, idle
        for irq in m.pending:
            process = self.record.irqs[irq.number][0]
            cpu = m.cpus[self.cpus.of(process)]
            victim = cpu.running
            if victim is None or (not victim.held.irqs_off and victim.irq_depth < IRQ_DEPTH_MAX):
                decision = len(m.tasks) + irq.number * len(m.cpus) + cpu.number
                out[process] = decision, victim or idle_of(m, cpu)
        return out

    def preferred(self, m: Machine, asleep: Container[int]) -> Choice | None:
        """Return the choice of the running process if it can go on and is not in `asleep`, else that of the first such task; or None."""
        running = self.record.process_of(m.current)
        chosen = self.choice(m, running) if running not in asleep and not m.current.finished else None
        if chosen is not None:
            return chosen
        for task in m.tasks:
            if not task.finished and not task.irqs and task.id not in asleep and self.may_run(m, task, task.id):
                return task.id, task.id, task
        return None

    def may_run(self, m: Machine, task: Task, process: int) -> bool:
        """True if `process`, which is on `task`, can go on now: it has the cpu or can preempt its holder, and no lock stops it."""
        running = task.cpu.running
        if task.finished or task.waiting in NEEDS_ANOTHER:
            return False
        if running is not task and running is not None and not (m.preempt and preemptible(running)):
            return False
        at = task.at
        if at is None and task.waiting is None:
            return True
        return (at is not None and at[0] != points.ACQUIRE and at[0] != points.IRQ) or self._can_go_on(process, task)

    def _can_go_on(self, process: int, task: Task) -> bool:
        kind, obj, arg = self.pending(process, task)
        return kind != points.ACQUIRE or can_be_acquired(obj, arg, task)


def can_be_acquired(obj: Any, arg: Any, task: Task) -> bool:
    """True if `task` may go on to acquire that lock. A task that has the lock itself hangs, which is a finding."""
    if not obj.spins or obj.owner is task or may_leave_cpu(obj, task):
        return True
    return bool((obj.read_side if arg == "read" and hasattr(obj, "read_side") else obj).available(task))
