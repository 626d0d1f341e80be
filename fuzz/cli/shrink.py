# SPDX-License-Identifier: MIT
"""`vmrace shrink`: minimise an entry again, or a hit as it was found."""

from __future__ import annotations

import pathlib
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from vmrace.fuzz.cli.arguments import JSON, PLACE, Refused, check_writable, entry_named, entry_path, functions_refused, only_of_runs
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, USAGE
from vmrace.fuzz.text.terminal import echo, working
from vmrace.fuzz.text.wording import count
from vmrace.harness import stop

if TYPE_CHECKING:
    from vmrace.fuzz.shrink.confirm import Confirmed


@click.command()
@click.argument("entry")
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random choices.")
@click.option("--into", type=PLACE, default=None,
              help="Write the result into this directory.  [default: beside the entry]")
@click.option("--refind", is_flag=True,
              help="If the schedule no longer fits: look for the same failure by other schedules, and replace the entry.")
@JSON
def shrink(entry: str, functions: str | None, seed: int, into: pathlib.Path | None, refind: bool, as_json: bool) -> None:
    """Minimise an ENTRY again: a file, or its name in corpus/; or a FILE.hit, which a campaign has kept as it was found. A hit of plain
    functions needs MODULE:FUNCTION, as for vmrace replay."""
    from vmrace.fuzz.corpus.entry import EntryError, changing, save, write
    from vmrace.fuzz.shrink.again import shrink_entry
    if entry.endswith(".hit") and pathlib.Path(entry).is_file():
        _shrink_hit(pathlib.Path(entry), functions, seed, into, as_json)
        return
    only_of_runs(functions)
    if entry.endswith(".run"):
        raise Refused(f"{entry}: a failure of functions: vmrace fuzz has shrunk it, and vmrace show tells it", USAGE)
    place = entry_path(entry)
    kept = entry_named(place)
    check_writable(into or place.parent)
    with working() as say:
        say(f"  shrinking {kept.name}")
        confirmed = shrink_entry(kept, seed, refind)
    if isinstance(confirmed, str):
        hint = "" if refind else "; --refind looks for it by other schedules"
        raise Refused(f"{place}: no longer fails with {kept.title!r} on {kept.found_on}: {confirmed}{hint}", CHANGED)
    fresh = confirmed.entry
    fresh.asks, fresh.source, fresh.comment = kept.asks, kept.source, kept.comment
    fresh.expect = {**kept.expect, **fresh.expect}
    stop.look()                         # from here on it is written, whatever comes
    try:
        if into is not None:
            path = save(fresh, into)
        else:
            path = place.with_name(f"{fresh.name.rpartition('/')[2]}.toml")
            with changing(path):
                write(fresh, path)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    replaced = refind and into is None and path != place
    if replaced:
        place.unlink()
    _shrunk(confirmed, path, [place] if replaced else [], as_json)


def _shrunk(confirmed: Confirmed, path: pathlib.Path, removed: list[pathlib.Path], as_json: bool) -> None:
    """Print the result. `path`: its file. `removed`: the files that it replaces."""
    if as_json:
        passes = {name: {"useful": useful, "attempts": tried} for name, (useful, tried) in confirmed.passes.items()}
        echo(document("shrink", 0, path=str(path), removed=list(map(str, removed)), title=confirmed.title, before=asdict(confirmed.before),
                      after=asdict(confirmed.after), shrink_runs=confirmed.runs, seconds=round(confirmed.seconds, 1), passes=passes,
                      minimal=confirmed.minimal))
        return
    echo(f"  shrunk    {confirmed.before}  ->  {confirmed.after}   ({count(confirmed.runs, 'run')}, {confirmed.seconds:.1f} s)")
    echo(f"  minimal   {confirmed.minimal}")
    for name, (useful, tried) in confirmed.passes.items():
        echo(f"  pass      {name:<11} {useful:,} of {count(tried, 'attempt')} useful")
    echo(f"wrote {path}")
    for place in removed:
        echo(f"removed {place}, which it replaces")


def _shrink_hit(place: pathlib.Path, functions: str | None, seed: int, into: pathlib.Path | None,
                as_json: bool) -> None:
    """Confirm and shrink a hit that a campaign has kept as it was found. The entry, or the record, takes its place."""
    from vmrace.fuzz.corpus import hit_file
    from vmrace.fuzz.corpus.entry import EntryError, save
    from vmrace.fuzz.shrink.again import shrink_hit
    try:
        if hit_file.is_of_functions(place):
            from vmrace.fuzz.cli import run_commands
            apart.begin()
            with functions_refused():
                sys.exit(run_commands.shrink(place, functions, into, echo, as_json))
        only_of_runs(functions)
        with working() as say:
            say(f"  shrinking {place}")
            confirmed = shrink_hit(place, seed)
        if isinstance(confirmed, str):
            raise Refused(f"{place}: {confirmed}", CHANGED)
        stop.look()
        path = save(confirmed.entry, into if into is not None else place.parent.parent)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    place.unlink()
    _shrunk(confirmed, path, [place], as_json)
