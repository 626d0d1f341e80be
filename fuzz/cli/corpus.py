# SPDX-License-Identifier: MIT
"""`vmrace corpus`: the entries that are kept, and verdicts accepted."""

from __future__ import annotations

import json
import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import CORPUS, Refused, entry_named, known_variant, tell_bad
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, NOTHING, USAGE
from vmrace.fuzz.text.terminal import echo, working


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@CORPUS
@click.pass_context
def corpus(context: click.Context, directory: pathlib.Path, as_json: bool) -> None:
    """The entries that are kept, what each asks, and who fails."""
    if context.invoked_subcommand is not None:
        return
    from vmrace.fuzz.corpus.entry import EntryError, load_all
    from vmrace.fuzz.corpus.index import listing
    try:
        entries, bad = load_all(directory)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    tell_bad(bad)
    if not entries and not bad:
        raise Refused(f"{directory}: no entries", NOTHING)
    if as_json:
        for entry in entries:
            echo(json.dumps({"path": str(entry.path), "name": entry.name, "title": entry.title, "asks": entry.asks,
                             "source": entry.source, "found_on": entry.found_on,
                             "expect": {name: str(verdict) for name, verdict in entry.expect.items()}}))
    else:
        for line in listing(entries):
            echo(line)
    sys.exit(COULD_NOT if bad else 0)


@corpus.command()
@click.argument("entry")
@click.option("--variant", "wanted", multiple=True, metavar="V=WORD",
              help="On this variant, if what is found begins with that word (ok, BUG, n/a); V alone takes what is found. Repeatable.")
@click.option("--runs", default=5000, show_default=True, type=click.IntRange(1), help="Runs that a proof may take.")
@CORPUS
def accept(entry: str, wanted: tuple[str, ...], runs: int, directory: pathlib.Path) -> None:
    """Run an ENTRY and write what is found as what is expected: on the variants named, or on all."""
    from vmrace.fuzz.corpus import index as kept
    from vmrace.fuzz.corpus.entry import EntryError
    try:
        path = kept.named(entry, directory)
    except kept.NoSuchEntry as error:
        raise Refused(str(error), USAGE) from None
    loaded = entry_named(path)
    pairs = [(variant, word) for variant, _, word in (one.partition("=") for one in wanted)]
    for variant, _ in pairs:
        known_variant(loaded, variant)
    try:
        with working() as say:
            say(f"  judging {loaded.name}")
            accepted = kept.accept(path, pairs, runs)
    except kept.NotAccepted as error:
        raise Refused(str(error), COULD_NOT if isinstance(error, kept.Undecided) else CHANGED) from None
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    for one in accepted:
        change = f"{one.before or '-'}  ->  {one.now}" if one.before != one.now else f"{one.now}, as before"
        echo(f"  {one.variant:<20} {change}")
    echo(f"wrote {path}")
