# SPDX-License-Identifier: MIT
"""The sanitizer of progress: a deadlock (no task can run, with which task waits for what), a livelock (tasks run without end)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vmrace.harness.finding import Finding, Kind
from vmrace.harness.machine.scheduler import FairRun
from vmrace.harness.machine.sites import sites
from vmrace.harness.machine.task import PARKED, SLEEPING, Task

if TYPE_CHECKING:
    from vmrace.harness.machine.machine import Machine

NAME = "progress"
FAIR_STEPS_MAX = 20_000     # points under a fair schedule, after the first steps_max ones, before the run is called a livelock


def end(m: Machine) -> None:
    """End a run in which no decision is left although tasks or interrupts are not done, and report why, unless a cpu is dead already."""
    if m.explorer is not None:
        m.explorer.ended(m)
    parked = [task for task in (*m.tasks, *(cpu.idle for cpu in m.cpus)) if task is not None and task.waiting is PARKED]
    if parked and not (m.findings or wait_for_ever(parked)):
        m.void = True
    if not m.halted and not m.cut and not m.void:
        nobody_can_run(m)
    m.aborting = True


def nobody_can_run(m: Machine) -> None:
    """Report tasks that are left though none can run.

    Tasks that wait for each other in a circle give the title, or else those that wait for nothing that another task has. The detail
    has the tasks that wait behind these, or for a cpu.
    """
    waiting = _left(m)
    parked = [task for task in waiting if task.waiting is PARKED]
    details = "; ".join(_wait_for(m, task) for task in waiting)
    if parked:
        title, first = Kind.LIVELOCK.title(", ".join(sorted({m.where(task.waiting_frame) for task in parked}))), parked[0]
    else:
        cause = _circle(waiting) or [task for task in waiting if task.waiting is not None and not _before(task, waiting)] or waiting
        asleep = all(sleeps(task) for task in cause)
        word = "tasks asleep for ever" if asleep else "nobody can run"
        title, first = Kind.DEADLOCK.title(f"{word}: {', '.join(sorted({_what(m, task) for task in cause}))}"), cause[0]
    m.add_finding(Finding(title, NAME, detail=details), sites(m.image, first.waiting_frame))


def out_of_steps(m: Machine) -> None:
    """Give a run without end a fair schedule. If that does not end it either, report a livelock.

    The title has for each task the innermost function that it never left, with those where a task waits that no other one keeps waiting.
    The detail has the tasks that only wait behind others.
    """
    if m.fair is None:
        m.scheduler = m.fair = FairRun(m.steps_max)
        m.deadline = m.steps_max + FAIR_STEPS_MAX
        return
    m.limit_hit = True
    left = _left(m)
    waiting = [task for task in left if task.waiting_frame is not None]
    m.fair.see(m)
    seen = {m.fair.seen[task.id][-1] for task in left if task.id in m.fair.seen}
    stuck = {m.where(task.waiting_frame) for task in waiting if not _before(task, left)}
    detail = "; ".join([f"no end after {m.step} points, the last under a fair schedule", *(_wait_for(m, task) for task in waiting)])
    title = Kind.LIVELOCK.title(", ".join(sorted({*seen, *stuck})))
    m.add_finding(Finding(title, NAME, detail=detail), sites(m.image, sys._getframe(1)))
    m.abort()


def wait_for_ever(parked: Iterable[Task]) -> bool:
    """True if all that these tasks read in their loops is as they read it: no task lets them go on."""
    return all(not task.reads or task.reads.unchanged() for task in parked)


def sleeps(task: Task) -> bool:
    """True if the task waits off its cpu: for another task to wake it, or for a completion or a thread."""
    return task.waiting is SLEEPING or getattr(task.waiting, "sleeps", False)


def _left(m: Machine) -> list[Task]:
    """Return the tasks that are not done, less those that no task has spawned, and the idle loops that are in an interrupt."""
    return [task for task in m.tasks if not task.finished and (task.started or task.waiting is not SLEEPING)] + [
        cpu.idle for cpu in m.cpus if cpu.idle is not None and cpu.running is cpu.idle]


def _circle(waiting: Sequence[Task]) -> list[Task]:
    """Return tasks that wait for locks of each other in a circle; [] if there are none."""
    seen: set[int] = set()

    def walk(path: list[Task]) -> list[Task]:
        if path[-1].id in seen:
            return []
        seen.add(path[-1].id)
        for other in _before(path[-1], waiting):
            circle = path[path.index(other):] if other in path else walk([*path, other])
            if circle:
                return circle
        return []
    for task in waiting:
        circle = walk([task])
        if circle:
            return circle
    return []


def _lock(task: Task) -> Any:
    """Return the lock that a task waits for; None if it waits for something else."""
    return task.wants if task.waiting is SLEEPING else task.waiting


def _before(task: Task, tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that a task waits for: those that have its lock, and those that get it first."""
    return [*_holders(task, tasks), *_ahead(task)]


def _holders(task: Task, tasks: Iterable[Task]) -> list[Task]:
    """Return the tasks that have the lock that a task waits for: its owner or its readers, which may be below an interrupt."""
    lock = _lock(task)
    if lock is None:
        return []
    if getattr(lock, "owner", None) is not None:
        return [lock.owner]
    if getattr(lock, "sleeps", False):
        return [other for other in tasks if other.id == getattr(lock, "number", None)]      # a thread ends by its own doing
    if not dict(getattr(lock, "queue", ())).get(task, True):
        return []                                           # readers do not wait for readers
    side = getattr(lock, "read_side", lock)
    return [other for other in tasks if any(side in held.locks for held in (other.held, *other.below))]


def _ahead(task: Task) -> list[Task]:
    """Return the tasks before `task` in the queue of a rw_semaphore with which it cannot share it."""
    queue = list(getattr(_lock(task), "queue", ()))         # (task, does it want to write)
    at = next((at for at, (other, _) in enumerate(queue) if other is task), 0)
    return [other for other, writes in queue[:at] if writes or queue[at][1]]


def _what(m: Machine, task: Task) -> str:
    where = m.where(task.waiting_frame) if task.waiting_frame is not None else "user_space"
    lock = task.waiting
    return where if sleeps(task) or lock is None else f"{lock.cls} in {where}"


def _wait_for(m: Machine, task: Task) -> str:
    """Say what a task waits for, and which task has that."""
    lock = _lock(task)
    if task.waiting is None:
        return f"{task.name} waits for cpu{task.cpu.number}"
    if lock is PARKED:
        what = ", ".join(dict.fromkeys(obj.name if arg is None else f"{obj.name}.{arg}" if isinstance(arg, str) else f"{obj.name}[{arg}]"
                                       for obj, arg, _ in task.reads))
        return f"{task.name} reads {what or 'the same'} again and again in {m.where(task.waiting_frame)}, and nobody is left to change it"
    if lock is None:
        return f"{task.name} sleeps in {_what(m, task)}"
    waits = f"{task.name} {f'sleeps in {_what(m, task)}' if sleeps(task) else 'spins'} for {lock.name}"
    holders, ahead = _holders(task, _left(m)), _ahead(task)
    if holders:
        return f"{waits}, held by {', '.join(holder.name for holder in holders)}"
    return f"{waits}, behind {ahead[-1].name}" if ahead else waits
