# SPDX-License-Identifier: MIT
"""`vmrace corpus`: list the kept entries, and accept verdicts."""

from __future__ import annotations

import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import CORPUS, JSON, Refused, entry_named, functions_refused, known_variant, only_of_runs, tell_bad
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, NOTHING, USAGE
from vmrace.fuzz.text.terminal import echo, working


@click.group(invoke_without_command=True)
@JSON
@CORPUS
@click.pass_context
def corpus(context: click.Context, directory: pathlib.Path, as_json: bool) -> None:
    """List the kept entries, the question that each asks, and the variants that fail."""
    if context.invoked_subcommand is not None:
        return
    from vmrace.fuzz.corpus import index
    from vmrace.fuzz.corpus.entry import EntryError, load_all
    try:
        entries, bad = load_all(directory)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    tell_bad(bad)
    if not entries and not bad:
        raise Refused(f"{directory}: no entries", NOTHING)
    code = COULD_NOT if bad else 0
    told = [document("corpus", code, entries=[index.as_json(entry) for entry in entries], not_used=[str(error) for error in bad])]
    for line in told if as_json else index.listing(entries):
        echo(line)
    sys.exit(code)


@corpus.command()
@click.argument("entry")
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--variant", "wanted", multiple=True, metavar="V=WORD",
              help="Only on variant V, and only if its verdict begins with WORD (ok, BUG, n/a); V alone accepts any verdict. Repeatable.")
@click.option("--verdict", "word", default=None, metavar="WORD",
              help="Of a .run file: only if its verdict begins with WORD (proved, ok, BUG).")
@click.option("--runs-each", default=5000, show_default=True, type=click.IntRange(1), help="Limit of runs for the proof on each variant.")
@JSON
@CORPUS
def accept(entry: str, functions: str | None, wanted: tuple[str, ...], word: str | None, runs_each: int, as_json: bool,
           directory: pathlib.Path) -> None:
    """Run an ENTRY, and write what is found as what is expected: on the variants named, or on all. A .run file has no variants, and needs
    MODULE:FUNCTION as for vmrace replay."""
    from vmrace.fuzz.corpus import index
    from vmrace.fuzz.corpus.entry import EntryError
    if entry.endswith(".run") and pathlib.Path(entry).is_file():
        if wanted:
            raise Refused("--variant is for an entry; of a .run file: --verdict WORD", USAGE)
        apart.begin()
        _accept_run(pathlib.Path(entry), functions, word or "", runs_each, as_json)
        return
    only_of_runs(functions)
    if word is not None:
        raise Refused("--verdict is for a .run file; of an entry: --variant V=WORD", USAGE)
    try:
        path = index.named(entry, directory)
    except index.NoSuchEntry as error:
        raise Refused(str(error), USAGE) from None
    loaded = entry_named(path)
    pairs = [(variant, word) for variant, _, word in (one.partition("=") for one in wanted)]
    for variant, _ in pairs:
        known_variant(loaded, variant)
    try:
        with working() as say:
            say(f"  judging {loaded.name}")
            accepted = index.accept(path, pairs, runs_each)
    except index.NotAccepted as error:
        raise Refused(str(error), COULD_NOT if isinstance(error, index.Undecided) else CHANGED) from None
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    if as_json:
        echo(document("corpus accept", 0, path=str(path), accepted=[
            {"variant": one.variant, "before": str(one.before) if one.before else None, "now": str(one.now)} for one in accepted]))
        return
    for one in accepted:
        change = f"{one.before or '-'}  ->  {one.now}" if one.before != one.now else f"{one.now}, as before"
        echo(f"  {one.variant:<20} {change}")
    echo(f"wrote {path}")


def _accept_run(path: pathlib.Path, functions: str | None, word: str, runs: int, as_json: bool) -> None:
    from vmrace.fuzz.cli import run_commands
    from vmrace.fuzz.corpus.index import NotAccepted, Undecided
    try:
        with functions_refused():
            before, now = run_commands.accept(path, functions, word, runs)
    except NotAccepted as error:
        raise Refused(str(error), COULD_NOT if isinstance(error, Undecided) else CHANGED) from None
    if as_json:
        echo(document("corpus accept", 0, path=str(path), accepted=[{"variant": None, "before": str(before), "now": str(now)}]))
        return
    echo(f"  {before}  ->  {now}" if before != now else f"  {now}, as before")
    echo(f"wrote {path}")
