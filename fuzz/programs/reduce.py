# SPDX-License-Identifier: MIT
"""The smaller programs that a shrinker tries: each is one step from a given program, in the order of trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from vmrace.harness.replay.named_schedule import Line
from vmrace.variants.operations import OPERANDS, OPERATIONS
from vmrace.variants.program import Op, Program, TaskProgram


def adapted(lines: tuple[Line, ...], old: Program, new: Program) -> tuple[Line, ...]:
    """Rewrite the lines of a schedule of `old` for `new`, which may lack one task, so that the other tasks have other names."""
    tasks = list(range(len(old.tasks)))
    if len(new.tasks) < len(old.tasks):
        gone = next((n for n, task in enumerate(new.tasks) if task.ops != old.tasks[n].ops), len(new.tasks))
        tasks.remove(gone)
    names, keys = old.keys(), new.keys()
    moved = {names[was]: keys[now] for now, was in enumerate(tasks) if now < len(keys)}
    cpus = {f"cpu{old.tasks[was].cpu}": f"cpu{new.tasks[now].cpu}" for now, was in enumerate(tasks) if now < len(keys)}
    out = []
    for line in lines:
        actor = line.actor
        if actor.startswith("irq"):
            head, _, cpu = actor.rpartition(" ")
            out.append(replace(line, actor=f"{head} {cpus.get(cpu, 'cpu0')}"))
        elif actor in moved:
            out.append(replace(line, actor=moved[actor]))
    return tuple(out)


def smaller(program: Program) -> Iterator[Program]:
    """Yield programs with one task less, with fewer operations, or with operations moved into the setup."""
    yield from _without_a_task(program)
    yield from _fewer_cpus(program)
    yield from _without_operations(program)
    yield from _into_setup(program)


def _without_a_task(program: Program) -> Iterator[Program]:
    for number in range(len(program.tasks)):
        if len(program.tasks) > 1:
            yield _renumbered(program.without_task(number))


def _renumbered(program: Program) -> Program:
    """Remove the cpus without a task. One idle cpu, which takes interrupts, stays if there was one: `_fewer_cpus` removes it."""
    used = sorted({task.cpu for task in program.tasks})
    tasks = tuple(replace(task, cpu=used.index(task.cpu)) for task in program.tasks)
    return replace(program, tasks=tasks, cpus=max(len(used), min(program.cpus, 2)))


def _fewer_cpus(program: Program) -> Iterator[Program]:
    used = sorted({task.cpu for task in program.tasks})
    if program.cpus > len(used):
        yield replace(_renumbered(program), cpus=max(len(used), 1))
    if program.preempt:
        yield replace(program, preempt=False)


def _without_operations(program: Program) -> Iterator[Program]:
    """Remove half of a line first, then smaller parts, then single operations."""
    for number, line in enumerate(_lines(program)):
        size = len(line) // 2
        while size > 1:
            for at in range(0, len(line), size):
                yield from _with_line(program, number, line[:at] + line[at + size:])
            size //= 2
    yield from without_an_operation(program)


def without_an_operation(program: Program) -> Iterator[Program]:
    """Yield each program with one operation less, the last operation of each line first."""
    for number, line in enumerate(_lines(program)):
        for at in reversed(range(len(line))):
            yield from _with_line(program, number, line[:at] + line[at + 1:])


def _into_setup(program: Program) -> Iterator[Program]:
    """Move the first operation of a task to the end of the setup."""
    for number, task in enumerate(program.tasks):
        if len(task.ops) > 1:
            tasks = list(program.tasks)
            tasks[number] = replace(task, ops=task.ops[1:])
            yield replace(program, setup=(*program.setup, task.ops[0]), tasks=tuple(tasks))


def _simpler_operands(program: Program) -> Iterator[Program]:
    """Rename one operand everywhere to a lower unused one of its kind, or replace one number by a lower one."""
    used = {(kind, operand) for line in _lines(program) for op in line
            for kind, operand in zip(OPERATIONS[op.name].operands, op.operands, strict=True)}
    for kind, operand in sorted(used):
        for lower in OPERANDS[kind]:
            if lower == operand:
                break
            if kind == "number" or (kind, lower) not in used:
                yield _renamed(program, kind, operand, lower)


def _simpler_operations(program: Program) -> Iterator[Program]:
    """Replace an operation by one that comes earlier in the shared interface, on the same operands or the first of them."""
    names = list(OPERATIONS)
    for number, line in enumerate(_lines(program)):
        for at, op in enumerate(line):
            kinds = OPERATIONS[op.name].operands
            for name in names[: names.index(op.name)]:
                wanted = OPERATIONS[name].operands
                if wanted == kinds[: len(wanted)] and (wanted or not kinds):
                    simpler = Op(name, op.operands[: len(wanted)])
                    yield from _with_line(program, number, (*line[:at], simpler, *line[at + 1:]))


def _renamed(program: Program, kind: str, old: str, new: str) -> Program:
    def rename(op: Op) -> Op:
        kinds = OPERATIONS[op.name].operands
        return Op(op.name, tuple(new if (k, operand) == (kind, old) else operand
                                 for k, operand in zip(kinds, op.operands, strict=True)))
    return replace(program, setup=tuple(map(rename, program.setup)),
                   tasks=tuple(TaskProgram(task.cpu, tuple(map(rename, task.ops))) for task in program.tasks))


def _lines(program: Program) -> list[tuple[Op, ...]]:
    return [program.setup, *(task.ops for task in program.tasks)]


def _with_line(program: Program, number: int, ops: tuple[Op, ...]) -> Iterator[Program]:
    if number == 0:
        yield replace(program, setup=ops)
    elif ops:
        tasks = list(program.tasks)
        tasks[number - 1] = replace(tasks[number - 1], ops=ops)
        yield replace(program, tasks=tuple(tasks))
    elif len(program.tasks) > 1:
        yield _renumbered(program.without_task(number - 1))


PASSES: dict[str, Callable[[Program], Iterator[Program]]] = {
    "tasks": _without_a_task,
    "cpus": _fewer_cpus,
    "operations": _without_operations,
    "setup": _into_setup,
    "names": _simpler_operations,
    "operands": _simpler_operands,
}
