# SPDX-License-Identifier: MIT
"""Programs from bytes: every text of bytes is a program, and a small change of it is mostly a small change of the program.

A fuzzer that knows bytes only can thus draw, mutate and cross programs. To draw bytes takes Hypothesis about a hundredth of the time that a
program of its own strategies takes, which is longer than a hundred runs. Bytes that are missing are 0, and bytes too many are not read.
"""

from __future__ import annotations

from collections.abc import Sequence

from vmrace.fuzz.programs.generate import SETUP_MAX, TASK_OPS_MAX, TASKS_MAX, Swarm, op_of
from vmrace.variants.operations import OPERANDS, OPERATIONS
from vmrace.variants.program import TASKS_PER_CPU_MAX, Op, Program, TaskProgram

BYTES_MAX = 64              # as many as the largest program reads
CPUS = (2, 2, 2, 1, 2, 3, 2, 4)
MMS, PAGES, FILES, FILE_PAGES, PINS, NUMBERS = (2, 1, 2, 3), (1, 1, 2, 3), (1, 1, 2), (1, 2), (1, 1, 2), (1, 2, 4)


class _Reader:
    """The bytes that are still to be read."""

    def __init__(self, data: bytes):
        self.data = iter(data)

    def below(self, number: int) -> int:
        return next(self.data, 0) % number

    def one(self, of: Sequence[int]) -> int:
        return of[self.below(len(of))]


def decode(data: bytes, operations: Sequence[str]) -> Program:
    """Return the program of these bytes: a setup, and one to four short tasks, of these operations.

    The first bytes choose a small pool of operands, so that operations meet on the same page.
    """
    assert operations, "a program needs an operation"
    reader = _Reader(data)
    cpus = reader.one(CPUS)
    swarm = Swarm(tuple(operations), _pool(reader))
    setup = tuple(_op(reader, swarm) for _ in range(reader.below(SETUP_MAX + 1)))
    wanted = reader.below(4 * TASKS_MAX)
    count = min(cpus if wanted >= TASKS_MAX else wanted + 1, cpus * TASKS_PER_CPU_MAX)
    tasks = []
    for number in range(count):
        tasks.append(TaskProgram(number % cpus, tuple(_op(reader, swarm) for _ in range(1 + reader.below(TASK_OPS_MAX)))))
    return Program(setup, tuple(sorted(tasks, key=lambda task: task.cpu)), cpus)


def _pool(reader: _Reader) -> dict[str, tuple[str, ...]]:
    mms, pages, files = OPERANDS["mm"][:reader.one(MMS)], reader.one(PAGES), OPERANDS["file"][:reader.one(FILES)]
    file_pages = reader.one(FILE_PAGES)
    return {"mm": mms, "page": tuple(f"{mm}.{page}" for mm in mms for page in range(pages)), "file": files,
            "fpage": tuple(f"{file}.{page}" for file in files for page in range(file_pages)),
            "pin": OPERANDS["pin"][:reader.one(PINS)], "number": OPERANDS["number"][:reader.one(NUMBERS)]}


def _op(reader: _Reader, swarm: Swarm) -> Op:
    name = swarm.operations[reader.below(len(swarm.operations))]
    kinds = OPERATIONS[name].operands
    operands = [swarm.pool[kind][reader.below(len(swarm.pool[kind]))] for kind in kinds]
    if kinds == ("mm", "mm") and operands[0] == operands[1]:
        operands[1] = next(mm for mm in OPERANDS["mm"] if mm != operands[0])
    return op_of(name, tuple(operands))
