# SPDX-License-Identifier: MIT
"""`vmrace show`: the story of one race."""

from __future__ import annotations

import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import entry_named, entry_path, functions_refused, known_variant, only_of_runs
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.terminal import echo


@click.command()
@click.argument("entry")
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--variant", "variant", default=None, help="Tell it on this variant instead of the one it was found on.")
def show(entry: str, functions: str | None, variant: str | None) -> None:
    """The story of one race: of an ENTRY, which is a file, or its name in corpus/. A .run file needs MODULE:FUNCTION, as vmrace
    replay does."""
    from vmrace.fuzz.corpus.show import story_of
    if entry.endswith(".run") and pathlib.Path(entry).is_file():
        from vmrace.fuzz.cli import functions as functions_command
        apart.begin()
        with functions_refused():
            sys.exit(functions_command.show(pathlib.Path(entry), functions, echo))
    only_of_runs(functions)
    kept = entry_named(entry_path(entry))
    if variant is not None:
        known_variant(kept, variant)
    for line in story_of(kept, variant or kept.variant):
        echo(line)
