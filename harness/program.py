# SPDX-License-Identifier: MIT
"""Programs of plain Python functions: any code behind the machine, without a family.

    def make(n=2):
        x = atomic_t("x")
        def add():
            atomic_inc(x)
        return Program([add] * n, check=lambda: atomic_read(x) == n)

Each task is a function (on a cpu of its own) or a list of functions for one cpu's tasks; what it returns is its result. What
tasks share must be objects of harness.kernel, made by `make`: only they are watched and reset. Plain variables, lists and
dicts that functions close over are put back before each run, but nobody is preempted where they are used.
`check` judges a run at rest: with the results if it takes an argument; false, or an AssertionError, is a finding.
"""

from __future__ import annotations

import inspect
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.backends import BACKENDS
from harness.finding import Finding
from harness.kernel.registry import Core, linking
from harness.link import Image, Origin
from harness.machine import CPUS_MAX, NEVER, TASKS_MAX, Machine, Scheduler, Task, m
from harness.sanitizers.lockdep import Lockdep

Function = Callable[[], Any]


class ProgramError(Exception):
    """A `make` that does not make a program: one line that says why."""


@dataclass
class Program:
    """What `make` returns. `irqs`: handlers of interrupts that are pending when the tasks start."""

    tasks: Sequence[Function | list[Function]]
    check: Callable[..., Any] | None = None
    irqs: Sequence[Function] = ()
    cpus: int = 0                       # 0: one for each of `tasks`
    preempt: bool = False
    setup: Function | None = None       # runs alone, before


@dataclass
class Result:
    """One run: what was found, what the tasks returned, and the state all shared objects are in."""

    findings: list[Finding]
    results: tuple[Any, ...]
    state: Any
    switches: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    steps: int = 0
    limit_hit: bool = False
    cut: bool = False

    @property
    def titles(self) -> list[str]:
        return [finding.title for finding in self.findings]

    @property
    def title(self) -> str | None:
        return self.findings[0].title if self.findings else None


class Runner:
    """Runs one program any number of times, each time from the state that `make` left."""

    def __init__(self, make: Callable[..., Program], *args: Any, backend: str = "greenlets"):
        self.backend = BACKENDS[backend]()
        self.name = f"{make.__module__}:{make.__qualname__}"
        core = Core("fast")
        linking.core = core
        boot = m.current = Task(-1, "make")
        boot.held = Lockdep().root
        m.stop = NEVER
        try:
            program = make(*args)
        finally:
            linking.core = None
        if not isinstance(program, Program):
            raise ProgramError(f"{self.name}: returned {type(program).__name__}, not a harness.program.Program")
        self.program = program
        self.image = self._image(core)
        self.tasks, self.results = self._tasks(program)
        self.cpus = program.cpus or len(program.tasks)
        if not 1 <= self.cpus <= CPUS_MAX or not 1 <= len(self.tasks) <= TASKS_MAX:
            raise ProgramError(f"{self.name}: {len(self.tasks)} tasks on {self.cpus} cpus; at most {TASKS_MAX} on {CPUS_MAX}")
        self.kept = _Kept([*self._functions(), *((program.check,) if program.check else ())])
        self.raised = [(handler, ()) for handler in program.irqs]
        if program.setup is not None:
            program.setup()
            self.image.boot = self.image.save()
            self.kept.save()

    def _functions(self) -> list[Function]:
        return [function for tasks in self.program.tasks for function in (tasks if isinstance(tasks, list) else [tasks])]

    def _image(self, core: Core) -> Image:
        image = Image(self.name, core, _Everywhere(), "", bytearray(), frozenset())
        image.tasks = [None] * TASKS_MAX
        return image

    def _tasks(self, program: Program) -> tuple[list[Any], list[Any]]:
        results: list[Any] = []
        tasks = []
        for cpu, functions in enumerate(program.tasks):
            for function in functions if isinstance(functions, list) else [functions]:
                tasks.append((cpu, [(_keep(function, results, len(results)), ())]))
                results.append(None)
        return tasks, results

    def run(self, scheduler: Scheduler) -> Result:
        """One run, judged."""
        image = self.image
        image.load(image.boot)
        image.load_volatile(image.at_rest)
        image.lockdep.set_exact(True)
        self.kept.restore()
        self.results[:] = [None] * len(self.results)
        m.run(image, self.tasks, scheduler, self.backend, self.cpus, self.program.preempt, self.raised)
        result = Result(list(m.findings), tuple(self.results), image.save(), m.switches, m.forced, m.step, m.limit_hit, m.cut)
        if not m.aborting:
            self._check(m, result)
        if not result.findings:
            result.findings = list(m.notes)
        return result

    def state(self) -> Any:
        """All that is shared, at this moment, as one hashable value."""
        return self.image.save(), self.image.save_volatile(), self.kept.present(), tuple(self.results)

    def _check(self, m: Machine, result: Result) -> None:
        check = self.program.check
        if check is None:
            return
        boot = m.current = Task(-1, "check")
        boot.held = self.image.lockdep.root
        m.stop, m.explorer = NEVER, None
        try:
            takes = len(inspect.signature(check).parameters)
            fails, detail = (check(result.results) if takes else check()) is False, ""
        except AssertionError as error:
            fails, detail = True, str(error)
        if fails:
            result.findings.append(Finding("CHECK: the program's own check fails", "check", result.steps, detail=detail))


class _Everywhere(dict[Any, Origin]):
    """The origin of any function that is not the harness's own."""

    def get(self, code: Any, default: Any = None) -> Any:
        known = super().get(code)
        if known is None and not code.co_filename.startswith((_HARNESS, "<")):
            path = code.co_filename
            known = self[code] = Origin(code.co_name, path, code.co_firstlineno, pathlib.Path(path).name)
        return known or default


_HARNESS = str(pathlib.Path(__file__).parent)


def _keep(function: Function, results: list[Any], number: int) -> Function:
    def task() -> None:
        results[number] = function()
    return task


class _Kept:
    """The plain variables and containers that functions close over."""

    def __init__(self, functions: Sequence[Function]):
        self.cells: dict[int, Any] = {}
        todo = list(functions)
        while todo:
            for inner in getattr(todo.pop(), "__closure__", None) or ():
                if id(inner) not in self.cells:
                    self.cells[id(inner)] = inner
                    if inspect.isfunction(inner.cell_contents):
                        todo.append(inner.cell_contents)
        self.save()

    def save(self) -> None:
        self.values = [(inner, inner.cell_contents, _copied(inner.cell_contents)) for inner in self.cells.values()]

    def present(self) -> Any:
        return tuple(_frozen(inner.cell_contents) for inner in self.cells.values())

    def restore(self) -> None:
        for inner, value, copy in self.values:
            inner.cell_contents = value
            _put_back(value, copy)


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [(item, _copied(item)) for item in value]
    if isinstance(value, dict):
        return {key: (item, _copied(item)) for key, item in value.items()}
    if isinstance(value, set | bytearray):
        return value.copy()
    return None


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return tuple((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, set):
        return frozenset(value)
    return bytes(value) if isinstance(value, bytearray) else value if value.__hash__ else id(value)


def _put_back(value: Any, copy: Any) -> None:
    if isinstance(value, list):
        value[:] = [item for item, _ in copy]
        for item, inner in copy:
            _put_back(item, inner)
    elif isinstance(value, dict):
        value.clear()
        for key, (item, inner) in copy.items():
            value[key] = item
            _put_back(item, inner)
    elif isinstance(value, set):
        value.clear()
        value.update(copy)
    elif isinstance(value, bytearray):
        value[:] = copy
