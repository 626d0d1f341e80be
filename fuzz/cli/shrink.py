# SPDX-License-Identifier: MIT
"""`vmrace shrink`: an entry, or a hit as it was found, minimised again."""

from __future__ import annotations

import pathlib
import sys
from typing import TYPE_CHECKING

import click
from vmrace.fuzz.cli.arguments import Refused, entry_named, entry_path, functions_refused, only_of_runs
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, USAGE
from vmrace.fuzz.text.terminal import echo, working
from vmrace.fuzz.text.wording import count
from vmrace.harness import stop

if TYPE_CHECKING:
    from vmrace.fuzz.shrink.confirm import Confirmed


@click.command()
@click.argument("entry")
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--out", type=click.Path(path_type=pathlib.Path), default=None,
              help="Corpus directory for the result (default: beside the entry).")
@click.option("--refind", is_flag=True, help="Where the schedule no longer fits: look for the same failure, and put it in its place.")
def shrink(entry: str, functions: str | None, seed: int, out: pathlib.Path | None, refind: bool) -> None:
    """Minimise an ENTRY again: a file, or its name in corpus/; or a FILE.hit, which a campaign has kept as it was found. A hit of
    plain functions needs MODULE:FUNCTION, as vmrace replay does."""
    from vmrace.fuzz.corpus.entry import EntryError, changing, save, write
    from vmrace.fuzz.shrink.again import shrink_entry
    if entry.endswith(".hit") and pathlib.Path(entry).is_file():
        _shrink_hit(pathlib.Path(entry), functions, seed, out)
        return
    only_of_runs(functions)
    if entry.endswith(".run"):
        raise Refused(f"{entry}: a failure of functions: vmrace fuzz has shrunk it, and vmrace show tells it", USAGE)
    place = entry_path(entry)
    kept = entry_named(place)
    with working() as say:
        say(f"  shrinking {kept.name}")
        confirmed = shrink_entry(kept, seed, refind)
    if isinstance(confirmed, str):
        hint = "" if refind else "; --refind looks for it by other schedules"
        raise Refused(f"{place}: no longer fails with {kept.title!r} on {kept.found_on}: {confirmed}{hint}", CHANGED)
    _shrunk(confirmed)
    fresh = confirmed.entry
    fresh.asks, fresh.source, fresh.comment = kept.asks, kept.source, kept.comment
    fresh.expect = {**kept.expect, **fresh.expect}
    stop.look()                         # from here on it is written, whatever comes
    try:
        if out is not None:
            path = save(fresh, out)
        else:
            path = place.with_name(f"{fresh.name.rpartition('/')[2]}.toml")
            with changing(path):
                write(fresh, path)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    echo(f"wrote {path}")
    if refind and out is None and path != place:
        place.unlink()
        echo(f"removed {place}, in whose place it is")


def _shrunk(confirmed: Confirmed) -> None:
    echo(f"  shrunk    {confirmed.before}  ->  {confirmed.after}   ({count(confirmed.runs, 'run')}, {confirmed.seconds:.1f} s)")
    echo(f"  minimal   {confirmed.minimal}")
    for name, (useful, tried) in confirmed.passes.items():
        echo(f"  pass      {name:<11} {useful:,} of {count(tried, 'attempt')} useful")


def _shrink_hit(place: pathlib.Path, functions: str | None, seed: int, out: pathlib.Path | None) -> None:
    """Confirm and shrink what a campaign has kept as it was found; the entry, or the record, takes its place."""
    from vmrace.fuzz.corpus import hit_file
    from vmrace.fuzz.corpus.entry import EntryError, save
    from vmrace.fuzz.shrink.again import shrink_hit
    try:
        if hit_file.is_of_functions(place):
            from vmrace.fuzz.cli import functions as functions_command
            apart.begin()
            with functions_refused():
                sys.exit(functions_command.shrink(place, functions, out, echo))
        only_of_runs(functions)
        with working() as say:
            say(f"  shrinking {place}")
            confirmed = shrink_hit(place, seed)
        if isinstance(confirmed, str):
            raise Refused(f"{place}: {confirmed}", CHANGED)
        _shrunk(confirmed)
        stop.look()
        path = save(confirmed.entry, out if out is not None else place.parent.parent)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    place.unlink()
    echo(f"wrote {path}, in the place of {place}")
