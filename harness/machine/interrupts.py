# SPDX-License-Identifier: MIT
"""Interrupts: raised by a task, pending until a scheduler delivers them, handled on the stack of the task they interrupt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vmrace.harness import points
from vmrace.harness.errors import Abort
from vmrace.harness.machine import run_log
from vmrace.harness.machine.task import IRQ_DEPTH_MAX, Irq, Task

if TYPE_CHECKING:
    from vmrace.harness.machine.machine import Machine


def raise_irq(m: Machine, handler: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Have `handler(*args)` interrupt a cpu, from now on until the end of the run. Which cpu, and when, is a decision."""
    if m.unwinding:
        raise Abort
    if m.guard is not None:
        handler = m.guard(handler)
    m.pending.append(Irq(m.irqs_raised, handler, args))
    run_log.part(m, run_log.RAISED, m.irqs_raised)
    m.irqs_raised += 1
    m.enabled = None
    m.scheduler.wake(m)


def deliverable(m: Machine) -> Iterator[int]:
    """Yield the decision of each pending interrupt on each cpu that can take it now."""
    base, count = len(m.tasks), len(m.cpus)
    for irq in m.pending:
        for cpu in m.cpus:
            victim = cpu.running
            if victim is None or (not victim.held.irqs_off and victim.irq_depth < IRQ_DEPTH_MAX):
                yield base + irq.number * count + cpu.number


def handle(m: Machine, me: Task, irq: Irq) -> None:
    """Run a handler nested on the stack of `me`, with interrupts on, as Linux 2.4 does for an ordinary handler."""
    held, waiting, waiting_frame = me.held, me.waiting, me.waiting_frame
    root = m.image.lockdep.irq_root
    me.held, me.waiting, me.waiting_frame = root, None, None
    if waiting is not None:
        m.waiters -= 1
    m.enabled = None
    me.irq_depth += 1
    me.irqs.append(irq.number)
    me.below.append(held)
    run_log.part(m, run_log.ENTERED, irq.number)
    if m.recorder is not None:
        m.recorder(points.IRQ, irq, "enter")
    resumes = me.resumes if me.at is not None and me.at[0] == points.IRQ else me.at
    irq.handler(*irq.args)
    if me.held is not root:
        m.image.lockdep.returned_holding(m, me)
    me.resumes = resumes
    if m.recorder is not None:
        m.recorder(points.IRQ, irq, "leave")
    me.irq_depth -= 1
    me.irqs.pop()
    me.below.pop()
    me.held, me.waiting, me.waiting_frame = held, waiting, waiting_frame
    if waiting is not None:
        m.waiters += 1
    m.enabled = None
    run_log.part(m, run_log.LEFT, irq.number)
    if me.id < -1 and not me.irq_depth:
        me.cpu.running = None               # back to the idle loop
        return
    m.step += 1                             # a point: another task may run before the interrupted one goes on
    if m.step >= m.stop and (waiting is None or m.choices()):      # a task that waits for ever finds that out by itself
        m.sched(points.IRQ, irq, "left")
        if m.log is not None:
            m.log.pop()                     # it accesses nothing
