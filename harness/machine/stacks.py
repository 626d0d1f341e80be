# SPDX-License-Identifier: MIT
"""The stacks of tasks and idle loops. A backend's pool keeps them, and each run after another uses them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from vmrace.harness import points
from vmrace.harness.errors import Abort, Diverged, HarnessError, ProgramError
from vmrace.harness.finding import Finding, Kind
from vmrace.harness.machine import interrupts, stuck
from vmrace.harness.machine.run_log import touched
from vmrace.harness.machine.sites import is_null_dereference, sites_of_traceback
from vmrace.harness.machine.task import CPUS, HALTED, IRQ_DEPTH_MAX, NEVER, PARK, PARKED, SLEEPING, Cpu, Task

if TYPE_CHECKING:
    from vmrace.harness.backends import Backend
    from vmrace.harness.machine.machine import Machine

_abandoned: list[Task] = []
RESULTS = (int, str)        # types of the results of operations: a number, an error code, a signal
Operation = tuple[Callable[..., Any], tuple[Any, ...]]      # a kernel function and its arguments


def assign(m: Machine, tasks: Sequence[tuple[int, Sequence[Operation]]], cpus: int, later: Container[int]) -> None:
    """Give each of `tasks`, (cpu, operations), a stack, and put it on its cpu.

    A task with a number in `later` sleeps until it is spawned.
    """
    kernel_tasks = m.image.tasks
    in_use = m.cpus = CPUS[:cpus]
    for cpu in in_use:
        cpu.running = cpu.idle = None
        cpu.shared = False
        cpu.ready = []
    mine = m.tasks = []
    pool, root = m.backend.pool, m.image.lockdep.root
    left = 0
    used: set[int] = set()
    for number, (where, operations) in enumerate(tasks):
        task = pool.get(number) or _new_task(m, number, f"task{number}", _operations)
        task.reset()
        task.operations = operations
        task.task = kernel_tasks[number]
        task.held = root
        task.cpu = cpu = in_use[where]
        cpu.shared = cpu.shared or where in used
        used.add(where)
        if number in later:
            task.waiting = SLEEPING
        else:
            cpu.ready.append(task)
            left += 1
        mine.append(task)
    for unused in range(cpus - 1, -1, -1):
        if -2 - unused in pool:
            break
        _new_task(m, -2 - unused, f"idle{unused}", _interrupt)       # here, where the stack is not deep
    m.remaining = left


def abandon(backend: Backend) -> None:
    """Give all tasks of a backend new stacks. The old ones are kept for good: if a greenlet is collected, the code of its task runs on."""
    _abandoned.extend(backend.pool.values())
    backend.pool.clear()


def _new_task(m: Machine, number: int, name: str, work: Callable[[Machine, Task], None]) -> Task:
    task: Task = Task(number, name)
    m.backend.pool[number] = task
    task.stack = m.backend.stack(functools.partial(_live, m, work), task)
    return task


def idle_of(m: Machine, cpu: Cpu) -> Task:
    """Return the idle loop of `cpu`, which only takes interrupts."""
    task = cpu.idle
    if task is None:
        number = -2 - cpu.number
        task = cpu.idle = m.backend.pool[number]
        task.reset()
        task.cpu = cpu
        task.task = m.image.tasks[-1 - cpu.number]
        task.held = m.image.lockdep.root
    return task


def _live(m: Machine, work: Callable[[Machine, Task], None], task: Task) -> None:
    """Live on a stack of its own: do the work of a run, and wait for the next."""
    while True:
        try:
            if task.waiting is not HALTED:
                work(m, task)
            m.dispatch(task)
            continue
        except Abort:
            pass
        except BaseException as error:
            _fault(m, error)
        _leave(m, task)                         # with nothing left of its frames, nor of what only they know


def _operations(m: Machine, task: Task) -> None:
    """Do the operations of a task, and end it."""
    root = task.held
    for number, (function, args) in enumerate(task.operations):
        task.op = number
        if m.recorder is not None:
            m.recorder(points.LOCAL, task, f"op {task.op}")
        value = function(*args)
        if value.__class__ in RESULTS:
            task.results = (*task.results, (number, value))
        if task.held is not root:
            m.image.lockdep.returned_holding(m, task)
    if m.aborting:                              # a program of plain functions may have caught it
        raise Abort
    if m.recorder is not None:
        m.recorder(points.LOCAL, task, "end")
    task.finished = True
    m.remaining -= 1
    cpu = task.cpu
    cpu.running = None
    if cpu.shared:
        m.enabled = None
        comes_or_goes(m, task)
    elif m.enabled is not None:
        m.enabled = m.enabled.copy()
        m.enabled.remove(task.id)


def _interrupt(m: Machine, task: Task) -> None:
    """Handle the interrupt that begins on an idle loop. Later ones are taken where the loop waits, in dispatch."""
    irq, task.inject = task.inject, None
    if irq is not None:
        interrupts.handle(m, task, irq)


def _leave(m: Machine, task: Task) -> None:
    if m.explorer is not None and not m.aborting:
        halt(m, task)                           # an oops kills the cpu it is on
        return
    task.finished = True
    m.main.switch()


def halt(m: Machine, task: Task) -> None:
    """Stop the cpu of `task` for good. The task keeps its locks, and the other cpus go on."""
    m.halted = task.finished = True
    task.waiting = HALTED
    task.cpu.running = task
    task.irq_depth = IRQ_DEPTH_MAX              # takes no interrupt either
    m.enabled = None


def nobody(m: Machine, me: Task) -> None:
    """End the run, as no decision is left: it is at rest, or it is stuck."""
    if m.remaining or any(cpu.running is not None for cpu in m.cpus):       # an interrupt can hang after the last task
        if m.observer is not None:
            m.observer.blocked(m, me)
        stuck.end(m)
    if me.stack is not m.main:
        m.main.switch()
        if m.aborting:                          # its stack is unwound now
            raise Abort


def _fault(m: Machine, error: BaseException) -> None:
    """An exception left kernel source: report an oops if it went through a null pointer; else it is an error of ours."""
    if m.unwinding and not isinstance(error, KeyboardInterrupt | ProgramError):
        return                                  # out of a `finally`, in a run that is over
    places = sites_of_traceback(m.image, error)
    if isinstance(error, AttributeError | TypeError) and places and is_null_dereference(error):
        m.add_finding(Finding(Kind.OOPS.title(f"NULL pointer dereference in {places[-1].function}"), "bug", detail=str(error)), places)
        m.aborting = m.explorer is None
    else:
        m.error = m.error or error
        m.aborting = True


def comes_or_goes(m: Machine, task: Task) -> None:
    """Tell an explorer that a task is ready, or no longer ready: need_resched() shows that to other tasks of its cpu."""
    if task.cpu.shared:
        touched(m, task.cpu, points.END)


def park(m: Machine, me: Task) -> NoReturn:
    """Let the task run no more: it waits by reading (see explore/spinning.py), and the point that it is at did not happen.

    It keeps its cpu, as a task does that spins.
    """
    m.switches += (m.step, PARK)
    m.step -= 1
    me.waiting = PARKED
    me.waiting_frame = sys._getframe(2)
    m.waiters += 1
    m.enabled = None
    while True:                                 # interrupts may come over it
        m.dispatch(me)


def end(m: Machine, error: BaseException | None = None) -> NoReturn:
    """End this run. The running task stays where it is until all stacks are unwound, so that none of its code runs before."""
    if error is not None and not isinstance(error, Abort):
        m.error = m.error or error
    m.aborting = True
    me = m.current
    if me.stack is not None and me.stack is not m.main and (not me.finished or me.waiting is HALTED):
        m.main.switch()
    raise Abort from None


def close(m: Machine, outside: BaseException | None = None) -> None:
    """Close a run that is over before its tasks are. `outside` is an exception that left dispatch on the main stack.

    Raises KeyboardInterrupt, Diverged, or for any other error that ended the run HarnessError.
    """
    at_fault = m.current.name
    m.aborting, m.error = True, m.error or outside
    unwind(m)
    m.broken = outside is not None
    if isinstance(m.error, Diverged | KeyboardInterrupt):
        raise m.error
    if m.error is not None:
        raise HarnessError(f"{type(m.error).__name__} in {at_fault}: {m.error}") from m.error


def unwind(m: Machine) -> None:
    """Throw Abort through every stack that is still in the middle of something.

    The `finally` and `with` of a program run then, but the run is over: each primitive that they call raises Abort at once,
    and nobody watches.
    """
    explorer, recorder, hook, step = m.explorer, m.recorder, sys.unraisablehook, m.step
    m.explorer = m.recorder = None
    m.unwinding, m.stop, m.unasked = True, 0, 0
    sys.unraisablehook = _without_aborts(hook)  # for a generator that is closed when the last frame that knew it is gone
    try:
        for task in [*m.tasks, *(cpu.idle for cpu in m.cpus if cpu.idle is not None)]:
            if task.started and (not task.finished or task.waiting is HALTED):
                m.current = task
                task.waiting_frame = None       # it would keep what its frames know until the next run
                task.stack.switch()
    finally:
        m.explorer, m.recorder, sys.unraisablehook, m.step = explorer, recorder, hook, step
        m.unwinding, m.stop = False, NEVER


def _without_aborts(hook: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Return a sys.unraisablehook that leaves out Abort."""
    def ignore(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, Abort):
            hook(unraisable)
    return ignore
