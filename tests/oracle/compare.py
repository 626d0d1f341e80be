# SPDX-License-Identifier: MIT
"""Compares the outcomes of one program by the oracle and by the machine; if they differ, shrinks the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.oracle import build, interpreter
from tests.oracle.language import VALUES, Block, Object, Outcome, Program, every_statement, source
from tests.oracle.state import Illegal

STATES_FEW, RUNS_FEW = 4_000, 300       # limits with which nearly all generated programs are decided, in a twentieth of a second
ATTEMPTS_MAX = 600


@dataclass
class Comparison:
    """A comparison of both sets of outcomes.

    `missing` has the outcomes that the machine does not see, `extra` those that only the machine sees. `undecided` is the reason if
    nothing can be said.
    """

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
    """Compare the outcomes of the program. Raises Illegal if no kernel could run it."""
    try:
        answer = interpreter.answer(program, states_max)
    except interpreter.TooManyStates:
        return Comparison(program, set(), set(), set(), f"the oracle has more than {states_max} states")
    explored = build.explored(program, runs_max)
    right, seen = (_observed(one, answer) for one in (answer.outcomes, explored.outcomes))
    extra = {one for one in seen if one not in right and not _has_match(one, right, program)}
    missing = set() if explored.why else {one for one in right if one not in seen and not _has_match(one, seen, program)}
    return Comparison(program, answer.outcomes, missing, extra, explored.why if not extra else "")


# The machine does not explore how far a task came, over steps that no other task can see, below an interrupt that hangs or off its cpu
# (see vmrace.harness.explore.access.Locations): no other task can tell, and the run is stuck anyway. The comparison of a stuck run
# therefore leaves two things open. One is the value of an object that only one body touches, of words (each bit of which is a location),
# and of the fields under a lock: a task that loads one without the lock has it in its result. The other is whether a task has ended that
# only had such steps before it.


def _observed(outcomes: set[Any], answer: interpreter.Answer) -> set[Any]:
    """Return the outcomes with None for the values that are left open."""
    program = answer.program
    seen = [not one.lock and (not _leaves_tasks(program) or (one.kind != "word" and len(answer.touched[one.name]) > 1))
            for one in program.objects if one.kind in VALUES]
    return {replace(outcome, values=tuple(value if told else None for told, value in zip(seen, outcome.values, strict=True)))
            if isinstance(outcome, Outcome) and outcome.stuck else outcome for outcome in outcomes}


def _leaves_tasks(program: Program) -> bool:
    """True if a task may be stopped at a point where it did not ask for that."""
    return bool(program.handlers) or program.preempt


def _has_match(outcome: Any, others: set[Any], program: Program) -> bool:
    """True if one of the others differs only in the tasks that have ended, and that is left open."""
    if not isinstance(outcome, Outcome) or not outcome.stuck or not _leaves_tasks(program):
        return False
    return any(isinstance(other, Outcome) and other.stuck and other.values == outcome.values
               and all(one == two or one is None or two is None for one, two in zip(outcome.results, other.results, strict=True))
               for other in others)


def shrunk(found: Comparison, attempts: int = ATTEMPTS_MAX) -> Comparison:
    """Return a comparison that still differs, of a program from which nothing more can be dropped within that number of attempts."""
    limits = {"states_max": STATES_FEW, "runs_max": RUNS_FEW}
    candidates = _smaller(found.program)
    while attempts:
        candidate = next(candidates, None)
        if candidate is None:
            break
        attempts -= 1
        try:
            again = compare(candidate, **limits)
        except Illegal:
            continue
        if again.differs:
            found, candidates = again, _smaller(again.program)
    return found


def _smaller(program: Program) -> Iterator[Program]:
    """Yield the program without one of its parts, then without one statement, then without two."""
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
    """Return the program without the statements with these numbers, as `program.statements` counts them."""
    numbers = iter(range(1 << 30))

    def block(body: Block) -> Block:
        out = []
        for statement in body:
            number = next(numbers)
            kept = tuple(block(part) if isinstance(part, tuple) else part for part in statement)
            if number not in dropped:
                out.append(kept)
            elif number + 1 not in dropped:                 # the statements in a block may stay without the block
                out += [inner for part in kept if isinstance(part, tuple) for inner in part]
        return tuple(out)

    tasks = tuple(replace(task, body=block(task.body)) for task in program.tasks)
    return pruned(replace(program, tasks=tasks, handlers=tuple((name, block(body)) for name, body in program.handlers)))


def pruned(program: Program) -> Program:
    """Return the program without the objects and handlers that nothing names."""
    raised = set(program.pending) | {statement[1] for statement in program.statements if statement[0] == "raise_irq"}
    program = replace(program, handlers=tuple((name, body) for name, body in program.handlers if name in raised))
    threads = {task.thread for task in program.tasks}
    program = replace(program, tasks=tuple(replace(task, body=_without_threads(task.body, threads)) for task in program.tasks))
    named = {part for body in program.blocks for statement in every_statement(body) for part in statement if isinstance(part, str)}
    named |= threads
    used = [one for one in program.objects if one.name in named]
    locks = {one.lock for one in used}
    objects: tuple[Object, ...] = tuple(one for one in program.objects if one in used or one.name in locks)
    return replace(program, objects=objects)


def _without_threads(body: Block, kept: set[str]) -> Block:
    """Return the statements less those that name a thread that is not one of `kept`."""
    return tuple(tuple(_without_threads(part, kept) if isinstance(part, tuple) else part for part in statement) for statement in body
                 if statement[0] not in ("spawn", "join") or statement[1] in kept)
