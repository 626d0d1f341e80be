# SPDX-License-Identifier: MIT
"""The view of a user of each variant of cow_swap_2_6 when one task runs alone, as rows of a table.

    python -m tests.variants.cow_sequential          prints the table of docs/explanation/cow_swap_2_6.md

Random programs run one operation after the other. A user sees what loads return, and what operations return: an error code, a count or a
signal. Two kernels that differ there differ without any race.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from vmrace.fuzz.programs import generate
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.exhaustive import at_end
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import family
from vmrace.variants.program import Program, TaskProgram

PROGRAMS = 400
BASE = "pre_2_6_26"
HEAD = f"| variant | of {PROGRAMS} sequential programs differ from 2.6.26 | one of them, without what it does not need |\n|---|---|---|"
Seen = tuple[tuple[str, ...], ...]


def programs(operations: tuple[str, ...]) -> list[Program]:
    """Draw the programs, each of one task: a setup and a task of fuzz/programs/generate.py, one after the other, then a load of each page
    that they name."""
    rng = random.Random(1)
    out = []
    for _ in range(PROGRAMS):
        drawn = generate.program(rng, operations)
        ops = (*drawn.setup, *drawn.tasks[0].ops)
        pages = sorted({operand for op in ops for operand in op.operands if "." in operand})
        ops += tuple(generate.op_of("load", (page,)) for page in pages)
        out.append(Program((), (TaskProgram(0, ops),), 2))
    return out


def seen(executor: Executor, program: Program) -> Seen:
    """Run a program. Returns its findings, its loads and the results of its operations."""
    prepared = executor.prepare(program)
    titles = tuple(finding.title for finding in executor.run(prepared, NoPreempt()).findings)
    end = at_end(executor.family, prepared)
    return titles, end.values, end.returned


def reduced(program: Program, base: Executor, other: Executor) -> Program:
    """Leave out each operation without which the two variants still differ."""
    number = 0
    while number < program.size:
        ops = program.tasks[0].ops
        shorter = Program((), (TaskProgram(0, (*ops[:number], *ops[number + 1:])),), 2)
        if seen(base, shorter) != seen(other, shorter):
            program = shorter
        else:
            number += 1
    return program


def table() -> Iterator[str]:
    """Return the lines of the table."""
    made = family("cow_swap_2_6")
    base = Executor(made, BASE)
    what = programs(base.operations())
    expected = [seen(base, program) for program in what]
    yield from HEAD.splitlines()
    for variant in made.variants:
        if variant != BASE:
            other = Executor(made, variant)
            differ = [program for program, one in zip(what, expected, strict=True) if seen(other, program) != one]
            witness = min((reduced(program, base, other) for program in differ), key=lambda program: program.size, default=None)
            text = f"`{'; '.join(map(str, witness.tasks[0].ops))}`" if witness is not None else ""
            yield f"| `{variant}` | {len(differ)} | {text} |".replace("|  |", "| |")


if __name__ == "__main__":
    print(*table(), sep="\n")
