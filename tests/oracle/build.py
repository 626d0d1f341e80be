# SPDX-License-Identifier: MIT
"""Builds the same program for the machine, and explores it as `verify` does. With faults.py, only this file imports the harness.

Lockdep is off for these runs: it reports an order of locks that can deadlock, or a lock held at the end, whether or not the run
goes wrong. Here only the end of the run counts. The report of a cpu that waits for itself is a deadlock, and stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import vmrace.harness.kernel as kernel
from vmrace.harness.explore.exploration import explore
from vmrace.harness.functions.program import Program as MachineProgram
from vmrace.harness.functions.program import Result, Runner
from vmrace.harness.kernel.cell import cell
from vmrace.harness.sanitizers.lockdep import Lockdep
from vmrace.harness.schedulers.enumerate import every_schedule

from tests.oracle.language import FORMS, LOCKS, VALUES, Block, Object, Outcome, Program, registers

RUNS_MAX = 2_000
LOCK_CLASSES = {"spinlock": kernel.spinlock_t, "rwlock": kernel.rwlock_t, "mutex": kernel.semaphore, "rwsem": kernel.rw_semaphore}
SLOTS = {"atomic": "counter", "word": "word", "cell": "_value"}


@dataclass
class Explored:
    """The outcomes that the exploration sees: all of them if `why` is empty.

    A run with a finding other than a deadlock has its titles as outcome.
    """

    outcomes: set[Outcome | tuple[str, ...]]
    why: str


def explored(program: Program, runs_max: int = RUNS_MAX) -> Explored:
    """Explore the program on the machine, in at most `runs_max` runs."""
    things, runner = _runner(program)

    def outcome(result: Result, events: Any) -> Any:
        return (tuple(result.titles), things.outcome(result))

    with lockdep_off():
        found = explore(runner.run, runner.cpus, outcome, runs_max=runs_max, least=False)
    return Explored({seen[1] for seen in found.outcomes}, str(found.why or ""))  # type: ignore[index]


def run_in_every_way(program: Program) -> set[Outcome | tuple[str, ...]]:
    """Return the outcomes of all schedules by plain enumeration, which also makes the runs that the explorer knows to be in vain."""
    things, runner = _runner(program)
    with lockdep_off():
        return {things.outcome(result) for result in every_schedule(runner.run, 1 << 30, explores=True)}


def _runner(program: Program) -> tuple[Things, Runner]:
    built: list[Things] = []

    def make() -> MachineProgram:
        built.append(Things(program))
        return built[0].made()

    runner = Runner(make)
    return built[0], runner


@contextmanager
def lockdep_off() -> Iterator[None]:
    kept = {name: getattr(Lockdep, name) for name in ("_report", "returned_holding")}
    for name in kept:
        setattr(Lockdep, name, lambda self, *arguments: None)
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(Lockdep, name, function)


class Things:
    """The objects of a program, made anew, and functions that run its bodies on them."""

    def __init__(self, program: Program):
        self.program = program
        self.objects: dict[str, Any] = {}
        self.attributes: dict[str, str] = {}            # field -> its name in its struct
        for one in program.objects:
            if one.kind in LOCKS and any(other.lock == one.name for other in program.objects):
                self._struct(one)
        for one in program.objects:
            if one.name not in self.objects and one.kind != "thread":
                self.objects[one.name] = _made(one)
        for one in program.objects:
            if one.kind in ("cell", "racy") and not one.lock:
                self.attributes[one.name] = "value"
        self.handlers: dict[str, Callable[[], Any]] = {}
        self.names = Names(self.objects, self.attributes, self.handlers)
        self.handlers |= {name: self.function(body) for name, body in program.handlers}
        for task in program.tasks:
            if task.thread:
                self.objects[task.thread] = kernel.thread(task.thread, self.function(task.body))
        self.order: list[int] = []                      # the numbers of the tasks, cpu by cpu

    def _struct(self, lock: Object) -> None:
        fields = [one for one in self.program.objects if one.lock == lock.name]
        body = {one.name: getattr(kernel, one.kind)(one.initial, ".lock") for one in fields}
        made = type(kernel.struct)(f"of_{lock.name}", (kernel.struct,), {"lock": kernel.embed(LOCK_CLASSES[lock.kind]), **body})
        whole = made(f"of_{lock.name}")
        self.objects |= dict.fromkeys((one.name for one in fields), whole) | {lock.name: whole.lock}
        self.attributes |= {one.name: one.name for one in fields}

    def made(self) -> MachineProgram:
        program = self.program
        tasks: list[list[Any]] = [[] for _ in range(program.cpu_count)]
        for cpu in range(program.cpu_count):
            for number, task in enumerate(program.tasks):
                if task.cpu == cpu:
                    tasks[cpu].append(self.objects[task.thread] if task.thread else self.function(task.body))
                    self.order.append(number)
        return MachineProgram(tasks, irqs=[self.handlers[name] for name in program.pending], cpus=program.cpu_count,
                              preempt=program.preempt)

    def function(self, body: Block) -> Callable[[], Any]:
        return _function(self.names, body)

    def outcome(self, result: Result) -> Outcome | tuple[str, ...]:
        """Return the outcome of the run that has just ended."""
        if not all(title.startswith(("DEADLOCK", "LIVELOCK")) for title in result.titles):
            return tuple(result.titles)
        results: list[Any] = [None] * len(self.order)
        for number, returned in zip(self.order, result.results, strict=True):
            results[number] = returned
        return Outcome(tuple(results), tuple(self.stored(one) for one in self.program.objects if one.kind in VALUES), bool(result.titles))

    def stored(self, one: Object) -> int:
        slot = SLOTS.get(one.kind) or self.attributes[one.name]
        thing = self.objects[one.name]
        return getattr(thing, thing.slot_of[slot] if hasattr(thing, "slot_of") and slot in thing.slot_of else slot)


# The functions refer only to the objects, because the runner follows everything that a function leads to.


@dataclass
class Names:
    """`objects`: name -> kernel object, of a field its struct; `attributes`: field -> its name there; `handlers`: name -> function."""

    objects: dict[str, Any]
    attributes: dict[str, str]
    handlers: dict[str, Callable[[], Any]]


def _function(names: Names, body: Block) -> Callable[[], Any]:
    objects, attributes, handlers = names.objects, names.attributes, names.handlers
    returned = registers(body)

    def run() -> tuple[int, ...]:
        known: dict[str, int] = {}
        _block(body, known, objects, attributes, handlers)
        return tuple(known.get(name, 0) for name in returned)
    return run


def _block(body: Block, known: dict[str, int], *names: dict[str, Any]) -> None:
    for name, *arguments in body:
        if name == "if":
            one, other, then, otherwise = arguments
            _block(then if _value(one, known) == _value(other, known) else otherwise, known, *names)
        elif name == "while":
            one, other, times, inner = arguments
            for _ in range(times):
                if _value(one, known) != _value(other, known):
                    break
                _block(inner, known, *names)
        else:
            _statement(name, arguments, known, *names)


def _statement(name: str, arguments: list[Any], known: dict[str, int], objects: dict[str, Any], attributes: dict[str, str],
               handlers: dict[str, Any]) -> None:
    if name == "set":
        known[arguments[0]] = _value(arguments[1], known)
    elif name == "until":
        whole, attribute, value = objects[arguments[0]], attributes.get(arguments[0]), _value(arguments[1], known)
        while (kernel.atomic_read(whole) if attribute is None else getattr(whole, attribute)) != value:
            kernel.cpu_relax()
    elif name == "load":
        known[arguments[0]] = getattr(objects[arguments[1]], attributes[arguments[1]])
    elif name == "store":
        setattr(objects[arguments[0]], attributes[arguments[0]], _value(arguments[1], known))
    elif name == "add":
        whole, attribute = objects[arguments[0]], attributes[arguments[0]]
        setattr(whole, attribute, getattr(whole, attribute) + _value(arguments[1], known))
    else:
        form = FORMS[name]
        given = [_value(argument, known) if wanted == "value" else getattr(kernel, argument) if wanted == "state" else
                 handlers[argument] if wanted == "handler" else objects[argument]
                 for wanted, argument in zip(form, arguments, strict=True) if wanted != "to"]
        returned = getattr(kernel, name)(*given)
        if form[:1] == ("to",):
            known[arguments[0]] = int(returned)


def _value(value: Any, known: dict[str, int]) -> int:
    return value if isinstance(value, int) else known.get(value, 0)


def _made(one: Object) -> Any:
    if one.kind == "atomic":
        return kernel.atomic_t(one.name, one.initial)
    if one.kind == "word":
        return kernel.flags_t(one.name, one.initial)
    if one.kind == "cell":
        return cell(one.name, value=one.initial)
    if one.kind == "semaphore":
        return kernel.semaphore(one.name, count=one.initial, mutex=False)
    if one.kind == "completion":
        return kernel.completion(one.name, done=one.initial)
    if one.kind == "queue":
        return kernel.wait_queue_head_t(one.name)
    return LOCK_CLASSES[one.kind](one.name)
