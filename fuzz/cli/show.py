# SPDX-License-Identifier: MIT
"""`vmrace show`: print the story of one race."""

from __future__ import annotations

import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import JSON, entry_named, entry_path, functions_refused, known_variant, only_of_runs
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.terminal import echo


@click.command()
@click.argument("entry")
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--variant", "variant", default=None, help="Run it on this variant instead of the one it was found on.")
@JSON
def show(entry: str, functions: str | None, variant: str | None, as_json: bool) -> None:
    """Print the story of one race: of an ENTRY, which is a file, or its name in corpus/. A .run file needs MODULE:FUNCTION, as for vmrace
    replay."""
    from vmrace.fuzz.corpus import index
    from vmrace.fuzz.corpus.show import story_of
    if entry.endswith(".run") and pathlib.Path(entry).is_file():
        from vmrace.fuzz.cli import function_commands
        apart.begin()
        with functions_refused():
            sys.exit(function_commands.show(pathlib.Path(entry), functions, echo, as_json))
    only_of_runs(functions)
    kept = entry_named(entry_path(entry))
    if variant is not None:
        known_variant(kept, variant)
    chosen = variant or kept.variant
    story = story_of(kept, chosen)
    if as_json:
        echo(document("show", 0, **index.as_json(kept), variant=chosen, schedule=[str(line) for line in kept.schedule], story=story))
        return
    for line in story:
        echo(line)
