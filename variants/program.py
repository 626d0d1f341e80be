# SPDX-License-Identifier: GPL-2.0-only
"""Programs: a setup and the operations of each task, as text and as values.

    setup = ["store m0.0"]        runs alone, before the tasks; I/O that it started may still be in flight when they begin
    cpu0 = ["unmap m0.0"]         the first task of cpu 0
    cpu0_task1 = ["reclaim"]      a second task on the same cpu
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from vmrace.variants.operations import OPERANDS, OPERATIONS
from vmrace.variants.spelling import did_you_mean

CPUS_MAX = 4
TASKS_PER_CPU_MAX = 3
OPS_MAX = 64
TASK_KEY = re.compile(r"cpu([0-9])(?:_task([1-9]))?")


class ProgramError(ValueError):
    """The error of a program that is not valid. `where` names the task or setup and the operation in it, `why` is one line."""

    def __init__(self, where: str, why: str):
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


@dataclass(frozen=True)
class Op:
    """An operation with its operands, as `store m0.1`."""

    name: str
    operands: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.name, *self.operands))


@dataclass(frozen=True)
class TaskProgram:
    """The operations of one task, and its cpu."""

    cpu: int
    ops: tuple[Op, ...]


@dataclass(frozen=True)
class Program:
    """A setup, and tasks on a machine with `cpus` cpus. Cpus without a task are idle and take interrupts.

    With `preempt`, tasks of one cpu can preempt each other, as in a kernel with CONFIG_PREEMPT.
    """

    setup: tuple[Op, ...]
    tasks: tuple[TaskProgram, ...]
    cpus: int
    preempt: bool = False

    @property
    def size(self) -> int:
        """The number of operations, of the setup and of all tasks."""
        return len(self.setup) + sum(len(task.ops) for task in self.tasks)

    def operations(self) -> frozenset[str]:
        """Return the names of the operations in the program."""
        return frozenset(op.name for op in (*self.setup, *(op for task in self.tasks for op in task.ops)))

    def without_task(self, number: int) -> Program:
        """Return the program without one task. The cpus stay as they are."""
        return replace(self, tasks=self.tasks[:number] + self.tasks[number + 1:])

    def keys(self) -> list[str]:
        """List the names of the tasks in text: cpu0, cpu0_task1 ..."""
        seen: dict[int, int] = {}
        out = []
        for task in self.tasks:
            count = seen[task.cpu] = seen.get(task.cpu, -1) + 1
            out.append(f"cpu{task.cpu}" + (f"_task{count}" if count else ""))
        return out


def parse_op(text: str, where: str) -> Op:
    """Parse one operation. Raises ProgramError, at `where`, if the operation or an operand is unknown."""
    name, *operands = text.split()  or [""]
    operation = OPERATIONS.get(name)
    if operation is None:
        raise ProgramError(where, f"no operation {name!r}{did_you_mean(name, OPERATIONS)}")
    if len(operands) != len(operation.operands):
        raise ProgramError(where, f"{name} takes {_wanted(operation.operands)}; {_counted(len(operands))} given")
    for operand, kind in zip(operands, operation.operands, strict=True):
        if operand not in OPERANDS[kind]:
            raise ProgramError(where, f"{operand!r} is not {_one(kind)} (one of {OPERANDS[kind][0]} .. {OPERANDS[kind][-1]})")
    return Op(name, tuple(operands))


KINDS = {"mm": "mm", "page": "page", "file": "file", "fpage": "file page", "pin": "pin", "number": "number"}


def _one(kind: str) -> str:
    return f"{'an' if kind == 'mm' else 'a'} {KINDS[kind]}"


def _counted(count: int) -> str:
    return ("none", "one", "two", "three")[count] if count < 4 else str(count)


def _wanted(kinds: tuple[str, ...]) -> str:
    """Describe the operands that an operation takes: `two operands (a page m0.0 .. m3.2, a pin k0 .. k3)`."""
    if not kinds:
        return "no operand"
    each = [f"{_one(kind)} {OPERANDS[kind][0]} .. {OPERANDS[kind][-1]}" for kind in kinds]
    return f"{_counted(len(kinds))} operand{'s' * (len(kinds) > 1)} ({', '.join(each)})"


def over_limits(cpus: int, on: Iterable[int]) -> str:
    """Name the reason that a machine with `cpus` cpus cannot have tasks on the cpus `on`, one item for each task, or return "".

    A machine has at most CPUS_MAX cpus, and a cpu at most TASKS_PER_CPU_MAX tasks.
    """
    on = list(on)
    needed = max(on, default=0) + 1
    if needed > CPUS_MAX:
        return f"cpu{needed - 1}: there are at most {CPUS_MAX} cpus, cpu0 .. cpu{CPUS_MAX - 1}"
    if not needed <= cpus <= CPUS_MAX:
        return f"cpus: {cpus}, but the tasks need {needed}, and there are at most {CPUS_MAX}"
    for cpu in range(needed):
        if on.count(cpu) > TASKS_PER_CPU_MAX:
            return f"cpu{cpu}: {on.count(cpu)} tasks, there are at most {TASKS_PER_CPU_MAX} on a cpu"
    return ""


def parse_ops(lines: object, where: str) -> tuple[Op, ...]:
    """Parse the operations of a task or setup, at most OPS_MAX. Raises ProgramError, at `where`."""
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ProgramError(where, "must be a list of operations in quotes")
    if len(lines) > OPS_MAX:
        raise ProgramError(where, f"{len(lines)} operations, more than {OPS_MAX}")
    return tuple(parse_op(line, f"{where}[{number}]") for number, line in enumerate(lines))
