# SPDX-License-Identifier: MIT
"""The outcomes of one program, by the oracle and by the machine; where they differ, the smallest program in which they do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.oracle import build, interpreter
from tests.oracle.language import VALUES, Block, Object, Outcome, Program, every_statement, source
from tests.oracle.state import Illegal


@dataclass
class Comparison:
    """`missing`: outcomes that the machine does not see; `extra`: those that it sees alone. `undecided`: why nothing can be said."""

    program: Program
    outcomes: set[Outcome]
    missing: set[Any]
    extra: set[Any]
    undecided: str = ""

    @property
    def differs(self) -> bool:
        return bool(self.missing or self.extra)

    def __str__(self) -> str:
        lines = [source(self.program)]
        lines += [f"the machine does not see  {_line(one)}" for one in sorted(self.missing, key=str)]
        lines += [f"the machine sees alone    {_line(one)}" for one in sorted(self.extra, key=str)]
        return "\n".join(lines)


def _line(outcome: Any) -> str:
    if not isinstance(outcome, Outcome):
        return " and ".join(outcome)
    return f"results {outcome.results}, values {outcome.values}{', stuck' if outcome.stuck else ''}"


def compare(program: Program, states_max: int = interpreter.STATES_MAX, runs_max: int = build.RUNS_MAX) -> Comparison:
    """Raises Illegal if no kernel could run the program."""
    try:
        answer = interpreter.answer(program, states_max)
    except interpreter.TooManyStates:
        return Comparison(program, set(), set(), set(), f"the oracle has more than {states_max} states")
    explored = build.explored(program, runs_max)
    right, seen = (_observed(one, answer) for one in (answer.outcomes, explored.outcomes))
    extra = seen - right
    missing = set() if explored.why else right - seen
    return Comparison(program, answer.outcomes, missing, extra, explored.why if not extra else "")


def _observed(outcomes: set[Any], answer: interpreter.Answer) -> set[Any]:
    """The outcomes without what nobody can tell of a run that is stuck: it is None there.

    That is how far a task came, below an interrupt that hangs or off its cpu, on what only one body ever touches, or on the fields
    under a lock: whoever loads one without it has the value in its result. The machine does not explore that (see harness.explore.access.Locations).
    """
    program = answer.program
    seen = [not one.lock and (len(answer.touched[one.name]) > 1 or not (program.handlers or program.preempt))
            for one in program.objects if one.kind in VALUES]
    return {replace(outcome, values=tuple(value if told else None for told, value in zip(seen, outcome.values, strict=True)))
            if isinstance(outcome, Outcome) and outcome.stuck else outcome for outcome in outcomes}


def shrunk(found: Comparison) -> Comparison:
    """A comparison that still differs, of a program from which nothing can be dropped any more."""
    while True:
        for candidate in _smaller(found.program):
            try:
                again = compare(candidate)
            except Illegal:
                continue
            if again.differs:
                found = again
                break
        else:
            return found


def _smaller(program: Program) -> Iterator[Program]:
    """The program without one of its parts, or without two statements."""
    for number in range(len(program.tasks) if len(program.tasks) > 1 else 0):
        yield pruned(replace(program, tasks=program.tasks[:number] + program.tasks[number + 1:]))
    for number in range(len(program.pending)):
        yield pruned(replace(program, pending=program.pending[:number] + program.pending[number + 1:]))
    if program.preempt:
        yield replace(program, preempt=False)
    if program.cpus:
        yield replace(program, cpus=0)
    count = sum(1 for _ in program.statements)
    for first in range(count):
        yield _without(program, {first})
    for first in range(count):
        for second in range(first + 1, count):
            yield _without(program, {first, second})


def _without(program: Program, dropped: set[int]) -> Program:
    """Without the statements of those numbers, as `program.statements` counts them."""
    numbers = iter(range(1 << 30))

    def block(body: Block) -> Block:
        out = []
        for statement in body:
            number = next(numbers)
            kept = tuple(block(part) if isinstance(part, tuple) else part for part in statement)
            if number not in dropped:
                out.append(kept)
            elif number + 1 not in dropped:                 # what is in a block may stay without it
                out += [inner for part in kept if isinstance(part, tuple) for inner in part]
        return tuple(out)

    tasks = tuple(replace(task, body=block(task.body)) for task in program.tasks)
    return pruned(replace(program, tasks=tasks, handlers=tuple((name, block(body)) for name, body in program.handlers)))


def pruned(program: Program) -> Program:
    """Without objects and handlers that nothing names."""
    raised = set(program.pending) | {statement[1] for statement in program.statements if statement[0] == "raise_irq"}
    program = replace(program, handlers=tuple((name, body) for name, body in program.handlers if name in raised))
    named = {part for body in program.blocks for statement in every_statement(body) for part in statement if isinstance(part, str)}
    used = [one for one in program.objects if one.name in named]
    locks = {one.lock for one in used}
    objects: tuple[Object, ...] = tuple(one for one in program.objects if one in used or one.name in locks)
    return replace(program, objects=objects)
