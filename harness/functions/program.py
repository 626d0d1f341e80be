# SPDX-License-Identifier: MIT
"""Programs of plain Python functions: any code behind the machine, without a family.

    def make(n=2):
        x = atomic_t("x")
        def add():
            atomic_inc(x)
        return Program([add] * n, check=lambda: atomic_read(x) == n)

Each item of `tasks` is a function, which has a cpu of its own, or a list of functions, which are tasks of one cpu. An item may also be a
`thread`, which begins when a task calls spawn() with it. The value that a task returns is its result.

Tasks must share objects of vmrace.harness.kernel, and `make` must make these; a task that makes one is an error. Only such objects are
watched. Plain variables, lists, dicts and objects are restored before each run (python_state.py), but no task is preempted at a use of
them. If one task changes plain data that another reaches, nothing can be proved (sharing.py). Data that cannot be restored is an error.

`check` judges a run at rest. It is called with the results if it takes an argument. An AssertionError or a false value is a finding;
None, which a check made of assertions returns, is not. An exception that a task, a handler or the check raises is a finding, too.
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
from vmrace.harness.functions import watchdog
from vmrace.harness.kernel.registry import Core, linking
from vmrace.harness.kernel.slab import kfree
from vmrace.harness.kernel.struct import struct
from vmrace.harness.kernel.thread import thread, thread_exit
from vmrace.harness.link.guards import bind_list_guards, names_of
from vmrace.harness.link.image import Image, Origin
from vmrace.harness.machine.machine import Machine, m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.machine.sites import is_null_dereference, sites_of_traceback
from vmrace.harness.machine.task import CPUS_MAX, NEVER, TASKS_MAX, Task
from vmrace.harness.sanitizers import lifetime
from vmrace.harness.sanitizers.lockdep import Lockdep
from vmrace.harness.user_data import foreign
from vmrace.harness.user_data.python_state import Kept, TooMuch
from vmrace.harness.user_data.sharing import Sharing
from vmrace.harness.user_data.watched import uses
from vmrace.harness.user_data.whose import is_users

Function = Callable[[], Any]


@dataclass
class Program:
    """A program, as `make` returns it. `irqs`: the handlers of interrupts that are pending when the tasks start."""

    tasks: Sequence[Function | thread | list[Function | thread]]
    check: Callable[..., Any] | None = None
    irqs: Sequence[Function] = ()
    cpus: int = 0                       # 0: one for each of `tasks`
    preempt: bool = False
    setup: Function | None = None       # runs once, alone, before all runs


@dataclass
class Result(Found):
    """One run: its findings, the results of its tasks, the state of all shared objects, and its decisions."""

    results: tuple[Any, ...]
    state: Any
    switches: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    steps: int = 0
    limit_hit: bool = False
    cut: bool = False

    @property
    def preemptions(self) -> int:
        return len(self.switches) // 2


class Runner:
    """A program that can run any number of times, each time from the state that `make` and `setup` left.

    Raises ProgramError if `make` returns no program, or one that cannot be run.
    """

    def __init__(self, make: Callable[..., Program], *args: Any, backend: str = "greenlets"):
        self.backend = BACKENDS[backend]()
        self.name = f"{getattr(make, '__module__', '')}:{getattr(make, '__qualname__', make)}"
        if linking.core is not None or linking.running:
            raise ProgramError(f"{self.name}: made inside of another program: its objects would belong to both")
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
            raise ProgramError(f"{self.name}: {len(self.tasks)} tasks on {self.cpus} cpus; at least 1, at most {TASKS_MAX} on {CPUS_MAX}")
        if len(program.tasks) > self.cpus:
            raise ProgramError(f"{self.name}: tasks for {len(program.tasks)} cpus on {self.cpus}")
        self.raised = [(_guarded(handler), ()) for handler in program.irqs]
        if program.setup is not None:
            with watchdog.busy:
                program.setup()
            self.image.boot, self.image.at_rest = self.image.save(), self.image.save_volatile()
        self._begins_at_rest(boot, raised)
        if program.check is not None and _says_nothing(program.check):
            raise ProgramError(f"{self.name}: its check returns nothing, raises nothing and calls nothing: it must return True or False")
        self.kept = self._keep()
        self.sharing = self._sharing()
        self.refused = foreign.Refused(self.kept.makers)
        gone = any(lifetime.is_gone(made) for made in self.image.objects if isinstance(made, struct))
        if not self.image.frees and (gone or calls_kfree(self.kept.seen.values())):
            self.image.frees = True
            self.image.bind_state()

    def _begins_at_rest(self, boot: Task, raised: int) -> None:
        """Raise ProgramError if `make` or `setup` left a lock held, interrupts off, or an interrupt raised: no task could undo that."""
        if boot.held.locks:
            raise ProgramError(f"{self.name}: {', '.join(lock.name for lock in boot.held.locks)} still held when its tasks start: only the "
                               "task that acquired a lock can release it; for a signal, use a semaphore of count 0")
        if boot.held.irqs_off:
            raise ProgramError(f"{self.name}: interrupts still off when its tasks start")
        if m.irqs_raised != raised:
            raise ProgramError(f"{self.name}: an interrupt is raised before its tasks start: name it in irqs=")

    def _functions(self) -> list[Function]:
        """Return the functions of the tasks. Raises ProgramError if one of the program's functions cannot be run."""
        self.threads: dict[int, thread] = {}
        tasks: list[Any] = [one for tasks in self.program.tasks for one in (tasks if isinstance(tasks, list) else [tasks])]
        for number, one in enumerate(tasks):
            if isinstance(one, thread):
                if one in self.threads.values():
                    raise ProgramError(f"{self.name}: thread {one.name} is two of its tasks")
                one.number, self.threads[number], tasks[number] = number, one, one.function
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
            described = name.described(f"a {kind.__module__}.{kind.__qualname__}")
            raise ProgramError(f"{self.name}: {described}: no explorer sees which task waits for it; "
                               "use locks, semaphores and wait queues of vmrace.harness.kernel, and tasks for threads")
        return kept

    def _sharing(self) -> Sharing:
        return Sharing(self.kept, self.functions, self.keys(), self.program.irqs, self.image.objects, self.image.namespace)

    def keys(self) -> list[str]:
        """Return the name of each task in a schedule: cpu0, cpu0_task1 ..."""
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
            for _ in functions if isinstance(functions, list) else [functions]:
                number = len(results)
                tasks.append((cpu, [(_guarded(self.functions[number], results, number, self.threads.get(number)), ())]))
                results.append(None)
        return tasks, results

    def run(self, scheduler: Scheduler, watch: bool = False) -> Result:
        """Make one run and judge it. `watch`: also watch the plain data (sharing.py), which takes longer.

        Raises ProgramError if the program has changed data that cannot be restored, and Diverged if it cannot follow the schedule.
        """
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
            m.step = result.steps           # the accesses of the check are no part of the run
        if not result.findings:
            result.findings = list(m.notes)
        m.aborting, m.stop, m.explorer = True, NEVER, None      # a generator may still be closed, and run its `finally`
        return result

    def _run(self, scheduler: Scheduler, watch: bool) -> None:
        recorder, collects = m.recorder, gc.isenabled()
        if watch:
            m.recorder = self.sharing
            self.sharing.begin()
        try:
            linking.running, m.guard = self.name, _guarded
            gc.disable()                    # an object that is collected may have a `finally`, which the running task must not run
            with watchdog.busy, self.refused, uses:
                m.run(self.image, self.tasks, scheduler, self.backend, self.cpus, self.program.preempt, self.raised,
                      later=self.threads)
            if watch:
                self.sharing.finish()
        except HarnessError as error:
            if isinstance(error.__cause__, ProgramError):
                raise error.__cause__ from None
            raise
        finally:
            if collects:
                gc.enable()
            linking.running, m.guard, m.recorder = "", None, recorder
            refusal, linking.refusal = linking.refusal, None
        if refusal is not None:             # the task has caught the error
            raise refusal

    def watch(self, places: Iterable[int]) -> bool:
        """Record from now on each use of the containers in `places`, which the tasks share.

        True if any of them can be watched. The runs so far then prove nothing about the way in which it is shared.
        """
        self.kept.restore()
        self.results[:] = [None] * len(self.results)
        self.image.load(self.image.boot)
        self.sharing.last = []              # it holds references, which Kept.watch counts
        if not self.kept.watch(places):
            return False
        self.kept = self._keep()
        self.sharing = self._sharing()
        return True

    def state(self) -> Any:
        """Return the present state of all shared data as one hashable value."""
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
            result.findings += m.findings   # a finding of a sanitizer, in the check
            return
        except AssertionError as error:
            detail = str(error)
        except _OURS:
            raise
        except (Exception, SystemExit) as error:
            title, detail = Kind.CHECK.title(f"the program's own check raises {type(error).__name__}"), error_line(error)
        result.findings.append(Finding(title, "check", result.steps, detail=detail))


def _says_nothing(check: Callable[..., Any]) -> bool:
    """True if `check` compares values, and neither returns a value nor raises nor calls anything: a `return` was forgotten."""
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
    """True if kfree is among `values`, or the code of a function among them mentions the name."""
    return any(value is kfree or (isinstance(value, types.FunctionType) and _names_kfree(value.__code__)) for value in list(values))


def _names_kfree(code: types.CodeType) -> bool:
    return kfree.__name__ in code.co_names or any(_names_kfree(inner) for inner in code.co_consts if isinstance(inner, types.CodeType))


_OURS = (HarnessError, LinkError, Diverged, ProgramError)       # errors, not findings: see harness/errors.py


class _Everywhere(dict[types.CodeType, Origin]):
    """The origins of all functions but those of the harness, worked out when they are asked for."""

    def get(self, code: Any, default: Any = None) -> Any:
        known = super().get(code)
        if known is None and not code.co_filename.startswith((_HARNESS, "<")):
            path = code.co_filename
            known = self[code] = Origin(code.co_name.strip("<>"), path, code.co_firstlineno, pathlib.Path(path).name)
        return known or default


_HARNESS = str(pathlib.Path(__file__).parents[1])
_KERNEL = str(pathlib.Path(__file__).parents[1] / "kernel")


def _guarded(function: Callable[..., Any], results: list[Any] | None = None, number: int = 0,
             ends: thread | None = None) -> Callable[..., None]:
    """Return `function` as a task: it stores the result in `results[number]`, and reports an exception as a finding.

    `ends`: the thread that then ends, if the task is one.
    """
    def task(*args: Any) -> None:
        try:
            returned = function(*args)
        except _OURS:
            raise
        except BaseException as error:
            if not isinstance(error, Exception | SystemExit) and not is_users(type(error).__module__):
                raise                           # an Abort of the machine, or Ctrl-C
            if m.unwinding:                             # the run is over: the exception is a consequence of that
                raise Abort from None
            if not isinstance(error, SystemExit) and (_is_ours(error) or _is_null_dereference_of_program(error)):
                raise                       # the machine reports it, as for kernel source
            _report(error)
        else:
            if m.unwinding:                             # the program has caught the Abort that ends a run
                raise Abort
            if results is not None:
                results[number] = returned
            if ends is not None:
                thread_exit(ends)
    task.__name__ = getattr(function, "__name__", "task").strip("<>")       # the name of an interrupt
    task.__wrapped__ = function                         # type: ignore[attr-defined]
    return task


def _is_ours(error: BaseException) -> bool:
    """True if the harness itself has raised `error`, and not a primitive of the kernel toolkit."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    path = trace.tb_frame.f_code.co_filename if trace is not None else ""
    return path.startswith(_HARNESS) and not path.startswith(_KERNEL) and path != __file__


def _is_null_dereference_of_program(error: BaseException) -> bool:
    return isinstance(error, AttributeError | TypeError) and is_null_dereference(error)


def _report(error: BaseException) -> None:
    """Report an exception of a task; it ends the run, or, under an explorer, halts this cpu."""
    sites = sites_of_traceback(m.image, error)
    where = sites[-1].function if sites else "task"
    title = (Kind.CHECK.title(f"an assertion fails in {where}") if isinstance(error, AssertionError)
             else Kind.OOPS.title(f"{type(error).__name__} in {where}"))
    me = m.current
    m.findings.append(Finding(title, "bug", m.step, me.name, me.cpu.number, error_line(error), sites))
    m.abort()


def error_line(error: BaseException) -> str:
    """Return an exception in one line: its type and the first line of its message."""
    said = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
