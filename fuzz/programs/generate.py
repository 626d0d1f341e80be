# SPDX-License-Identifier: MIT
"""Random programs, by swarm generation and by mutation. Every program is legal; none is aimed at a particular race.

Swarm testing (Groce et al., ISSTA 2012): each program draws from a random subset of the operations. An operation that hides the
effects of another is then sometimes absent. Operands come from a small random pool, so that operations meet on the same page.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from vmrace.variants.operations import OPERANDS, OPERATIONS
from vmrace.variants.program import CPUS_MAX, TASKS_PER_CPU_MAX, Op, Program, TaskProgram

SETUP_MAX = 10          # a long setup costs little: it runs once for all schedules of a program
TASK_OPS_MAX = 2
TASKS_MAX = 4
WHOLE = {"page": "mm", "fpage": "file"}     # kinds of operands: the whole of which each is a part


@functools.cache
def op_of(name: str, operands: tuple[str, ...]) -> Op:
    """Make an operation, each as one object: workers remember many thousand setups of the same few hundred operations."""
    return Op(name, operands)


@dataclass(frozen=True)
class Swarm:
    """The operations and operands that one program is drawn from."""

    operations: tuple[str, ...]
    pool: dict[str, tuple[str, ...]]

    def op(self, rng: random.Random) -> Op:
        name = rng.choice(self.operations)
        kinds = OPERATIONS[name].operands
        operands = [rng.choice(self.pool[kind]) for kind in kinds]
        if kinds == ("mm", "mm") and operands[0] == operands[1]:
            operands[1] = rng.choice([mm for mm in OPERANDS["mm"] if mm != operands[0]])
        return op_of(name, tuple(operands))


def swarm(rng: random.Random, operations: Sequence[str]) -> Swarm:
    """Draw a random subset of the operations and a random pool of operands."""
    share = rng.choice((0.3, 0.5, 0.7))
    chosen = [name for name in operations if rng.random() < share] or [rng.choice(list(operations))]
    mms = OPERANDS["mm"][: rng.choice((1, 2, 2, 3))]
    pages = rng.choice((1, 1, 2, 3))
    files = OPERANDS["file"][: rng.choice((1, 1, 2))]
    pool = {
        "mm": mms,
        "page": tuple(f"{mm}.{page}" for mm in mms for page in range(pages)),
        "file": files,
        "fpage": tuple(f"{file}.{page}" for file in files for page in range(rng.choice((1, 2)))),
        "pin": OPERANDS["pin"][: rng.choice((1, 1, 2))],
        "number": OPERANDS["number"][: rng.choice((1, 2, 4))],
    }
    return Swarm(tuple(chosen), pool)


def program(rng: random.Random, operations: Sequence[str]) -> Program:
    """Draw a new program."""
    drawn = swarm(rng, operations)
    cpus = rng.choice((1, 2, 2, 2, 2, 2, 2, 3, 3, 4))
    count = max(cpus, 1) if cpus > 1 and rng.random() < 0.8 else rng.randint(1, TASKS_MAX)
    tasks = []
    for number in range(min(count, TASKS_MAX, cpus * TASKS_PER_CPU_MAX)):
        ops = tuple(drawn.op(rng) for _ in range(rng.randint(1, TASK_OPS_MAX)))
        tasks.append(TaskProgram(number % cpus, ops))
    tasks.sort(key=lambda task: task.cpu)
    setup = tuple(drawn.op(rng) for _ in range(rng.randint(0, SETUP_MAX)))
    return Program(setup, tuple(tasks), cpus)


def extended(rng: random.Random, setup: tuple[Op, ...], operations: Sequence[str]) -> Program:
    """Lengthen a setup by one to three operations, before an idle task: the run shows which states it reaches."""
    base = Program(setup, (TaskProgram(0, ()),), 2)
    more = tuple(near(rng, base, operations) for _ in range(rng.choice((1, 1, 2, 3))))
    return replace(base, setup=(*setup, *more)[-SETUP_MAX - 6:])


def from_setup(rng: random.Random, setup: tuple[Op, ...], operations: Sequence[str]) -> Program:
    """Draw a program that starts in the state after `setup`, with a few short tasks, mostly on the operands of that setup."""
    cpus = rng.choice((2, 2, 2, 2, 3))
    base = Program(setup, tuple(TaskProgram(cpu, ()) for cpu in range(cpus)), cpus)
    names = [name for name in operations if rng.random() < 0.5] or list(operations)
    tasks = tuple(
        TaskProgram(cpu, tuple(near(rng, base, names) for _ in range(rng.choice((1, 1, 1, 2))))) for cpu in range(cpus))
    return replace(base, tasks=tasks)


def mutate(rng: random.Random, base: Program, other: Program, operations: Sequence[str]) -> Program:
    """Make one, two or four small changes to `base`; spliced parts come from `other`."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        base = rng.choice(_MUTATIONS)(rng, base, other, operations)
    return base


def crossed(rng: random.Random, base: Program, other: Program) -> Program:
    """Splice a line of the other program into `base`."""
    return _splice(rng, base, other, ())


def _lines(program: Program) -> list[tuple[Op, ...]]:
    return [program.setup, *(task.ops for task in program.tasks)]


def _with_line(program: Program, number: int, ops: tuple[Op, ...]) -> Program:
    if number == 0:
        return replace(program, setup=ops[-SETUP_MAX - 6:])
    tasks = list(program.tasks)
    tasks[number - 1] = replace(tasks[number - 1], ops=ops[:TASK_OPS_MAX + 1])
    return replace(program, tasks=tuple(tasks))


def operands_of(ops: Iterable[Op]) -> dict[str, str]:
    """Map each kind of operand to one that these operations have. The address space of a page counts, too, and the file of one."""
    out: dict[str, str] = {}
    for op in ops:
        for operand, kind in zip(op.operands, OPERATIONS[op.name].operands, strict=True):
            out[kind] = operand
            if kind in WHOLE:
                out[WHOLE[kind]] = operand.partition(".")[0]
    return out


def near(rng: random.Random, program: Program, operations: Sequence[str], useful: Mapping[str, str] = MappingProxyType({})) -> Op:
    """Draw an operation, mostly on operands that the program already uses; `useful` operands, by kind, are not drawn."""
    used: dict[str, list[str]] = {kind: [] for kind in OPERANDS}
    for line in _lines(program):
        for op in line:
            for operand, kind in zip(op.operands, OPERATIONS[op.name].operands, strict=True):
                used[kind].append(operand)
    name = rng.choice(list(operations))
    operands = []
    for kind in OPERATIONS[name].operands:
        known = used[kind]
        drawn = rng.choice(known) if known and rng.random() < 0.8 else rng.choice(OPERANDS[kind])
        operands.append(useful.get(kind, drawn))
    return op_of(name, tuple(operands))


def _insert(rng: random.Random, program: Program, other: Program, operations: Sequence[str]) -> Program:
    lines = _lines(program)
    number = rng.randrange(len(lines))
    at = rng.randint(0, len(lines[number]))
    return _with_line(program, number, (*lines[number][:at], near(rng, program, operations), *lines[number][at:]))


def _delete(rng: random.Random, program: Program, other: Program, operations: Sequence[str]) -> Program:
    lines = _lines(program)
    number = rng.randrange(len(lines))
    if len(lines[number]) <= (number > 0):
        return program
    at = rng.randrange(len(lines[number]))
    return _with_line(program, number, lines[number][:at] + lines[number][at + 1:])


def _change(rng: random.Random, program: Program, other: Program, operations: Sequence[str]) -> Program:
    lines = _lines(program)
    number = rng.randrange(len(lines))
    if not lines[number]:
        return program
    at = rng.randrange(len(lines[number]))
    return _with_line(program, number, (*lines[number][:at], near(rng, program, operations), *lines[number][at + 1:]))


def _move(rng: random.Random, program: Program, other: Program, operations: Sequence[str]) -> Program:
    """Move an operation from one line to another, mostly to the end of the setup, so that the tasks start after it."""
    lines = _lines(program)
    source, target = rng.randrange(len(lines)), rng.randrange(len(lines)) if rng.random() < 0.5 else 0
    if source == target or len(lines[source]) <= (source > 0):
        return program
    at = rng.randrange(len(lines[source]))
    op = lines[source][at]
    program = _with_line(program, source, lines[source][:at] + lines[source][at + 1:])
    where = len(lines[target]) if not target else rng.choice((0, len(lines[target])))
    return _with_line(program, target, (*lines[target][:where], op, *lines[target][where:]))


def _splice(rng: random.Random, program: Program, other: Program, operations: Sequence[str]) -> Program:
    """Replace a line by one of the other program, or put that line before or after it."""
    theirs = rng.choice(_lines(other))
    number = rng.randrange(len(program.tasks) + 1)
    ours = _lines(program)[number]
    if not theirs:
        return program
    return _with_line(program, number, rng.choice((theirs, (*theirs, *ours), (*ours, *theirs))))


def _add_task(rng: random.Random, program: Program, other: Program, operations: Sequence[str]) -> Program:
    """Add a task on a new cpu, if the program has neither TASKS_MAX tasks nor CPUS_MAX cpus."""
    if len(program.tasks) >= TASKS_MAX:
        return program
    cpu = max((task.cpu for task in program.tasks), default=-1) + 1
    if cpu >= CPUS_MAX:
        return program
    ops = tuple(near(rng, program, operations) for _ in range(rng.choice((1, 1, 2))))
    return replace(program, tasks=(*program.tasks, TaskProgram(cpu, ops)), cpus=max(program.cpus, cpu + 1))


_MUTATIONS = (_insert, _insert, _delete, _change, _move, _move, _splice, _add_task, _add_task)
