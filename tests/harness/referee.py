# SPDX-License-Identifier: MIT
"""A scheduler that wraps another and checks each decision by rules of its own, which read the tasks and not `choices`."""

from __future__ import annotations

from collections.abc import Sequence

from vmrace.harness.kernel.rwlock import ReadSide
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.machine.task import IRQ_DEPTH_MAX, SLEEPING, Task


def atomic(task: Task) -> bool:
    """True if the task cannot lose its cpu to another task now."""
    return bool(task.irq_depth or task.held.irqs_off or any(lock.spins for lock in task.held.locks))


def legal(m: Machine) -> set[int]:
    """Return every decision that the rules of the machine allow now."""
    out = set()
    for task in m.tasks:
        if task.finished or task.waiting is SLEEPING or (task.waiting is not None and not task.waiting.available(task)):
            continue
        running = task.cpu.running
        if running is task or running is None or (m.preempt and not atomic(running)):
            out.add(task.id)
    for cpu in m.cpus:
        idle = cpu.running
        if idle is not None and idle.id < -1 and (idle.waiting is None or idle.waiting.available(idle)):
            out.add(idle.id)
        if idle is None or (idle.irq_depth < IRQ_DEPTH_MAX and not idle.held.irqs_off):
            out |= {len(m.tasks) + irq.number * len(m.cpus) + cpu.number for irq in m.pending}
    return out


def exclusive_locks(m: Machine) -> list[str]:
    """Return the names of the spinlocks held, once for each holder."""
    everybody = [*m.tasks, *(cpu.idle for cpu in m.cpus if cpu.idle is not None)]
    return [lock.name for task in everybody for lock in task.held.locks if lock.spins and not isinstance(lock, ReadSide)]


class Referee:
    """A scheduler that asserts that each decision of `inner` is legal, and counts the decisions."""

    def __init__(self, inner: Scheduler):
        self.inner = inner
        self.points = 0
        self.choices = 0

    def begin(self, m: Machine) -> None:
        self.inner.begin(m)

    def at(self, m: Machine) -> int:
        self._look(m)
        self.points += 1
        decision = self.inner.at(m)
        assert decision == m.current.id or decision in legal(m), (decision, legal(m))
        return decision

    def forced(self, m: Machine, choices: Sequence[int]) -> int:
        self._look(m)
        self.choices += 1
        assert len(choices) > 1, choices
        assert set(choices) <= legal(m), (choices, legal(m))
        decision = self.inner.forced(m, choices)
        assert decision in choices, (decision, choices)
        return decision

    def wake(self, m: Machine) -> None:
        self.inner.wake(m)

    def _look(self, m: Machine) -> None:
        choices = m.choices()
        assert set(choices) == legal(m), (choices, legal(m))
        assert len(choices) == len(set(choices)), choices
        held = exclusive_locks(m)
        assert len(held) == len(set(held)), held
