# SPDX-License-Identifier: MIT
"""The story of an entry."""

from __future__ import annotations

import textwrap
from typing import Any

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.run.executor import Executor, Lacks, SetupFailed
from vmrace.fuzz.run.story import lines_of
from vmrace.fuzz.run.story import story_of as story_in
from vmrace.fuzz.text.terminal import COLUMNS
from vmrace.harness.errors import Diverged
from vmrace.harness.replay.named_schedule import Named
from vmrace.harness.replay.rows import as_json
from vmrace.variants.family import family


def story_of(entry: Entry, variant: str, whole: bool = False) -> tuple[list[str], list[dict[str, Any]]]:
    """Run an entry's schedule on a variant. Returns the lines that `vmrace show` prints, and its steps as JSON objects. `whole`: leave no
    step out."""
    executor = Executor(family(entry.family), variant, checked=True)
    out = [entry.title, *_wrapped("asks: ", entry.asks), *_wrapped("from: ", entry.source), ""]
    steps: list[dict[str, Any]] = []
    try:
        prepared = executor.ready(entry.program, entry.title)
        traced = executor.trace(prepared, Named(entry.schedule, entry.program.keys()), watch=True)
        story = story_in(traced, entry.program, entry.title, whole)
        lines = lines_of(story, executor, prepared, traced)
        steps = as_json(story) if story is not None else []
    except Lacks as lacks:
        return [*out, f"n/a on {variant}: it {lacks}"], []
    except (Diverged, SetupFailed) as error:
        lines = [f"{variant}: {error}"]
    out += [*lines, "", "program"]
    out += [f"  setup  {op}" for op in entry.program.setup]
    for key, task in zip(entry.program.keys(), entry.program.tasks, strict=True):
        out += [f"  {key}   {op}" for op in task.ops]
    out += ["schedule", *(f"  {line}" for line in entry.schedule), "verdicts"]
    wide = max(20, *map(len, entry.expect)) if entry.expect else 0
    out += [line for name, verdict in entry.expect.items() for line in _wrapped(f"  {name:<{wide}} ", str(verdict))]
    return out, steps


def _wrapped(head: str, text: str) -> list[str]:
    """Write a text after a head; a long one continues below itself."""
    return textwrap.wrap(text, COLUMNS, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False,
                         break_on_hyphens=False) or [head.rstrip()]
