# SPDX-License-Identifier: MIT
"""The story of a run of plain functions, for people."""

from __future__ import annotations

from vmrace.fuzz.text.wording import count
from vmrace.harness.finding import Finding
from vmrace.harness.functions.program import Result, Runner
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.scheduler import Scheduler
from vmrace.harness.printable import printable
from vmrace.harness.replay.columns import columns, oops
from vmrace.harness.replay.rows import Story
from vmrace.harness.watchers.trace import Recorder


def traced(runner: Runner, scheduler: Scheduler) -> tuple[Recorder, Result]:
    """Make one run with everything recorded."""
    recorder = Recorder(m, lambda: values_of(runner))
    with m.watched(recorder, recorder):
        result = runner.run(scheduler)
    recorder.finish()
    return recorder, result


def tell(runner: Runner, scheduler: Scheduler, title: str | None = None, whole: bool = False) -> tuple[list[str], str, Result]:
    """Make one run and return its story, the digest of its trace, and the run.

    The story is that of the finding `title`, or else of the first one: the oops, then a column for each cpu. `whole`: leave no access out.
    Control characters are escaped.
    """
    recorder, result = traced(runner, scheduler)
    digest = recorder.digest()
    return lines_of(story_of(runner, recorder, result, title, whole), runner, result, digest), digest, result


def lines_of(story: Story | None, runner: Runner, result: Result, digest: str) -> list[str]:
    """Return the lines that `tell` returns, of a run that is recorded already, by its story and the digest of its trace."""
    if story is None:
        return [printable(f"{runner.name}: no finding, {count(result.steps, 'point')}, trace {digest}")]
    lines = [*_oops(story.finding, runner, digest), "", *columns(story, runner.cpus)]
    return [printable(line) for line in lines]


def story_of(runner: Runner, recorder: Recorder, result: Result, title: str | None, whole: bool) -> Story | None:
    """Return the story of the run just recorded: of the finding `title`, or else of the first one; None if there is none."""
    if not result.findings:
        return None
    finding = next((one for one in result.findings if one.title == title), result.findings[0])
    return Story(recorder.events, finding, list(m.notes), _names(runner), runner.keys(), whole)


def _oops(finding: Finding, runner: Runner, digest: str) -> list[str]:
    """Return the lines of an oops, without the words that are about a kernel and a variant."""
    lines = oops(finding, list(m.notes), runner.name, digest, runner.keys())
    lines[1] = lines[1].removeprefix("kernel BUG: ").removeprefix("kernel: ")
    return [line.replace("   variant: ", "   program: ") for line in _once(lines)]


def _once(lines: list[str]) -> list[str]:
    out = []
    for line in lines:
        *rest, last = line.split(" ")
        out.append(" ".join(rest).rstrip() if line.startswith("  ") and any(part.startswith(f"{last}:") for part in rest) else line)
    return out


def _names(runner: Runner) -> dict[tuple[int, int], str]:
    return {(number, 0): getattr(function, "__name__", "task").strip("<>") for number, function in enumerate(runner.functions)}


def values_of(runner: Runner) -> dict[str, str]:
    """Return the values of cells and atomics for the column beside a story, by name: those of a.amount and a.limit under a."""
    out: dict[str, list[str]] = {}
    for made in runner.image.objects:
        for slot in ("_value", "counter"):
            if hasattr(made, slot):
                owner, _, rest = made.name.partition(".")
                out.setdefault(owner, []).append(f"{rest}={getattr(made, slot)!r}" if rest else repr(getattr(made, slot)))
    return {owner: " ".join(values)[:22] for owner, values in out.items()}
