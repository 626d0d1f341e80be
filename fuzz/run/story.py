# SPDX-License-Identifier: MIT
"""The story of one failure: a program and a run, told by replaying it with everything recorded."""

from __future__ import annotations

from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, Traced
from vmrace.fuzz.text.wording import count
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.printable import printable
from vmrace.harness.replay.columns import columns, oops
from vmrace.harness.replay.named_schedule import Line, Narrator
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.program import Program


def narrate(executor: Executor, prepared: Prepared, outcome: Outcome) -> tuple[Line, ...]:
    """The schedule of a run, line by line."""
    narrator = Narrator(Replay(outcome.switches, outcome.forced), prepared.program.keys())
    executor.run(prepared, narrator)
    return tuple(narrator.end(m))


def tell(executor: Executor, prepared: Prepared, scheduler: Scheduler, title: str | None = None) -> tuple[list[str], Traced]:
    """The oops and the two columns. With no finding, the columns alone. Control characters are escaped."""
    traced = executor.trace(prepared, scheduler, watch=True)
    notes = list(m.notes)
    finding = next((found for found in traced.outcome.findings if title in (None, found.title)), None)
    variant = f"{executor.family.name}/{executor.variant}"
    if finding is None:
        return [f"{variant}: no finding, {count(traced.outcome.steps, 'point')}, trace {traced.digest}"], traced
    lines = oops(finding, notes, variant, traced.digest, prepared.program.keys())
    lines.append("")
    lines += columns(traced.events, finding, notes, operations_text(prepared.program), prepared.cpus)
    return [printable(line) for line in lines], traced


def operations_text(program: Program) -> dict[tuple[int, int], str]:
    return {(number, index): str(op) for number, task in enumerate(program.tasks) for index, op in enumerate(task.ops)}
