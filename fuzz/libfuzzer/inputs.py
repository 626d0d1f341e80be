# SPDX-License-Identifier: MIT
"""Inputs: a program and the decisions of one run of it, as a file that libFuzzer keeps, mutates and merges, and that a person can read.

    cpus 2
    setup store m0.0
    cpu0 unmap m0.0
    cpu1 reclaim
    switches 12 1
    forced 1 0

One operation a line, in the words of an entry. `switches` and `forced` are the decisions, as in a hit file; an input without them has no
schedule of its own. `cpus 2 preempt` is a machine on which tasks of a cpu preempt each other. Each text of bytes is an input: one that is
no such file is a program by `vmrace.fuzz.programs.decode`. libFuzzer begins with the empty one, and would keep nothing without that.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from vmrace.fuzz.programs import decode as from_bytes
from vmrace.variants.program import OPS_MAX, TASK_KEY, Op, Program, ProgramError, TaskProgram, over_limits, parse_op

DECISIONS_MAX = 400         # numbers of a list of decisions
STEP_MAX = 1 << 20          # of a decision: the machine's limit of steps is lower


@dataclass(frozen=True)
class Input:
    """A program, and the decisions of a run of it. Both lists are empty if the input has no schedule of its own."""

    program: Program
    switches: tuple[int, ...] = ()
    forced: tuple[int, ...] = ()


class _Unfit(ValueError):
    """The error of bytes that are no text of a legal input."""


def encode(one: Input) -> bytes:
    """Return the file of an input. A list of decisions is cut at DECISIONS_MAX numbers."""
    program = one.program
    lines = [f"cpus {program.cpus}{' preempt' * program.preempt}", *(f"setup {op}" for op in program.setup)]
    for key, task in zip(program.keys(), program.tasks, strict=True):
        lines += [f"{key} {op}" for op in task.ops]
    for name, numbers in (("switches", one.switches), ("forced", one.forced)):
        if numbers:
            lines.append(" ".join((name, *map(str, numbers[:DECISIONS_MAX]))))
    return "\n".join((*lines, "")).encode()


def decode(data: bytes, operations: Sequence[str]) -> Input:
    """Return the input of these bytes. An operation that is not one of `operations` is left out."""
    try:
        return _parse(data.decode("ascii"), frozenset(operations))
    except (_Unfit, UnicodeDecodeError):
        return Input(from_bytes.decode(data, operations))


def _parse(text: str, operations: frozenset[str]) -> Input:
    cpus, setup, tasks, preempt = 0, [], {}, False          # type: int, list[Op], dict[tuple[int, int], list[Op]], bool
    numbers: dict[str, tuple[int, ...]] = {"switches": (), "forced": ()}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == "cpus":
            first, _, word = rest.partition(" ")
            cpus, preempt = _number(first), word == "preempt"
        elif name in numbers:
            numbers[name] = tuple(map(_number, rest.split()[:DECISIONS_MAX]))
        elif (ops := setup if name == "setup" else tasks.setdefault(_task(name), [])) is not None:
            op = _op(rest)
            if op.name in operations:
                ops.append(op)
    made = tuple(TaskProgram(cpu, tuple(ops)) for (cpu, _), ops in sorted(tasks.items()) if ops)
    if not made or over_limits(cpus, [task.cpu for task in made]) or max(len(setup), *(len(task.ops) for task in made)) > OPS_MAX:
        raise _Unfit(text)
    return Input(Program(tuple(setup), made, cpus, preempt), numbers["switches"][:len(numbers["switches"]) & ~1], numbers["forced"])


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 7 or int(text) > STEP_MAX:
        raise _Unfit(text)
    return int(text)


def _task(key: str) -> tuple[int, int]:
    found = TASK_KEY.fullmatch(key)
    if found is None:
        raise _Unfit(key)
    return int(found[1]), int(found[2] or 0)


@functools.lru_cache(maxsize=10_000)
def _op(text: str) -> Op:
    try:
        return parse_op(text, "")
    except ProgramError as error:
        raise _Unfit(text) from error
