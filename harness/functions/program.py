# SPDX-License-Identifier: MIT
"""Programs of plain Python functions: any code behind the machine, without a family.

    def make(n=2):
        x = atomic_t("x")
        def add():
            atomic_inc(x)
        return Program([add] * n, check=lambda: atomic_read(x) == n)

Each task is a function (on a cpu of its own) or a list of functions for one cpu's tasks; what it returns is its result. What
tasks share must be objects of vmrace.harness.kernel, made by `make` (by a task is an error): only they are watched. Plain variables,
lists, dicts and objects are put back before each run (python_state.py), but nobody is preempted where they are used: where one task
changes them and another reaches them, nothing can be proved (sharing.py). What cannot be put back is an error.
`check` judges a run at rest: with the results if it takes an argument; what is false (0 and empty too, but not None, which a check
of assertions returns), or an AssertionError, is a finding. So is whatever a task, a handler or the check raises.
"""

from __future__ import annotations

import dis
import gc
import inspect
import itertools
import pathlib
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmrace.harness import stop
from vmrace.harness.backends import BACKENDS
from vmrace.harness.errors import Abort, Diverged, HarnessError, LinkError, ProgramError
from vmrace.harness.finding import Finding, Found, Kind
from vmrace.harness.functions import foreign, watchdog
from vmrace.harness.functions.python_state import Kept, TooMuch
from vmrace.harness.functions.sharing import Sharing
from vmrace.harness.functions.watched import uses
from vmrace.harness.functions.whose import is_users
from vmrace.harness.kernel.registry import Core, linking
from vmrace.harness.kernel.slab import kfree
from vmrace.harness.kernel.struct import struct
from vmrace.harness.link.guards import bind_list_guards, names_of
from vmrace.harness.link.image import Image, Origin
from vmrace.harness.machine.machine import Machine, is_null_dereference, m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.machine.task import CPUS_MAX, NEVER, TASKS_MAX, Task
from vmrace.harness.sanitizers import lifetime
from vmrace.harness.sanitizers.lockdep import Lockdep

Function = Callable[[], Any]


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
class Result(Found):
    """One run: what was found, what the tasks returned, and the state all shared objects are in."""

    results: tuple[Any, ...]
    state: Any
    switches: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    steps: int = 0
    limit_hit: bool = False
    cut: bool = False


class Runner:
    """Runs one program any number of times, each time from the state that `make` left."""

    def __init__(self, make: Callable[..., Program], *args: Any, backend: str = "greenlets"):
        self.backend = BACKENDS[backend]()
        self.name = f"{getattr(make, '__module__', '')}:{getattr(make, '__qualname__', make)}"
        core = Core("functions")
        linking.core = core
        boot = m.current = Task(-1, "make")
        boot.held = Lockdep().root
        m.stop, raised = NEVER, m.irqs_raised
        try:
            with watchdog.busy:
                program = make(*args)
        finally:
            linking.core = None
        if not isinstance(program, Program):
            raise ProgramError(f"{self.name}: returned {type(program).__name__}, not a vmrace.harness.functions.program.Program")
        self.program = program
        self.functions = self._functions()
        self.image = self._image(core)
        self.tasks, self.results = self._tasks(program)
        self.image.function_of = lambda task: self.functions[task.id]
        self.cpus = program.cpus or len(program.tasks)
        if not 1 <= self.cpus <= CPUS_MAX or not 1 <= len(self.tasks) <= TASKS_MAX:
            raise ProgramError(f"{self.name}: {len(self.tasks)} tasks on {self.cpus} cpus; at most {TASKS_MAX} on {CPUS_MAX}")
        if len(program.tasks) > self.cpus:
            raise ProgramError(f"{self.name}: tasks for {len(program.tasks)} cpus on {self.cpus}")
        self.raised = [(_guarded(handler), ()) for handler in program.irqs]
        if program.setup is not None:
            with watchdog.busy:
                program.setup()
            self.image.boot, self.image.at_rest = self.image.save(), self.image.save_volatile()
        self._begins_at_rest(boot, raised)
        if program.check is not None and _says_nothing(program.check):
            raise ProgramError(f"{self.name}: what is to check it returns nothing, raises nothing and calls nothing: it says True or False")
        self.kept = self._keep()
        self.sharing = self._sharing()
        self.refused = foreign.Refused(self.kept.makers)
        gone = any(lifetime.is_gone(made) for made in self.image.objects if isinstance(made, struct))
        if not self.image.frees and (gone or calls_kfree(self.kept.seen.values())):
            self.image.frees = True
            self.image.bind_state()

    def _begins_at_rest(self, boot: Task, raised: int) -> None:
        """ProgramError if what made the program has locks that no task could give back, or interrupts that nobody would see."""
        if boot.held.locks:
            raise ProgramError(f"{self.name}: {', '.join(lock.name for lock in boot.held.locks)} still held when its tasks start: a task "
                               "has what it has taken; a semaphore may begin with a count of 0")
        if boot.held.irqs_off:
            raise ProgramError(f"{self.name}: interrupts still off when its tasks start")
        if m.irqs_raised != raised:
            raise ProgramError(f"{self.name}: an interrupt is raised before its tasks start: irqs= names those that are pending then")

    def _functions(self) -> list[Function]:
        """Of the tasks. ProgramError if one cannot be run."""
        tasks = [function for tasks in self.program.tasks for function in (tasks if isinstance(tasks, list) else [tasks])]
        others = [one for one in (*self.program.irqs, self.program.check, self.program.setup) if one is not None]
        for function in (*tasks, *others):
            if not callable(function):
                raise ProgramError(f"{self.name}: {function!r} is {type(function).__name__}, not a function")
            if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
                raise ProgramError(f"{self.name}: {getattr(function, '__name__', function)} is a generator or a coroutine: "
                                   "a call would not run it")
        return tasks

    def _keep(self) -> Kept:
        program = self.program
        try:
            kept = Kept([*self.functions, *program.irqs, *((program.check,) if program.check else ())], self.image.objects)
        except TooMuch as error:
            raise ProgramError(f"{self.name}: {error}") from None
        for outside in kept.outside:
            raise ProgramError(f"{self.name}: {type(outside).__name__} {outside.name} is made outside of it: kernel objects must be "
                               "made by the function that makes the program, so that each run starts from the same")
        for name, value in kept.foreign:
            kind = type(value)
            raise ProgramError(f"{self.name}: {name.told(f'a {kind.__module__}.{kind.__qualname__}')}: no explorer sees who waits for it; "
                               "use locks, semaphores and wait queues of vmrace.harness.kernel, and tasks for threads")
        return kept

    def _sharing(self) -> Sharing:
        return Sharing(self.kept, self.functions, self.keys(), self.program.irqs, self.image.objects, self.image.namespace)

    def keys(self) -> list[str]:
        """The name of each task in a schedule: cpu0, cpu0_task1 ..."""
        seen: dict[int, int] = {}
        out = []
        for cpu, _ in self.tasks:
            count = seen[cpu] = seen.get(cpu, -1) + 1
            out.append(f"cpu{cpu}" + (f"_task{count}" if count else ""))
        return out

    def _image(self, core: Core) -> Image:
        names = names_of(core, self.name)
        bind_list_guards(core, names)
        image = Image(self.name, core, _Everywhere(), "", bytearray(), frozenset())
        image.namespace = names
        image.tasks = [None] * TASKS_MAX
        return image

    def _tasks(self, program: Program) -> tuple[list[Any], list[Any]]:
        results: list[Any] = []
        tasks = []
        for cpu, functions in enumerate(program.tasks):
            for function in functions if isinstance(functions, list) else [functions]:
                tasks.append((cpu, [(_guarded(function, results, len(results)), ())]))
                results.append(None)
        return tasks, results

    def run(self, scheduler: Scheduler, watch: bool = False) -> Result:
        """One run, judged. `watch`: look at the plain data, too (see `sharing`), which takes longer. ProgramError if the program has
        changed something that cannot be put back."""
        stop.look()
        image = self.image
        self.kept.restore()
        self.results[:] = [None] * len(self.results)
        image.load(image.boot)
        image.load_volatile(image.at_rest)
        image.lockdep.set_exact(True)
        self._run(scheduler, watch)
        result = Result(list(m.findings), tuple(self.results), image.save(), m.switches, m.forced, m.step, m.limit_hit, m.cut)
        lost = self.kept.lost() if self.kept.opaque else ""
        if lost:
            raise ProgramError(f"{self.name}: {lost}: it has changed, and cannot be put back before the next run; make it in a task, or "
                               "use a list, a dict or a number")
        if not m.aborting:
            with watchdog.busy:
                self._check(m, result)
            m.step = result.steps           # what it looked at is no part of the run
        if not result.findings:
            result.findings = list(m.notes)
        m.aborting, m.stop, m.explorer = True, NEVER, None      # a generator may still be closed, and do what its `finally` says
        return result

    def _run(self, scheduler: Scheduler, watch: bool) -> None:
        recorder, collects = m.recorder, gc.isenabled()
        if watch:
            m.recorder = self.sharing
            self.sharing.begin()
        linking.running, m.guard = self.name, _guarded
        gc.disable()                        # what is collected may have a `finally`, which is none of the running task's
        try:
            with watchdog.busy, self.refused, uses:
                m.run(self.image, self.tasks, scheduler, self.backend, self.cpus, self.program.preempt, self.raised)
            if watch:
                self.sharing.finish()
        except HarnessError as error:
            if isinstance(error.__cause__, KeyboardInterrupt | ProgramError):
                raise error.__cause__ from None
            raise
        finally:
            linking.running, m.guard, m.recorder = "", None, recorder
            refusal, linking.refusal = linking.refusal, None
            if collects:
                gc.enable()
        if refusal is not None:             # the task has caught it
            raise refusal

    def watch(self, places: Iterable[int]) -> bool:
        """From now on know of each use of what is in these places, which its tasks share. True if that can be known of any of it: then
        what was run so far says nothing of whether it is shared well."""
        self.kept.restore()
        self.results[:] = [None] * len(self.results)
        self.image.load(self.image.boot)
        self.sharing.last = []              # it has references of its own
        if not self.kept.watch(places):
            return False
        self.kept = self._keep()
        self.sharing = self._sharing()
        return True

    def state(self) -> Any:
        """All that is shared, at this moment, as one hashable value."""
        on, uses.on = uses.on, False
        try:
            return self.image.save(), self.image.save_volatile(), self.kept.present(), tuple(self.results)
        finally:
            uses.on = on

    def _check(self, m: Machine, result: Result) -> None:
        check = self.program.check
        if check is None:
            return
        boot = m.current = Task(-1, "check")
        boot.held = self.image.lockdep.root
        m.stop, m.explorer = NEVER, None
        title, detail = Kind.CHECK.title("the program's own check fails"), ""
        try:
            takes = len(inspect.signature(check).parameters)
            answer = check(result.results) if takes else check()
            if answer is None or answer:
                return
        except Abort:
            result.findings += m.findings   # a BUG in it
            return
        except AssertionError as error:
            detail = str(error)
        except _OURS:
            raise
        except (Exception, SystemExit) as error:
            title, detail = Kind.CHECK.title(f"the program's own check raises {type(error).__name__}"), told(error)
        result.findings.append(Finding(title, "check", result.steps, detail=detail))


def _says_nothing(check: Callable[..., Any]) -> bool:
    """True of a function that compares something, and neither returns, nor raises, nor calls anything: a `return` was forgotten."""
    if not isinstance(check, types.FunctionType):
        return False
    listed = list(dis.get_instructions(check))
    names = [one.opname for one in listed]
    returned = [one if one.opname == "RETURN_CONST" else before for before, one in itertools.pairwise(listed)
                if one.opname in ("RETURN_VALUE", "RETURN_CONST")]
    silent = all(one.opname in ("LOAD_CONST", "RETURN_CONST") and one.argval is None for one in returned)
    acts = any(name.startswith(("CALL", "RAISE", "STORE_", "YIELD", "LOAD_ASSERTION")) for name in names)
    return silent and not acts and any(name in ("COMPARE_OP", "CONTAINS_OP", "IS_OP") for name in names)


def calls_kfree(values: Iterable[Any]) -> bool:
    """True if kfree is among these functions and what they name, or a function has a name of that spelling in it."""
    return any(value is kfree or (isinstance(value, types.FunctionType) and _names_kfree(value.__code__)) for value in list(values))


def _names_kfree(code: types.CodeType) -> bool:
    return kfree.__name__ in code.co_names or any(_names_kfree(inner) for inner in code.co_consts if isinstance(inner, types.CodeType))


_OURS = (HarnessError, LinkError, Diverged, ProgramError)       # none of these is something that a program did


class _Everywhere(dict[types.CodeType, Origin]):
    """The origin of any function that is not the harness's own."""

    def get(self, code: Any, default: Any = None) -> Any:
        known = super().get(code)
        if known is None and not code.co_filename.startswith((_HARNESS, "<")):
            path = code.co_filename
            known = self[code] = Origin(code.co_name.strip("<>"), path, code.co_firstlineno, pathlib.Path(path).name)
        return known or default


_HARNESS = str(pathlib.Path(__file__).parents[1])
_KERNEL = str(pathlib.Path(__file__).parents[1] / "kernel")


def _guarded(function: Callable[..., Any], results: list[Any] | None = None, number: int = 0) -> Callable[..., None]:
    """The function, which leaves what it returns in `results`; what it raises is a finding."""
    def task(*args: Any) -> None:
        try:
            returned = function(*args)
        except _OURS:
            raise
        except BaseException as error:
            if not isinstance(error, Exception | SystemExit) and not is_users(type(error).__module__):
                raise                           # of the machine, or Ctrl-C
            if m.unwinding:                             # the run is over: what comes of that is none of its doing
                raise Abort from None
            if not isinstance(error, SystemExit) and (_is_ours(error) or _is_null_dereference_of_program(error)):
                raise                       # the machine tells it, as for kernel source
            _report(error)
        else:
            if m.unwinding:                             # the program has caught what ends a run
                raise Abort
            if results is not None:
                results[number] = returned
    task.__name__ = getattr(function, "__name__", "task").strip("<>")       # an interrupt is called by it
    task.__wrapped__ = function                         # type: ignore[attr-defined]
    return task


def _is_ours(error: BaseException) -> bool:
    """Raised by the harness itself, and not by what kernel source is given to call."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    path = trace.tb_frame.f_code.co_filename if trace is not None else ""
    return path.startswith(_HARNESS) and not path.startswith(_KERNEL) and path != __file__


def _is_null_dereference_of_program(error: BaseException) -> bool:
    return isinstance(error, AttributeError | TypeError) and is_null_dereference(error)


def _report(error: BaseException) -> None:
    """End the run, or this cpu, with what a task raised."""
    sites = m.sites_of_traceback(error)
    where = sites[-1].function if sites else "task"
    title = (Kind.CHECK.title(f"an assertion fails in {where}") if isinstance(error, AssertionError)
             else Kind.OOPS.title(f"{type(error).__name__} in {where}"))
    me = m.current
    m.findings.append(Finding(title, "bug", m.step, me.name, me.cpu.number, told(error), sites))
    m.abort()


def told(error: BaseException) -> str:
    """An exception in one line."""
    said = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
