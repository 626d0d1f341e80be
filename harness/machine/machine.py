# SPDX-License-Identifier: MIT
"""The machine: cpus, tasks and interrupts over one image, one decision at a time.

A run is a pure function of (image, tasks, decisions). Kernel primitives count steps and come here only at the step at
which the scheduler asked to be called (`stop`), or when the running task cannot go on. Everything here runs on the stack
of the task concerned: there is no hub to switch through.

Decisions are ints. From 0 below `len(tasks)`: that task runs next. From there on `tasks + number * cpus + cpu`: interrupt
`number` (in the order raised) hits that cpu. Negative, `-2 - cpu`: an idle cpu goes on with the interrupt it is in. They are
kept in two lists: `switches` (step, decision), taken at a point although the running task could have gone on, and `forced`,
taken in order whenever it could not and there was a choice. PARK among the switches says that the running task waits there by
reading, for ever as far as this run goes (see explore/spinning.py).

There is one machine in a process, `m`, because its step counter is on the fast path of every primitive.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from vmrace.harness import points
from vmrace.harness.errors import Abort, Diverged, HarnessError, ProgramError
from vmrace.harness.finding import Finding, Kind, Site
from vmrace.harness.machine import stuck
from vmrace.harness.machine.scheduler import Explorer, FairRun, Scheduler
from vmrace.harness.machine.task import (
    CPUS,
    CPUS_MAX,
    HALTED,
    IRQ_DEPTH_MAX,
    NEVER,
    PARK,
    PARKED,
    RUNNING,
    SLEEPING,
    TASKS_MAX,
    UNINTERRUPTIBLE,
    Cpu,
    Irq,
    Task,
    preemptible,
)
from vmrace.harness.machine.watched import Watched
from vmrace.harness.points import ALONE
from vmrace.harness.sanitizers import atomic_sleep

STEPS_MAX = 20_000          # points in a run before the schedule is made fair
FAIR_STEPS_MAX = 20_000     # further points under a fair schedule before the run is called a livelock


class Machine:
    """See the module. Fields on the fast path: `step`, `stop`, `current`, `waiters`."""

    __slots__ = (
        "aborting", "backend", "boot", "cpus", "current", "cut", "deadline", "enabled", "error", "exact",
        "explorer", "fair", "findings", "forced", "guard", "halted", "history", "image", "irqs_raised", "limit_hit", "looked", "main",
        "notes", "observer", "passed", "pending", "preempt", "recorder", "remaining", "scheduler", "settle", "spinning", "step",
        "steps_max", "stop", "switches", "tasks", "trail", "unwinding", "void", "waiters", "wanted",
    )

    def __init__(self) -> None:
        self.step = 0
        self.stop = NEVER
        self.waiters = 0                        # tasks that spin; they hear of every release
        self.current = self.boot = Task(-1, "boot")
        self.backend: Any = None
        self.main: Any = None
        self.image: Any = None
        self.tasks: list[Task] = []
        self.cpus = CPUS
        self.recorder: Callable[[int, Any, Any], None] | None = None
        self.trail: list[Any] | None = None     # of an explorer: points, and what was held at each
        self.spinning: Any = None               # of an explorer: finds tasks that only read
        self.observer: Any = None
        self.guard: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None    # what a raised handler is called through
        self.exact = False
        self.preempt = False
        self.steps_max = STEPS_MAX
        self.looked: set[int] = set()           # cpus on which an interrupt has asked for current
        self.passed: set[int] = set()           # tasks that have yielded while others still wait for their turn
        self._clear()

    def _clear(self) -> None:
        self.aborting = self.unwinding = False
        self.error: BaseException | None = None
        self.findings: list[Finding] = []
        self.notes: list[Finding] = []
        self.switches: list[int] = []
        self.forced: list[int] = []
        self.pending: list[Irq] = []
        self.irqs_raised = 0
        self.history: list[tuple[Any, ...]] = []
        self.looked.clear()
        self.enabled: list[int] | None = None   # what can be decided, while only a switch or a wait can change that
        self.passed.clear()
        self.waiters = 0
        self.step = 0
        self.limit_hit = False
        self.fair: FairRun | None = None
        self.explorer: Explorer | None = None
        self.halted = False                     # a cpu is dead
        self.cut = False                        # a task has yielded more often than an explorer looks at
        self.void = False                       # a task is parked that others would have let go on: not a run to its end

    def watched(self, recorder: Any = None, observer: Any = None) -> Watched:
        """`with m.watched(recorder):` every point of the runs in the block goes to `recorder`, every switch to `observer`; to nobody
        where there is none."""
        return Watched(self, recorder, observer)

    # ---- one run -------------------------------------------------------------------------------------------------

    def run(self, image: Any, tasks: Sequence[tuple[int, Sequence[tuple[Callable[..., Any], tuple[Any, ...]]]]],
            scheduler: Scheduler, backend: Any, cpus: int, preempt: bool = False,
            raised: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]] = (), settle: bool = True) -> None:
        """Run `tasks`, each (cpu, operations), to rest on the state `image` is in. What happened is left in this object.

        `raised` are interrupts pending from before (handler and arguments). With `settle` false the run is over when the tasks
        are done, and what they have raised may be left in `pending`.
        Raises HarnessError when an exception that no kernel can cause leaves a task.
        """
        assert 1 <= cpus <= CPUS_MAX, cpus
        assert 0 < len(tasks) <= TASKS_MAX, len(tasks)
        self._clear()
        self.image = image
        self.backend = backend
        self.scheduler = scheduler
        self.explorer = scheduler if getattr(scheduler, "explores", False) else None  # type: ignore[assignment]
        self.preempt = bool(preempt)
        self.deadline = self.steps_max
        self.settle = settle
        for handler, args in raised:
            self.pending.append(Irq(self.irqs_raised, handler, args))
            self.irqs_raised += 1
        self._assign(tasks, cpus)
        self.wanted = NEVER
        self.trail = self.spinning = None
        self.stop = 0 if self.recorder is not None else NEVER
        scheduler.begin(self)
        self.main = backend.main()
        boot = self.current = self.boot
        boot.stack = self.main
        try:  # noqa: SIM105                    # contextlib.suppress takes half a microsecond
            self.dispatch(boot)
        except Abort:                           # an explorer may see that there is nothing left to run
            pass
        if not self.aborting:
            finish = getattr(scheduler, "finish", None)     # a schedule that must have been followed to its end says if it was not
            if finish is not None:
                finish(self)
        else:
            at_fault = self.current.name
            self._unwind()
            if isinstance(self.error, Diverged):
                raise self.error
            if self.error is not None:
                raise HarnessError(f"{type(self.error).__name__} in {at_fault}: {self.error}") from self.error

    def _assign(self, tasks: Sequence[tuple[int, Any]], cpus: int) -> None:
        kernel_tasks = self.image.tasks
        in_use = self.cpus = CPUS[:cpus]
        for cpu in in_use:
            cpu.running = cpu.idle = None
            cpu.shared = False
            cpu.ready = []
        mine = self.tasks = []
        pool, root = self.backend.pool, self.image.lockdep.root
        number = 0
        for where, operations in tasks:
            task = pool.get(number) or self._new_task(number, f"task{number}", self._body)
            task.reset()
            task.operations = operations
            task.task = kernel_tasks[number]
            task.held = root
            task.cpu = cpu = in_use[where]
            if cpu.ready:
                cpu.shared = True
            cpu.ready.append(task)
            mine.append(task)
            number += 1
        for unused in range(cpus - 1, -1, -1):
            if -2 - unused in pool:
                break
            self._new_task(-2 - unused, f"idle{unused}", self._idle_body)       # here, where the stack is not deep
        self.remaining = number

    def _new_task(self, number: int, name: str, body: Callable[[Task], None]) -> Task:
        task = self.backend.pool[number] = Task(number, name)
        task.stack = self.backend.stack(body, task)
        return task

    def idle_of(self, cpu: Cpu) -> Task:
        """The idle loop of `cpu`: only ever takes interrupts."""
        if cpu.idle is None:
            cpu.idle = self._idle_task(cpu)
        return cpu.idle

    def _idle_task(self, cpu: Cpu) -> Task:
        number = -2 - cpu.number
        task = self.backend.pool[number]
        task.reset()
        task.cpu = cpu
        task.task = self.image.tasks[-1 - cpu.number]
        task.held = self.image.lockdep.root
        return task

    def _unwind(self) -> None:
        """Throw Abort through every stack that is still in the middle of something.

        The `finally` and `with` of a program run then, but the run is over: each primitive that they call raises Abort at once,
        and nobody watches.
        """
        explorer, recorder, hook, step = self.explorer, self.recorder, sys.unraisablehook, self.step
        self.explorer = self.recorder = None
        self.unwinding, self.stop = True, 0
        sys.unraisablehook = _ignore_abort(hook)    # of a generator that is closed as the last frame that knew it is gone
        try:
            for task in [*self.tasks, *(cpu.idle for cpu in self.cpus if cpu.idle is not None)]:
                if task.started and (not task.finished or task.waiting is HALTED):
                    self.current = task
                    task.waiting_frame = None       # it would keep what its frames know until the next run
                    task.stack.switch()
        finally:
            self.explorer, self.recorder, sys.unraisablehook, self.step = explorer, recorder, hook, step
            self.unwinding, self.stop = False, NEVER

    def _end(self, error: BaseException | None = None) -> NoReturn:
        """End this run. The running task stays where it is until all stacks are unwound, so that none of its code runs before."""
        if error is not None and not isinstance(error, Abort):
            self.error = self.error or error
        self.aborting = True
        me = self.current
        if me.stack is not None and me.stack is not self.main and (not me.finished or me.waiting is HALTED):
            self.main.switch()
        raise Abort from None

    def _body(self, task: Task) -> None:
        """The life of a pooled task: one run after another."""
        root = None
        while True:
            try:
                if task.waiting is HALTED:
                    self.dispatch(task)             # until the next run
                    continue
                root = task.held
                for number, (function, args) in enumerate(task.operations):
                    task.op = number
                    if self.recorder is not None:
                        self.recorder(points.LOCAL, task, f"op {task.op}")
                    function(*args)
                    if task.held is not root:
                        self.image.lockdep.returned_holding(self, task)
                if self.aborting:                   # a program of plain functions may have caught it
                    raise Abort
                if self.recorder is not None:
                    self.recorder(points.LOCAL, task, "end")
                task.finished = True
                self.remaining -= 1
                cpu = task.cpu
                cpu.running = None
                if cpu.shared:
                    self.enabled = None
                    self._comes_or_goes(task)
                elif self.enabled is not None:
                    self.enabled = self.enabled.copy()
                    self.enabled.remove(task.id)
                self.dispatch(task)
                continue
            except Abort:
                pass
            except BaseException as error:
                self._fault(error)
            self._leave(task)                       # with nothing left of its frames, nor of what they alone knew

    def _idle_body(self, task: Task) -> None:
        while True:
            try:
                if task.waiting is HALTED:
                    self.dispatch(task)
                    continue
                irq, task.inject = task.inject, None
                if irq is not None:                 # a new stack: later ones are taken where it waits, in dispatch
                    self._interrupt(task, irq)
                self.dispatch(task)
                continue
            except Abort:
                pass
            except BaseException as error:
                self._fault(error)
            self._leave(task)

    def _leave(self, task: Task) -> None:
        if self.explorer is not None and not self.aborting:
            self._halt(task)                        # an oops kills the cpu it is on
            return
        task.finished = True
        self.main.switch()

    def _halt(self, task: Task) -> None:
        """Whatever `task` had, it keeps; its cpu does nothing any more, and the others go on."""
        self.halted = task.finished = True
        task.waiting = HALTED
        task.cpu.running = task
        task.irq_depth = IRQ_DEPTH_MAX              # takes no interrupt either
        self.enabled = None

    def _fault(self, error: BaseException) -> None:
        """An exception left kernel source: an oops if it went through a null pointer, else it is our error."""
        if self.unwinding and not isinstance(error, KeyboardInterrupt | ProgramError):
            return                                  # out of a `finally`, in a run that is over
        sites = self.sites_of_traceback(error)
        if isinstance(error, AttributeError | TypeError) and sites and is_null_dereference(error):
            self._add(Finding(Kind.OOPS.title(f"NULL pointer dereference in {sites[-1].function}"), "bug", detail=str(error)), sites)
            self.aborting = self.explorer is None
        else:
            self.error = self.error or error
            self.aborting = True

    # ---- decisions -----------------------------------------------------------------------------------------------

    def want(self, step: int) -> None:
        """The scheduler wants to be asked at the first point whose step is at least `step`."""
        if self.recorder is not None or self.trail is not None:
            self.wanted = step
        else:
            self.stop = step if step < self.deadline else self.deadline

    def follow(self, trail: list[Any] | None) -> None:
        """From now on every point goes on `trail`, with what the running task holds there, until the step that is wanted or
        a point at which it matters what others do; None: no more of that."""
        self.trail = trail
        self.wanted = NEVER
        self.stop = 0 if trail is not None or self.recorder is not None else self.deadline

    def sched(self, kind: int, obj: Any, arg: Any = None) -> None:
        """The slow path of a point: called before the access it stands for."""
        if self.aborting:                           # a `finally` calls a primitive, in a run that is over
            raise Abort
        me = self.current
        me.at = at = (kind, obj, arg)
        if self.recorder is not None:
            self.recorder(kind, obj, arg)
        trail = self.trail
        if trail is not None:
            if self.spinning is not None and (kind == points.READ or me.id in self.spinning.of):
                reads = self.spinning.completes_an_iteration(self, me, kind, obj, arg)
                if reads is not None:
                    me.reads = reads
                    self._park(me)
            if self.step < self.wanted and ALONE[kind] and self.step < self.deadline:
                trail.append(at)
                trail.append(me.held)
                return
        elif self.recorder is not None and self.step < self.wanted and self.step < self.deadline:
            return
        if self.step >= self.deadline:
            self._out_of_steps()
        try:
            decision = self.scheduler.at(self)
        except BaseException as error:              # the program, which may catch what it likes, must not see it
            self._end(error)
        if decision == PARK:
            self._park(me)
        if decision != me.id:
            self.switches.append(self.step)
            self.switches.append(decision)
            if self.observer is not None:
                self.observer(self, me)
            self._enact(me, decision)

    def _park(self, me: Task) -> None:
        """`me` runs no more, and the point that it is at was none. It keeps its cpu, as who spins does."""
        self.switches += (self.step, PARK)
        self.step -= 1
        me.waiting = PARKED
        me.waiting_frame = sys._getframe(2)
        self.waiters += 1
        self.enabled = None
        while True:                             # interrupts may come over it
            self.dispatch(me)

    def choices(self) -> list[int]:
        """Every decision that can be taken now, tasks first, by number."""
        if self.enabled is not None:
            return self.enabled
        out: list[int] = []
        for cpu in self.cpus:
            running = cpu.running
            if running is not None:
                waiting = running.waiting
                if waiting is None or waiting.available(running):
                    out.append(running.id)
                if not self.preempt or not preemptible(running):
                    continue
            for task in cpu.ready:
                waiting = task.waiting
                if waiting is None or waiting.available(task):
                    out.append(task.id)
        if len(out) > 1:
            out.sort()
        if self.pending:
            return out + self._deliverable()
        if not self.waiters and not self.preempt:       # with it, taking a lock or turning interrupts off changes the answer
            self.enabled = out
        return out

    def _deliverable(self) -> list[int]:
        base, count = len(self.tasks), len(self.cpus)
        out = []
        for irq in self.pending:
            for cpu in self.cpus:
                victim = cpu.running
                if victim is None or (not victim.held.irqs_off and victim.irq_depth < IRQ_DEPTH_MAX):
                    out.append(base + irq.number * count + cpu.number)
        return out

    def dispatch(self, me: Task) -> None:
        """`me` cannot go on: somebody else runs until it is chosen again."""
        if self.aborting:
            raise Abort
        choices = self.choices() if self.remaining or self.settle else []
        if len(choices) > 1 or (choices and self.explorer is not None):
            decision = self._ask(choices)
            if len(choices) > 1:
                self.forced.append(decision)
        elif choices:
            decision = choices[0]
        else:
            self._nobody(me)
            return
        self._enact(me, decision)

    def _ask(self, choices: Sequence[int]) -> int:
        try:
            return self.scheduler.forced(self, choices)
        except BaseException as error:
            self._end(error)

    def _enact(self, me: Task, decision: int) -> None:
        base = len(self.tasks)
        if decision < 0:
            nxt = self.cpus[-2 - decision].idle
            assert nxt is not None, decision
        elif decision < base:
            nxt = self.tasks[decision]
            cpu = nxt.cpu
            if cpu.running is not nxt:
                if cpu.running is not None:
                    cpu.ready.append(cpu.running)       # preempt=True only: it could have gone on
                cpu.ready.remove(nxt)
                cpu.running = nxt
                if cpu.shared:
                    self.enabled = None         # the others there must wait now
        else:
            number, where = divmod(decision - base, len(self.cpus))
            raised = next(irq for irq in self.pending if irq.number == number)
            self.pending.remove(raised)
            cpu = self.cpus[where]
            if cpu.running is None:
                cpu.running = self.idle_of(cpu)
                self.enabled = None
            nxt = cpu.running
            nxt.inject = raised
        if nxt is not me:
            self.current = nxt
            nxt.started = True
            nxt.stack.switch()
            if self.aborting:
                if me.id == -1:
                    return
                raise Abort
        irq = me.inject
        if irq is not None:
            me.inject = None
            self._interrupt(me, irq)

    def _interrupt(self, me: Task, irq: Irq) -> None:
        """Run a handler nested on the stack of `me`, with interrupts on, as 2.4 does for an ordinary handler."""
        held, waiting, waiting_frame = me.held, me.waiting, me.waiting_frame
        root = self.image.lockdep.irq_root
        me.held, me.waiting, me.waiting_frame = root, None, None
        if waiting is not None:
            self.waiters -= 1
        self.enabled = None
        me.irq_depth += 1
        me.irqs.append(irq.number)
        me.below.append(held)
        if self.recorder is not None:
            self.recorder(points.IRQ, irq, "enter")
        resumes = me.resumes if me.at is not None and me.at[0] == points.IRQ else me.at
        irq.handler(*irq.args)
        if me.held is not root:
            self.image.lockdep.returned_holding(self, me)
        me.resumes = resumes
        if self.recorder is not None:
            self.recorder(points.IRQ, irq, "leave")
        me.irq_depth -= 1
        me.irqs.pop()
        me.below.pop()
        me.held, me.waiting, me.waiting_frame = held, waiting, waiting_frame
        if waiting is not None:
            self.waiters += 1
        self.enabled = None
        if me.id < -1 and not me.irq_depth:
            me.cpu.running = None               # back to the idle loop
            return
        self.step += 1                          # a point: somebody else may run before what was interrupted goes on
        if self.step >= self.stop and (waiting is None or self.choices()):      # who waits for ever finds that out by itself
            self.sched(points.IRQ, irq, "left")

    def _nobody(self, me: Task) -> None:
        """No decision is left: the run is at rest, or it is stuck."""
        if self.remaining or any(cpu.running is not None for cpu in self.cpus):     # an interrupt can hang after the last task
            if self.explorer is not None:
                self.explorer.ended(self)
            parked = [task for task in (*self.tasks, *(cpu.idle for cpu in self.cpus)) if task is not None and task.waiting is PARKED]
            if parked and not (self.findings or self._reads_nothing_new(parked)):
                self.void = True
            if not self.halted and not self.cut and not self.void:
                stuck.stuck(self)
            self.aborting = True
        if me.stack is not self.main:
            self.main.switch()
            if self.aborting:                       # its stack is unwound now
                raise Abort

    def _reads_nothing_new(self, parked: list[Task]) -> bool:
        """True if all that these tasks read is as they read it: nobody lets them go on."""
        return all(not task.reads or task.reads.unchanged() for task in parked)

    def _out_of_steps(self) -> None:
        if self.fair is None:
            self.scheduler = self.fair = FairRun(self.steps_max)
            self.deadline = self.steps_max + FAIR_STEPS_MAX
        else:
            self.limit_hit = True
            stuck.endless(self)
            self.abort()

    # ---- what primitives ask of the machine ----------------------------------------------------------------------

    def spin(self, lock: Any) -> None:
        """Wait, on the cpu, until `lock` can be taken."""
        me = self.current
        if lock.owner is me:
            self.image.lockdep.recursion(self, lock)
        while not lock.available(me):
            me.waiting = lock
            me.waiting_frame = sys._getframe(1)
            self.waiters += 1
            self.enabled = None
            self.dispatch(me)
            self.waiters -= 1
            me.waiting = me.waiting_frame = None
            self.enabled = None

    def released(self) -> None:
        """A lock that somebody may be spinning for was given back."""
        self.scheduler.wake(self)

    def sleep(self, lock: Any = None) -> None:
        """Take the running task off its cpu until `make_ready`: it sleeps for `lock`, or until it is woken.

        One that sleeps for a lock while it stands on a wait queue can be woken through that, too: so its caller looks again.
        """
        me = self.current
        me.wants = lock
        self._may_leave_cpu(me)
        if lock is not None:
            self._sets_state(me, UNINTERRUPTIBLE)
        me.waiting = SLEEPING
        me.waiting_frame = sys._getframe(1)
        me.cpu.running = None
        self.enabled = None
        self._comes_or_goes(me)
        self.dispatch(me)
        if lock is not None:
            self._sets_state(me, RUNNING)

    def _sets_state(self, me: Task, state: int) -> None:
        """Within the point at which it takes a lock; who wakes it through a wait queue can tell."""
        if me.queued and self.explorer is not None:
            self.explorer.touched(self, me, points.WRITE)
        me.state = state

    def _comes_or_goes(self, task: Task) -> None:
        """Another task of its cpu may see that, by need_resched(): an explorer must know of it."""
        if self.explorer is not None and task.cpu.shared:
            self.explorer.touched(self, task.cpu, points.END)

    def _may_leave_cpu(self, me: Task) -> None:
        if me.irq_depth or me.held.spinning or me.held.irqs_off:
            atomic_sleep.slept(self)

    def make_ready(self, task: Task) -> None:
        """A sleeping task can run again when its cpu is free."""
        assert task.waiting is SLEEPING, task
        task.waiting = task.waiting_frame = None
        task.cpu.ready.append(task)
        self.enabled = None
        self._comes_or_goes(task)
        self.scheduler.wake(self)

    def give_way(self) -> None:
        """Let any other task run: a free choice that is not a preemption."""
        me = self.current
        self._may_leave_cpu(me)
        if me.cpu.ready:
            me.cpu.running = None
            me.cpu.ready.append(me)
            self.enabled = None
        self.dispatch(me)

    def yielded(self) -> None:
        """yield(): anybody else who can run does, so that a loop that waits for another task gives it the time.

        It goes round: those who only yield do not pass the time to each other while somebody else could have it.
        """
        me = self.current
        self._may_leave_cpu(me)
        if self.explorer is not None and me.yields == self.explorer.yields_max:
            self.cut = True
            me.cpu.running = None
            me.waiting = HALTED
            self.enabled = None
            self._comes_or_goes(me)
        elif me.cpu.ready:
            me.cpu.running = None
            me.cpu.ready.append(me)
            self.enabled = None
        me.yields += 1
        if self.explorer is not None:               # it is explored as if it did nothing, so often
            self.dispatch(me)
            return
        others = [choice for choice in self.choices() if choice != me.id]
        if not others:
            self.dispatch(me)
            return
        self.passed.add(me.id)
        fresh = [choice for choice in others if choice not in self.passed]
        if fresh:
            others = fresh
        else:                                       # all have yielded: a new round
            self.passed = {me.id}
        decision = others[0]
        if len(others) > 1:
            decision = self._ask(others)
            self.forced.append(decision)
        self._enact(me, decision)

    def raise_irq(self, handler: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if self.unwinding:
            raise Abort
        if self.guard is not None:
            handler = self.guard(handler)
        self.pending.append(Irq(self.irqs_raised, handler, args))
        self.irqs_raised += 1
        self.enabled = None
        self.scheduler.wake(self)

    # ---- findings ------------------------------------------------------------------------------------------------

    def report(self, title: str, sanitizer: str, detail: str = "") -> NoReturn:
        """Something is wrong and the run ends here."""
        self._add(Finding(title, sanitizer, detail=detail), self.sites())
        self.abort()

    def note(self, title: str, sanitizer: str, detail: str = "") -> None:
        """An invariant is broken; the run goes on, to show what becomes of it."""
        finding = Finding(title, sanitizer, detail=detail, breaks=True)
        if all(known.title != title for known in self.notes):
            self._add(finding, self.sites())

    def _add(self, finding: Finding, sites: tuple[Site, ...]) -> None:
        if self.unwinding:                          # a `finally` complains, in a run that is over
            raise Abort
        finding.step = self.step
        finding.task = self.current.name
        finding.cpu = self.current.cpu.number if self.current.cpu else 0
        finding.stack = sites
        (self.notes if finding.breaks else self.findings).append(finding)

    def abort(self) -> NoReturn:
        """End the run, or, under an explorer, only halt this cpu: the running task stays where it is until the run is over."""
        if self.explorer is not None and not self.aborting:
            self._halt(self.current)
            self.dispatch(self.current)
        self._end()

    def sites(self, frame: Any = None) -> tuple[Site, ...]:
        """The kernel functions on the current stack, outermost first."""
        return tuple(self._sites(frame or sys._getframe(1)))[::-1]

    def _sites(self, frame: Any) -> Iterator[Site]:
        """The same from within."""
        origin = self.image.origin
        while frame is not None:
            known = origin.get(frame.f_code)
            if known is not None:
                yield Site(known.function, known.path, frame.f_lineno, known.kernel_file)
            frame = frame.f_back

    def where(self, frame: Any = None) -> str:
        """The innermost kernel function that is no accessor: the F of a title."""
        accessor = None
        for site in self._sites(frame or sys._getframe(1)):
            if not site.kernel_file.startswith("include/"):
                return site.function
            accessor = accessor or site.function
        return accessor or "user_space"

    def sites_of_traceback(self, error: BaseException) -> tuple[Site, ...]:
        """The kernel functions that an exception came through, outermost first."""
        out = []
        trace = error.__traceback__
        while trace is not None:
            known = self.image.origin.get(trace.tb_frame.f_code)
            if known is not None:
                out.append(Site(known.function, known.path, trace.tb_lineno, known.kernel_file))
            trace = trace.tb_next
        return tuple(out)


def _ignore_abort(hook: Callable[[Any], Any]) -> Callable[[Any], None]:
    """sys.unraisablehook that says nothing of Abort."""
    def ignore(unraisable: Any) -> None:
        if not issubclass(unraisable.exc_type, Abort):
            hook(unraisable)
    return ignore


def is_null_dereference(error: BaseException) -> bool:
    return "'NoneType' object" in str(error)        # `obj` of an AttributeError is None, too, where nobody has said which it was


m = Machine()
