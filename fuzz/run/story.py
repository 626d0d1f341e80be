# SPDX-License-Identifier: MIT
"""The story of one run: it is replayed with every event recorded, and printed as an oops and one column per cpu."""

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
    """Replay a run and return its schedule, line by line, with the names of points and tasks."""
    narrator = Narrator(Replay(outcome.switches, outcome.forced), prepared.program.keys())
    executor.run(prepared, narrator)
    return tuple(narrator.end(m))


def tell(executor: Executor, prepared: Prepared, scheduler: Scheduler, title: str | None = None) -> tuple[list[str], Traced]:
    """Run once with every event recorded, and return the lines of the oops and of the columns, and the trace.

    `title` selects the finding; None is the first. Without such a finding there is one line that says so. Control characters are escaped.
    """
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
    """Map (task, index) to the text of each operation."""
    return {(number, index): str(op) for number, task in enumerate(program.tasks) for index, op in enumerate(task.ops)}
