# SPDX-License-Identifier: MIT
"""Programs composed of others: the tasks of all of them, after the setups of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from vmrace.variants.operations import OPERANDS, OPERATIONS
from vmrace.variants.program import CPUS_MAX, OPS_MAX, Op, Program, TaskProgram, over_limits

NAMES_OBJECTS = ("mm", "page", "file", "fpage", "pin")      # kinds of operands; the others are numbers


def only_tasks(program: Program, numbers: Sequence[int]) -> Program:
    """Return a program with some of its tasks, each on a cpu of its own, and at least two cpus."""
    tasks = tuple(replace(program.tasks[number], cpu=cpu) for cpu, number in enumerate(numbers))
    return replace(program, tasks=tasks, cpus=max(2, len(tasks)))


def composed(parts: Sequence[Program]) -> Iterator[Program]:
    """Yield the programs with the setups and the tasks of all parts: the setups in both orders, and at last with other objects in all
    parts but the first. Nothing if that has more operations or tasks than a program may have."""
    if len(parts) == 1:
        yield parts[0]
        return
    apart = [parts[0], *(_on_other_objects(part, number) for number, part in enumerate(parts[1:], 1))]
    for some in (parts, parts[::-1], apart):
        setup = tuple(op for part in some for op in part.setup)
        ops = [task.ops for part in some for task in part.tasks]
        on = [number % CPUS_MAX for number in range(len(ops))]
        cpus = max(2, min(len(ops), CPUS_MAX))
        if len(setup) <= OPS_MAX and not over_limits(cpus, on):
            tasks = sorted((TaskProgram(cpu, line) for cpu, line in zip(on, ops, strict=True)), key=lambda task: task.cpu)
            yield Program(setup, tuple(tasks), cpus)


def _on_other_objects(program: Program, by: int) -> Program:
    """Rename each object of a program to the one `by` places after it, of its kind."""
    def other(op: Op) -> Op:
        kinds = OPERATIONS[op.name].operands
        return replace(op, operands=tuple(_after(operand, kind, by) if kind in NAMES_OBJECTS else operand
                                          for operand, kind in zip(op.operands, kinds, strict=True)))
    return replace(program, setup=tuple(map(other, program.setup)),
                   tasks=tuple(replace(task, ops=tuple(map(other, task.ops))) for task in program.tasks))


def _after(operand: str, kind: str, by: int) -> str:
    """Return the operand of the same kind whose object is `by` places after it: m1.0 after m0.0."""
    thing, dot, rest = operand.partition(".")
    things = list(dict.fromkeys(one.partition(".")[0] for one in OPERANDS[kind]))
    renamed = f"{things[(things.index(thing) + by) % len(things)]}{dot}{rest}"
    return renamed if renamed in OPERANDS[kind] else operand
