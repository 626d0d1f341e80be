# SPDX-License-Identifier: MIT
"""The story of an entry."""

from __future__ import annotations

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.run.executor import Executor, Lacks, SetupFailed
from vmrace.fuzz.run.story import tell
from vmrace.harness.errors import Diverged
from vmrace.harness.replay.named_schedule import Named
from vmrace.variants.family import family


def story_of(entry: Entry, variant: str) -> list[str]:
    """Run an entry's schedule on a variant. Returns the lines that `vmrace show` prints."""
    executor = Executor(family(entry.family), variant, checked=True)
    out = [entry.title, f"asks: {entry.asks}", f"from: {entry.source}", ""]
    try:
        prepared = executor.ready(entry.program, entry.title)
        lines, _ = tell(executor, prepared, Named(entry.schedule, entry.program.keys()), None)
    except Lacks as lacks:
        return [*out, f"n/a on {variant}: it {lacks}"]
    except (Diverged, SetupFailed) as error:
        lines = [f"{variant}: {error}"]
    out += [*lines, "", "program"]
    out += [f"  setup  {op}" for op in entry.program.setup]
    for key, task in zip(entry.program.keys(), entry.program.tasks, strict=True):
        out += [f"  {key}   {op}" for op in task.ops]
    out += ["schedule", *(f"  {line}" for line in entry.schedule), "verdicts"]
    out += [f"  {name:<20} {verdict!s}" for name, verdict in entry.expect.items()]
    return out
