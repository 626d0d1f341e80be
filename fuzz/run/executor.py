# SPDX-License-Identifier: MIT
"""The one door through which programs run: program and scheduler in, outcome out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vmrace.harness import stop
from vmrace.harness.backends import BACKENDS
from vmrace.harness.errors import HarnessError
from vmrace.harness.finding import Finding, Found, Kind, kind_of
from vmrace.harness.link.image import Image
from vmrace.harness.machine.machine import Machine, m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.machine.task import Task
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.replay import Replay
from vmrace.harness.watchers import race
from vmrace.harness.watchers.trace import Event, Recorder
from vmrace.variants.family import Family
from vmrace.variants.operations import MMS, OPERATIONS
from vmrace.variants.program import Op, Program, TaskProgram
from vmrace.variants.user_model import judge


class Lacks(Exception):
    """The variant has not all operations of a program: which."""


class SetupFailed(Exception):
    """The setup, run alone, already fails: a bug with no race in it, or an error of ours. `finding` says which."""

    def __init__(self, finding: Finding):
        super().__init__(finding)
        self.finding = finding

    def __str__(self) -> str:
        return f"the setup alone ends in: {self.finding.title}"


@dataclass(slots=True)
class Outcome(Found):
    """One run: what was found, and its decisions."""

    switches: list[int]
    forced: list[int]
    steps: int
    limit_hit: bool = False

    @property
    def preemptions(self) -> int:
        return len(self.switches) // 2


@dataclass
class Prepared:
    """A program bound to an image: the state after its setup, what each task calls, and the interrupts still to come from the
    I/O that the setup has started."""

    program: Program
    image: Image
    state: Any
    tasks: list[tuple[int, list[tuple[Any, tuple[Any, ...]]]]]
    cpus: int
    history: list[tuple[Any, ...]]
    raised: list[tuple[Any, tuple[Any, ...]]]


@dataclass
class Traced:
    """A run told in full."""

    outcome: Outcome
    events: list[Event]
    digest: str
    tasks: list[str] = field(default_factory=list)


class Executor:
    """Runs programs on one variant. Images are linked once: one for machines with several cpus, one for one cpu.

    `checked` images also test every guarded field for its lock, and see lock orders of this run alone: slower, the same
    points, so the same decisions mean the same run. Races are looked for in them, unless it is another title that is asked for.
    """

    def __init__(self, family: Family, variant: str, backend: str = "greenlets", checked: bool = False, probes: bool = False):
        self.family = family
        self.variant = variant
        self.checked = checked
        self.probes = probes
        self.backend = BACKENDS[backend]()
        self.drain_after = False            # also look for leaks after each clean run: for titles that are leaks
        self.races = checked                # also look for unsynchronised accesses: it takes a look at every point
        self._images: dict[str, Image] = {}

    def only(self, title: str) -> None:
        """From now on, look for what costs extra only if this title needs it."""
        self.drain_after = kind_of(title) is Kind.LEAK
        self.races = kind_of(title) is Kind.RACE

    def ready(self, program: Program, title: str) -> Prepared:
        """Prepared to be looked at for that title. Lacks if this variant cannot run the program, SetupFailed as `prepare`."""
        lacks = self.lacks(program)
        if lacks:
            raise Lacks(f"lacks {', '.join(lacks)}")
        self.only(title)
        return self.prepare(program)

    def image(self, cpus: int) -> Image:
        core = "up" if cpus == 1 else "checked" if self.checked else "fast"
        if core not in self._images:
            self._images[core] = self.family.link(self.variant, core, self.probes)
        return self._images[core]

    def operations(self) -> tuple[str, ...]:
        return self.family.operations(self.image(2), self.variant)

    def lacks(self, program: Program) -> list[str]:
        """The operations of a program that this variant does not have."""
        return sorted(program.operations() - set(self.operations()))

    def prepare(self, program: Program) -> Prepared:
        """Run the setup alone and keep the state after it; its I/O may still be in flight. SetupFailed if it is a finding."""
        stop.look()
        image = self.image(program.cpus)
        image.load(image.boot)
        image.load_volatile(image.at_rest)
        image.lockdep.set_exact(self.checked or program.cpus == 1)
        threads = _threads(program)
        setup: list[tuple[Any, tuple[Any, ...]]] = [(image["boot"], (threads,))]
        setup += [_call(image, op, value) for value, op in enumerate(program.setup, 1)]
        setup.append((image["start"], ()))
        m.run(image, [(0, setup)], NoPreempt(), self.backend, program.cpus, settle=False)
        raised = [(irq.handler, irq.args) for irq in m.pending]
        if m.findings or m.notes:
            finding = (m.findings or m.notes)[0]
            if m.aborting:
                image.load_volatile(image.at_rest)
            raise SetupFailed(finding)
        before = m.step + 1         # the setup lies before step 0
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
        """One run, judged. Its decisions are in the outcome."""
        stop.look()
        image = prepared.image
        image.load(prepared.state)
        if image.lockdep.exact:
            image.lockdep.set_exact(True)               # what other runs have taught it is forgotten
        recorder = m.recorder
        watch = self._watch_races(prepared)
        try:
            m.run(image, prepared.tasks, scheduler, self.backend, prepared.cpus, prepared.program.preempt, prepared.raised)
        except BaseException as error:
            image.load_volatile(image.at_rest)          # it stopped in the middle: locks are held, tasks are on queues
            if isinstance(error, HarnessError) and isinstance(error.__cause__, KeyboardInterrupt):
                raise error.__cause__ from None         # of a caller in Python, who has not asked but raised
            raise
        finally:
            m.recorder = recorder
        outcome = self._judge(prepared)
        if watch is not None and watch.findings:
            outcome.findings = outcome.findings + watch.findings        # last: nothing has come of them
        if self.drain_after:
            outcome.findings = outcome.findings + self.leaks(prepared, outcome)
        return outcome

    def _watch_races(self, prepared: Prepared) -> race.Watch | None:
        """Have every point of the coming run looked at, besides any recorder there is."""
        if not self.races or prepared.cpus == 1:
            return None
        watch = race.Watch(m, prepared.image, prepared.cpus)
        if isinstance(m.recorder, Recorder):
            m.recorder.also = watch
        else:
            m.recorder = watch
        return watch

    def _judge(self, prepared: Prepared) -> Outcome:
        image = prepared.image
        outcome = Outcome(m.findings, m.switches, m.forced, m.step, m.limit_hit)
        if m.aborting:
            image.load_volatile(image.at_rest)
        else:
            _at_boot(m, image)
            for title, detail in self.family.check(image):
                outcome.findings.append(Finding(title, "invariant", outcome.steps, detail=detail))
            for entry in m.history:
                if entry[0] == "load":
                    for title, detail in judge(prepared.history + m.history):
                        outcome.findings.append(Finding(title, "data", outcome.steps, detail=detail))
                    break
        if not outcome.findings:
            outcome.findings = m.notes
        return outcome

    def leaks(self, prepared: Prepared, outcome: Outcome) -> list[Finding]:
        """After a clean run, or one with races that nothing came of: give everything up, reclaim until nothing moves, and see what
        is left over."""
        if m.aborting or any(finding.sanitizer != race.NAME for finding in outcome.findings):
            return []
        image = prepared.image
        drain = [(image["drain"], ())]
        with m.watched():
            m.run(image, [(0, drain)], NoPreempt(), self.backend, prepared.cpus)
        found = m.findings              # notes of the drain are its own doing
        if m.aborting:
            image.load_volatile(image.at_rest)
            return found
        _at_boot(m, image)
        return found + [Finding(title, "leak", outcome.steps, detail=detail) for title, detail in self.family.drained(image)]

    def replay(self, prepared: Prepared, switches: Sequence[int], forced: Sequence[int], lenient: bool = False) -> Outcome:
        return self.run(prepared, Replay(switches, forced, lenient))

    def trace(self, prepared: Prepared, scheduler: Scheduler, watch: bool = False) -> Traced:
        """One run with everything recorded."""
        image = prepared.image
        describe = self.family.describe
        recorder = Recorder(m, (lambda: describe(image)) if watch else None)
        with m.watched(recorder, recorder.switched):
            outcome = self.run(prepared, scheduler)
        recorder.finish()
        return Traced(outcome, recorder.events, recorder.digest(), prepared.program.keys())


_boot = Task(-1, "boot")


def _at_boot(m: Machine, image: Image) -> None:
    """Whoever looks at an image at rest does so as the boot task: no points, no locks needed."""
    _boot.held = image.lockdep.root
    m.current = _boot
    m.stop = 1 << 60


def _threads(program: Program) -> tuple[int, ...]:
    """How many tasks name each address space: the threads its process has."""
    names = [_address_spaces(task) for task in program.tasks]
    return tuple(max(1, sum(number in mine for mine in names)) for number in range(MMS))


def _address_spaces(task: TaskProgram) -> tuple[int, ...]:
    """The address spaces a task names."""
    return tuple(sorted({int(operand[1]) for op in task.ops for operand in op.operands if operand[0] == "m"}))


def _call(image: Image, op: Op, value: int) -> tuple[Any, tuple[Any, ...]]:
    """The kernel-side call an operation stands for: its operands as numbers, then the value it writes, if it does."""
    args: list[int] = []
    for operand in op.operands:
        args.extend(int(part) for part in operand.lstrip("mfk").split("."))
    if OPERATIONS[op.name].writes:
        args.append(value)
    return image[f"op_{op.name}"], tuple(args)
