# SPDX-License-Identifier: MIT
"""The machine: cpus, tasks and interrupts over one image, one decision at a time.

A run is a pure function of (image, tasks, decisions). Kernel primitives count steps and call the machine only at the step at which
the scheduler asked to be called (`stop`), or when the running task cannot go on. Both run on the stack of the task concerned;
there is no hub to switch through.

A decision is an int. From 0 to `len(tasks) - 1`: that task runs next. From there on `len(tasks) + number * cpus + cpu`: interrupt
`number`, in the order of raising, hits that cpu. Negative, `-2 - cpu`: an idle cpu goes on with the interrupt it is in. Decisions
are kept in two lists. `switches` has (step, decision), taken at a point although the running task could have gone on. `forced` has
the others in order, one for each time that the running task could not go on and there was a choice. PARK among the switches says
that the running task waits there by reading, until the end of this run (see explore/spinning.py).

There is one machine in a process, `m`, because its step counter is on the fast path of every primitive.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from vmrace.harness import points
from vmrace.harness.errors import Abort
from vmrace.harness.finding import Finding, Site
from vmrace.harness.machine import interrupts, run_log, sites, stacks, stuck, watched
from vmrace.harness.machine.scheduler import Explorer, FairRun, Scheduler
from vmrace.harness.machine.stacks import Operation
from vmrace.harness.machine.task import (
    CPUS,
    CPUS_MAX,
    NEVER,
    PARK,
    TASKS_MAX,
    Irq,
    Task,
    preemptible,
)
from vmrace.harness.machine.watched import Observer, Watched
from vmrace.harness.points import ALONE

if TYPE_CHECKING:
    from vmrace.harness.backends import Backend, Stack
    from vmrace.harness.link.image import Image

STEPS_MAX = 20_000          # points in a run before the schedule is made fair (stuck.py)


class Machine:
    """The machine of this process (see above). Fields on the fast path of primitives: `step`, `stop`, `current`, `waiters`."""

    __slots__ = (
        "aborting", "backend", "boot", "broken", "cpus", "current", "cut", "deadline", "enabled", "error", "exact",
        "explorer", "fair", "findings", "forced", "guard", "halted", "history", "image", "irqs_raised", "limit_hit", "log", "looked",
        "main",
        "notes", "observer", "passed", "pending", "preempt", "recorder", "remaining", "run_log", "scheduler", "settle", "spinning", "step",
        "steps_max", "stop", "switches", "tasks", "trail", "unasked", "unwinding", "void", "waiters", "wanted",
    )

    def __init__(self) -> None:
        self.step = 0
        self.stop = NEVER
        self.waiters = 0                        # the number of tasks that spin
        self.current = self.boot = Task(-1, "boot")
        self.backend: Backend = None  # type: ignore[assignment]    # until the first run
        self.broken = False                     # the last run has not come to its end, and its stacks may be anywhere
        self.remaining = 0                      # tasks that are not done
        self.main: Stack = None  # type: ignore[assignment]
        self.image: Image = None  # type: ignore[assignment]
        self.tasks: list[Task] = []
        self.cpus = CPUS
        self.recorder: Callable[[int, Any, Any], None] | None = None
        self.unasked = 0                        # while there is a log, points before this step only go into it
        self.run_log: list[Any] | None = None   # see run_log.py
        self.log: list[Any] | None = None       # its last part
        self.trail: list[Any] | None = None     # for an explorer: points, each with the locks that the task held there
        self.spinning: Any = None               # for an explorer: finds tasks that only read
        self.observer: Observer | None = None
        self.guard: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None    # wraps the handler of each raised interrupt
        self.exact = False
        self.preempt = False
        self.steps_max = STEPS_MAX
        self.looked: set[int] = set()           # cpus on which an interrupt has asked for current
        self.passed: set[int] = set()           # tasks that have yielded while others wait for their turn
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
        self.enabled: list[int] | None = None   # the possible decisions, while only a switch or a wait can change them
        self.passed.clear()
        self.waiters = 0
        self.step = 0
        self.limit_hit = False
        self.fair: FairRun | None = None
        self.explorer: Explorer | None = None
        self.halted = False                     # a cpu is dead
        self.cut = False                        # a task has yielded more often than the explorer follows
        self.void = False                       # a task is parked that others would have let go on: the run does not count

    def watched(self, recorder: Any = None, observer: Observer | None = None) -> Watched:
        """Return a block with this recorder and this observer (see watched.py): `with m.watched(recorder):`."""
        return Watched(self, recorder, observer)

    # ---- one run -------------------------------------------------------------------------------------------------

    def run(self, image: Image, tasks: Sequence[tuple[int, Sequence[Operation]]],
            scheduler: Scheduler, backend: Backend, cpus: int, preempt: bool = False,
            raised: Sequence[Operation] = (), settle: bool = True, later: Container[int] = ()) -> None:
        """Run `tasks`, each (cpu, operations), to rest, from the present state of `image`. This object then has what happened.

        `raised` are interrupts that are pending already (handler and arguments). With `settle` false the run ends when the tasks
        are done, and interrupts may be left in `pending`. `later`: the numbers of tasks that begin only when a task spawns them.
        Raises HarnessError if an exception that no kernel can cause leaves a task.
        """
        assert 1 <= cpus <= CPUS_MAX, cpus
        assert 0 < len(tasks) <= TASKS_MAX, len(tasks)
        if self.broken:
            stacks.abandon(self.backend)
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
        stacks.assign(self, tasks, cpus, later)
        self.wanted = NEVER
        self.unasked = 0
        run_log.begin(self)
        self.trail = self.spinning = None
        self.stop = 0 if self.recorder is not None or self.log is not None else NEVER
        scheduler.begin(self)
        self.main = backend.main()
        boot = self.current = self.boot
        boot.stack = self.main
        self.broken = True
        try:
            self.dispatch(boot)
        except Abort:                           # an explorer may see that there is nothing left to run
            pass
        except BaseException as error:          # Ctrl-C, while no code of a task ran
            stacks.close(self, error)
        if not self.aborting:
            self.broken = False
            finish = getattr(scheduler, "finish", None)     # a schedule that must have been followed to its end says if it was not
            if finish is not None:
                finish(self)
        else:
            stacks.close(self)

    # ---- decisions -----------------------------------------------------------------------------------------------

    def want(self, step: int) -> None:
        """Ask the scheduler at the first point whose step is at least `step`."""
        if self.log is not None or self.recorder is not None or self.trail is not None:
            self.wanted = step
            self.unasked = min(step, self.deadline) if self.recorder is None else 0
        else:
            self.stop = step if step < self.deadline else self.deadline

    def follow(self, trail: list[Any] | None) -> None:
        """Append every point to `trail`, with the locks that the running task holds there, until the step that is wanted, or a point
        at which the actions of other tasks matter. None: stop that."""
        self.trail = trail
        self.wanted = NEVER
        self.stop = 0 if trail is not None or self.recorder is not None else self.deadline

    def sched(self, kind: int, obj: Any, arg: Any = None) -> None:
        """Pass a point on the slow path: before the access, the scheduler may let another task run."""
        log = self.log
        if log is not None and self.step < self.unasked:
            log.append((kind, obj, arg))
            return
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
                    stacks.park(self, me)
            if self.step < self.wanted and ALONE[kind] and self.step < self.deadline:
                trail.append(at)
                trail.append(me.held)
                return
        elif self.recorder is not None and self.step < self.wanted and self.step < self.deadline:
            if log is not None:
                log.append(at)
            return
        if self.step >= self.deadline:
            stuck.out_of_steps(self)
        try:
            decision = self.scheduler.at(self)
        except BaseException as error:              # the program, which may catch what it likes, must not see it
            stacks.end(self, error)
        if decision == PARK:
            stacks.park(self, me)
        if decision != me.id:
            self.switches += (self.step, decision)
            if self.observer is None:
                self.enact(me, decision)
            else:
                watched.preempt(self, me, decision)
        if self.log is not None:                    # after the switch: the access is made when the task goes on
            self.log.append(at)

    def choices(self) -> list[int]:
        """Return every decision that can be taken now, tasks first, by number."""
        if self.enabled is not None:
            return self.enabled
        out: list[int] = []
        for cpu in self.cpus:
            running = cpu.running
            if running is not None:
                lock = running.waiting
                if lock is None or lock.available(running):
                    out.append(running.id)
                if not self.preempt or not preemptible(running):
                    continue
            for task in cpu.ready:
                lock = task.waiting
                if lock is None or lock.available(task):
                    out.append(task.id)
        if len(out) > 1:
            out.sort()
        if self.pending:
            return [*out, *interrupts.deliverable(self)]
        if not self.waiters and not self.preempt:       # with it, taking a lock or turning interrupts off changes the answer
            self.enabled = out
        return out

    def dispatch(self, me: Task) -> None:
        """Let other tasks run until `me`, which cannot go on, is chosen again."""
        if self.aborting:
            raise Abort
        choices = self.choices() if self.remaining or self.settle else []
        if len(choices) > 1 or (choices and self.explorer is not None):
            decision = self.ask(choices)
            if len(choices) > 1:
                self.forced.append(decision)
        elif choices:
            decision = choices[0]
        else:
            stacks.nobody(self, me)
            return
        if self.observer is None:
            self.enact(me, decision)
        else:
            watched.give_up(self, me, decision)

    def ask(self, choices: Sequence[int]) -> int:
        try:
            return self.scheduler.forced(self, choices)
        except BaseException as error:
            stacks.end(self, error)

    def enact(self, me: Task, decision: int) -> None:
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
                cpu.running = stacks.idle_of(self, cpu)
                self.enabled = None
            nxt = cpu.running
            nxt.inject = raised
        if nxt is not me:
            self.current = nxt
            if self.log is not None:
                run_log.part(self, run_log.RUNS, nxt.id)
            nxt.started = True
            nxt.stack.switch()
            if self.aborting:
                if me.id == -1:
                    return
                raise Abort
        irq = me.inject
        if irq is not None:
            me.inject = None
            interrupts.handle(self, me, irq)

    # ---- findings ------------------------------------------------------------------------------------------------

    def report(self, title: str, sanitizer: str, detail: str = "", about: Any = None) -> NoReturn:
        """Report a finding, about an object, and end the run; under an explorer, halt this cpu only."""
        self.add_finding(Finding(title, sanitizer, detail=detail, about=sites.outermost(about)), sites.sites(self.image, sys._getframe(1)))
        self.abort()

    def note(self, title: str, sanitizer: str, detail: str = "", about: Any = None) -> None:
        """Report a broken invariant of an object. The run goes on, to show what follows from it."""
        finding = Finding(title, sanitizer, detail=detail, breaks=True, about=sites.outermost(about))
        if all(known.title != title for known in self.notes):
            self.add_finding(finding, sites.sites(self.image, sys._getframe(1)))

    def add_finding(self, finding: Finding, stack: tuple[Site, ...]) -> None:
        if self.unwinding:                          # a `finally` complains, in a run that is over
            raise Abort
        finding.step = self.step
        finding.task = self.current.name
        finding.cpu = self.current.cpu.number if self.current.cpu else 0
        finding.stack = stack
        (self.notes if finding.breaks else self.findings).append(finding)

    def abort(self) -> NoReturn:
        """End the run; under an explorer, halt this cpu only: the running task stays where it is until the run is over."""
        if self.explorer is not None and not self.aborting:
            stacks.halt(self, self.current)
            self.dispatch(self.current)
        stacks.end(self)

    def where(self, frame: FrameType | None = None, helpers: Sequence[str] = ()) -> str:
        """Return the kernel function that a title names: of that stack, or of the running one (see sites.where)."""
        return sites.where(self.image, frame or sys._getframe(1), helpers)


m = Machine()
