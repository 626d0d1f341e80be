# SPDX-License-Identifier: MIT
"""`vmrace show`: print the story of one race."""

from __future__ import annotations

import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import JSON, entry_named, entry_path, functions_refused, known_variant, only_for, only_of_runs
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.terminal import echo


@click.command()
@click.argument("entry")
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--variant", "variant", default=None, help="Run it on this variant instead of the one it was found on.")
@click.option("--all", "whole", is_flag=True, help="Show every step, not only those on which the failure depends.")
@JSON
@click.pass_context
def show(context: click.Context, entry: str, functions: str | None, variant: str | None, whole: bool, as_json: bool) -> None:
    """Print the story of one race: of an ENTRY, which is a file, or its name in corpus/. A .run file needs MODULE:FUNCTION, as for vmrace
    replay.

    A story of many steps has those that matter: it goes back from the failure to the stores, lock hand-overs and wake-ups on which it
    depends, and has each step that changes the object that fails. Each row has the value that a load returned (= 1) or the change that a
    store made (0 -> 1); rows in parentheses say that a task stops, or runs again.
    """
    from vmrace.fuzz.corpus import index
    from vmrace.fuzz.corpus.show import story_of
    if entry.endswith(".run") and pathlib.Path(entry).is_file():
        from vmrace.fuzz.cli import run_commands
        only_for(context, "an entry, and not for a .run file", ("variant",), False)
        apart.begin()
        with functions_refused():
            sys.exit(run_commands.show(pathlib.Path(entry), functions, echo, as_json, whole))
    only_of_runs(functions)
    kept = entry_named(entry_path(entry))
    if variant is not None:
        known_variant(kept, variant)
    chosen = variant or kept.variant
    story, steps = story_of(kept, chosen, whole)
    if as_json:
        echo(document("show", 0, **index.as_json(kept), variant=chosen, schedule=[str(line) for line in kept.schedule], story=story,
                      steps=steps))
        return
    for line in story:
        echo(line)
