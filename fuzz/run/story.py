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
from vmrace.harness.replay.rows import Story
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.program import Program


def narrate(executor: Executor, prepared: Prepared, outcome: Outcome) -> tuple[Line, ...]:
    """Replay a run and return its schedule, line by line, with the names of points and tasks."""
    narrator = Narrator(Replay(outcome.switches, outcome.forced), prepared.program.keys())
    executor.run(prepared, narrator)
    return tuple(narrator.end(m))


def tell(executor: Executor, prepared: Prepared, scheduler: Scheduler, title: str | None = None,
         whole: bool = False) -> tuple[list[str], Traced]:
    """Run once with every event recorded, and return the lines of the oops and of the columns, and the trace.

    The story is that of the finding `title`, or else of the first. `whole`: leave no access out. Without a finding there is one line that
    says so. Control characters are escaped.
    """
    traced = executor.trace(prepared, scheduler, watch=True)
    return lines_of(story_of(traced, prepared.program, title, whole), executor, prepared, traced), traced


def lines_of(story: Story | None, executor: Executor, prepared: Prepared, traced: Traced) -> list[str]:
    """Return the lines that `tell` returns, of a run that is traced already and of its story."""
    variant = f"{executor.family.name}/{executor.variant}"
    if story is None:
        return [f"{variant}: no finding, {count(traced.outcome.steps, 'point')}, trace {traced.digest}"]
    lines = [*oops(story.finding, story.notes, variant, traced.digest, story.keys), "", *columns(story, prepared.cpus)]
    return [printable(line) for line in lines]


def story_of(traced: Traced, program: Program, title: str | None = None, whole: bool = False) -> Story | None:
    """Return the story of the run just traced: of the finding `title`, or else of the first; None if there is none."""
    findings = traced.outcome.findings
    if not findings:
        return None
    finding = next((found for found in findings if found.title == title), findings[0])
    return Story(traced.events, finding, list(m.notes), operations_text(program), program.keys(), whole)


def operations_text(program: Program) -> dict[tuple[int, int], str]:
    """Map (task, index) to the text of each operation."""
    return {(number, index): str(op) for number, task in enumerate(program.tasks) for index, op in enumerate(task.ops)}
