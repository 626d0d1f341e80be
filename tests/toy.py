# SPDX-License-Identifier: MIT
"""Link and run small kernels on the machine without a family. Shared by the tests of harness/ and the canaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vmrace.harness.backends import BACKENDS
from vmrace.harness.finding import Finding
from vmrace.harness.link.linker import link
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.schedulers import NoPreempt
from vmrace.harness.schedulers.replay import Replay
from vmrace.harness.watchers.race import Watch
from vmrace.harness.watchers.trace import Event, Recorder

Call = tuple[Any, ...]                  # the name of a kernel function, then its arguments
Tasks = Sequence[tuple[int, Sequence[Call]]]        # (cpu, calls) of each task

GREENLETS = BACKENDS["greenlets"]()
THREADS = BACKENDS["threads"]()         # one for the process, as its pooled threads live as long as the backend


@dataclass
class Run:
    """The result of one run. `titles` are of findings, or of notes if there is no finding, as the executor reports them."""

    findings: list[Finding]
    notes: list[Finding]
    switches: list[int]
    forced: list[int]
    steps: int
    state: Any
    limit_hit: bool
    digest: str = ""
    events: Sequence[Event] = ()

    @property
    def titles(self) -> list[str]:
        return [finding.title for finding in self.findings or self.notes]

    @property
    def title(self) -> str | None:
        return self.titles[0] if self.titles else None

    @property
    def decisions(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return tuple(self.switches), tuple(self.forced)

    @property
    def preemptions(self) -> int:
        return len(self.switches) // 2

    @property
    def facts(self) -> tuple[Any, ...]:
        """Return the facts that must be the same if the same decisions are run again."""
        found = [(f.title, f.step, f.task, f.cpu, f.detail, f.stack) for f in self.findings + self.notes]
        return self.decisions, self.steps, found, self.digest


class Toy:
    """A linked image, and runs of tasks on it. With `races` each run is watched for races, which are among its findings."""

    def __init__(self, *modules: str, core: str = "fast", exact: bool = False, backend: Any = GREENLETS, races: bool = False):
        self.image = link(*modules, core=core)
        self.exact = exact
        self.races = races
        self.backend = backend
        if core == "up":
            self.image.lockdep.set_exact(exact)

    def __getitem__(self, name: str) -> Any:
        return self.image[name]

    def setup(self, *calls: Call) -> None:
        """Run these calls alone; every later run starts from the state after them."""
        run = self.run([(0, calls)], NoPreempt())
        assert not run.titles, run.titles
        self.image.boot = run.state

    def run(self, tasks: Tasks, scheduler: Scheduler, cpus: int | None = None, preempt: bool = False) -> Run:
        """Make one run from the state at boot."""
        image = self.image
        image.load(image.boot)
        if self.exact:
            image.lockdep.set_exact(True)
        calls = [(cpu, [(image[name], tuple(args)) for name, *args in ops]) for cpu, ops in tasks]
        width = cpus or 1 + max(cpu for cpu, _ in tasks)
        recorder, watch = m.recorder, Watch(m, image, width) if self.races else None
        if isinstance(recorder, Recorder):
            recorder.also = watch
        elif watch is not None:
            m.recorder = watch
        try:
            m.run(image, calls, scheduler, self.backend, width, preempt)
        except BaseException:
            image.load_volatile(image.at_rest)
            raise
        finally:
            m.recorder = recorder
        if watch is not None:
            m.findings.extend(watch.findings)
        state = image.save()
        if m.aborting:
            image.load_volatile(image.at_rest)
        return Run(m.findings, m.notes, m.switches, m.forced, m.step, state, m.limit_hit)

    def trace(self, tasks: Tasks, scheduler: Scheduler, cpus: int | None = None, preempt: bool = False,
              watch: Callable[[], dict[str, str]] | None = None) -> Run:
        """Make one run and record its events and its digest; with `watch`, also values and states."""
        recorder = Recorder(m, watch)
        m.recorder = m.observer = recorder
        try:
            run = self.run(tasks, scheduler, cpus, preempt)
        finally:
            m.recorder = m.observer = None
        recorder.finish()
        run.digest, run.events = recorder.digest(), recorder.events
        return run

    def replay(self, run: Run, tasks: Tasks, cpus: int | None = None, preempt: bool = False) -> Run:
        """Make the decisions of `run` again, and record them."""
        return self.trace(tasks, Replay(run.switches, run.forced), cpus, preempt)
