# SPDX-License-Identifier: MIT
"""The executor: the only code that runs programs of a family. It takes a program and a scheduler, and returns an outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vmrace.fuzz.run.rest import Call, QuietMoments, at_boot
from vmrace.harness import stop
from vmrace.harness.backends import BACKENDS
from vmrace.harness.finding import Finding, Found, Kind, kind_of
from vmrace.harness.link.image import KERNEL_CPUS, KERNEL_TASKS, Image
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.machine.sites import outermost
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.replay import Replay
from vmrace.harness.watchers import race
from vmrace.harness.watchers.trace import Event, Recorder
from vmrace.variants.family import Family
from vmrace.variants.operations import MMS, OPERATIONS
from vmrace.variants.program import Op, Program, TaskProgram
from vmrace.variants.user_model import JUDGED, judge, not_judged


class Lacks(Exception):
    """An error that names the operations of a program which the variant does not have."""


class SetupFailed(Exception):
    """An error for a setup that fails when it runs alone. `finding` is a bug without a race, or an error of vmrace."""

    def __init__(self, finding: Finding):
        super().__init__(finding)
        self.finding = finding

    def __str__(self) -> str:
        return f"the setup alone ends in: {self.finding.title}"


@dataclass(slots=True)
class Outcome(Found):
    """One run: its findings and its decisions.

    `switches` holds each preemption as two numbers, the step and the task that runs next; `forced` holds the task chosen each time the
    running one could not go on. `steps` counts the points that were passed. `limit_hit`: the run was cut off at the limit of steps.
    """

    switches: list[int]
    forced: list[int]
    steps: int
    limit_hit: bool = False

    @property
    def preemptions(self) -> int:
        return len(self.switches) // 2


@dataclass
class Prepared:
    """A program bound to an image.

    `state` is the image's state after the setup. `tasks` holds for each task its cpu and its calls. `history` holds the loads and
    stores of the setup, and `raised` the interrupts that its I/O still has to raise.
    """

    program: Program
    image: Image
    state: Any
    tasks: list[tuple[int, list[Call]]]
    cpus: int
    history: list[tuple[Any, ...]]
    raised: list[Call]


@dataclass
class Traced:
    """A run with every event recorded. `digest` identifies the trace; `tasks` holds the name of each task."""

    outcome: Outcome
    events: list[Event]
    digest: str
    tasks: list[str] = field(default_factory=list)


class Executor:
    """A runner of programs on one variant. It links one image for machines with several cpus and one for a single cpu.

    A `checked` image also tests each guarded field for its lock, and knows the lock orders of the current run only. It is slower, but
    has the same points, so the same decisions give the same run. It also looks for races, unless `only` asks for another title.
    """

    def __init__(self, family: Family, variant: str, backend: str = "greenlets", checked: bool = False, probes: bool = False):
        self.family = family
        self.variant = variant
        self.checked = checked
        self.probes = probes
        self.backend = BACKENDS[backend]()
        self.drain_after = False            # also look for leaks after each clean run: needed for the titles of leaks only
        self.races = checked                # also look for unsynchronised accesses: it costs time at every point
        self.quiet = checked                # also judge the invariants between operations
        self.left_open: Counter[str] = Counter()    # what the user-visible model did not judge -> the runs that had it
        self._images: dict[str, Image] = {}

    def only(self, title: str) -> None:
        """From now on run the costly checks only if `title` is one of theirs: for leaks, for races, and between operations."""
        self.drain_after = kind_of(title) is Kind.LEAK
        self.races = kind_of(title) is Kind.RACE
        self.quiet = kind_of(title) is Kind.BETWEEN

    def ready(self, program: Program, title: str) -> Prepared:
        """Prepare a program for runs that look for `title`. Raises Lacks if an operation is missing, SetupFailed as `prepare` does."""
        lacks = self.lacks(program)
        if lacks:
            raise Lacks(f"lacks {', '.join(lacks)}")
        self.only(title)
        return self.prepare(program)

    def image(self, cpus: int) -> Image:
        """Return the image for a machine with `cpus` cpus, linked on the first call."""
        core = "up" if cpus == 1 else "checked" if self.checked else "fast"
        if core not in self._images:
            self._images[core] = self.family.link(self.variant, core, self.probes)
        return self._images[core]

    def operations(self) -> tuple[str, ...]:
        """List the operations of the variant, in the order of the shared interface."""
        return self.family.operations(self.image(2), self.variant)

    def lacks(self, program: Program) -> list[str]:
        """List the operations of a program that this variant does not have, sorted by name."""
        return sorted(program.operations() - set(self.operations()))

    def prepare(self, program: Program) -> Prepared:
        """Run the setup alone and keep the state after it; its I/O may still be in flight. Raises SetupFailed if it has a finding."""
        stop.look()
        assert len(program.tasks) + program.cpus <= KERNEL_TASKS + KERNEL_CPUS, program     # else two would share a task_struct
        image = self.image(program.cpus)
        image.load(image.boot)
        image.load_volatile(image.at_rest)
        image.lockdep.set_exact(self.checked or program.cpus == 1)
        threads = _threads(program)
        setup: list[Call] = [(image["boot"], (threads,))]
        setup += [_call(image, op, value) for value, op in enumerate(program.setup, 1)]
        setup.append((image["start"], ()))
        m.run(image, [(0, setup)], NoPreempt(), self.backend, program.cpus, settle=False)
        raised = [(irq.handler, irq.args) for irq in m.pending]
        if m.findings or m.notes:
            finding = (m.findings or m.notes)[0]
            if m.aborting:
                image.load_volatile(image.at_rest)
            raise SetupFailed(finding)
        before = m.step + 1         # shifts the setup's accesses to steps below 0, before those of the tasks
        history = [(*entry[:4], entry[4] - before, entry[5] - before) for entry in m.history]
        value = len(program.setup) + 1
        tasks = []
        for number, task in enumerate(program.tasks):
            calls = []
            for op in task.ops:
                calls.append(_call(image, op, value))
                value += 1
            calls.append((image["leave"], (number, _address_spaces(task))))
            tasks.append((task.cpu, calls))
        return Prepared(program, image, image.save(), tasks, program.cpus, history, raised)

    def run(self, prepared: Prepared, scheduler: Scheduler) -> Outcome:
        """Run a prepared program once and judge it. The outcome has the decisions, which replay the run."""
        stop.look()
        image = prepared.image
        image.load(prepared.state)
        if image.lockdep.exact:
            image.lockdep.set_exact(True)               # forget the lock orders of other runs
        recorder = m.recorder
        watch = self._watch_races(prepared)
        tasks = QuietMoments(self.family, image).tasks(prepared.tasks) if self.quiet else prepared.tasks
        try:
            m.run(image, tasks, scheduler, self.backend, prepared.cpus, prepared.program.preempt, prepared.raised)
        except BaseException:
            image.load_volatile(image.at_rest)          # the run stopped in the middle: locks are held, tasks are on wait queues
            raise
        finally:
            m.recorder = recorder
        outcome = self._judge(prepared)
        if watch is not None and watch.findings:
            outcome.findings = outcome.findings + watch.findings        # last: a race is a finding without a visible failure
        if self.drain_after:
            outcome.findings = outcome.findings + self.leaks(prepared, outcome)
        return outcome

    def _watch_races(self, prepared: Prepared) -> race.Watch | None:
        """Have every point of the next run checked for races, beside any recorder already set. None if races are not looked for."""
        if not self.races or prepared.cpus == 1:
            return None
        watch = race.Watch(m, prepared.image, prepared.cpus)
        if isinstance(m.recorder, Recorder):
            m.recorder.also = watch
        else:
            m.recorder = watch
        return watch

    def _judge(self, prepared: Prepared) -> Outcome:
        """Judge the run just made: the machine's findings, the family's invariants at rest, and the user-visible model."""
        image = prepared.image
        outcome = Outcome(m.findings, m.switches, m.forced, m.step, m.limit_hit)
        if m.aborting:
            image.load_volatile(image.at_rest)
        else:
            at_boot(m)
            about: list[Any]
            for title, detail, *about in self.family.check(image):
                outcome.findings.append(Finding(title, "invariant", outcome.steps, detail=detail, about=_name(about)))
            if any(entry[0] in JUDGED for entry in m.history):
                history = prepared.history + m.history
                for title, detail in judge(history):
                    sanitizer = "user" if kind_of(title) is Kind.USER else "data"
                    outcome.findings.append(Finding(title, sanitizer, outcome.steps, detail=detail))
                if any(entry[0] == "unknown" for entry in history):
                    self.left_open.update(not_judged(history))
        if not outcome.findings:
            outcome.findings = m.notes
        return outcome

    def leaks(self, prepared: Prepared, outcome: Outcome) -> list[Finding]:
        """Look for leaks after a run that ended clean or with races alone: free everything, reclaim until no page moves, and report
        the pages that are left."""
        if m.aborting or any(finding.sanitizer != race.NAME for finding in outcome.findings):
            return []
        image = prepared.image
        drain = [(image["drain"], ())]
        with m.watched():
            m.run(image, [(0, drain)], NoPreempt(), self.backend, prepared.cpus)
        found = m.findings              # without m.notes: the drain causes those itself
        if m.aborting:
            image.load_volatile(image.at_rest)
            return found
        at_boot(m)
        about: list[Any]
        for title, detail, *about in self.family.drained(image):
            found.append(Finding(title, "leak", outcome.steps, detail=detail, about=_name(about)))
        return found

    def replay(self, prepared: Prepared, switches: Sequence[int], forced: Sequence[int], lenient: bool = False) -> Outcome:
        """Run the decisions of another run again. With `lenient`, decisions that no longer fit are skipped."""
        return self.run(prepared, Replay(switches, forced, lenient))

    def trace(self, prepared: Prepared, scheduler: Scheduler, watch: bool = False, stacks: bool = True) -> Traced:
        """Run a prepared program once and record every event. With `watch`, each event also has a description of the pages; without
        `stacks`, it has no stack, and the run takes a third of the time."""
        image = prepared.image
        describe = self.family.describe
        recorder = Recorder(m, (lambda: describe(image)) if watch else None, stacks)
        with m.watched(recorder, recorder):
            outcome = self.run(prepared, scheduler)
        recorder.finish()
        return Traced(outcome, recorder.events, recorder.digest(), prepared.program.keys())


def _name(about: Sequence[object]) -> str:
    """Return the name of the object that a check at rest is about, if it names one."""
    return outermost(about[0]) if about else ""


def _threads(program: Program) -> tuple[int, ...]:
    """Count the tasks that name each address space, at least 1: the number of threads of its process."""
    names = [_address_spaces(task) for task in program.tasks]
    return tuple(max(1, sum(number in mine for mine in names)) for number in range(MMS))


def _address_spaces(task: TaskProgram) -> tuple[int, ...]:
    """List the numbers of the address spaces that a task names, ascending."""
    return tuple(sorted({int(operand[1]) for op in task.ops for operand in op.operands if operand[0] == "m"}))


def _call(image: Image, op: Op, value: int) -> Call:
    """Translate an operation to a call of its kernel function: its operands as numbers, then `value` if the operation writes."""
    args: list[int] = []
    for operand in op.operands:
        args.extend(int(part) for part in operand.lstrip("mfk").split("."))
    if OPERATIONS[op.name].writes:
        args.append(value)
    return image[f"op_{op.name}"], tuple(args)
