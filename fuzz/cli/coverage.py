# SPDX-License-Identifier: MIT
"""`vmrace coverage`: list what nothing reaches, and why."""

from __future__ import annotations

import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import JSON, PLACE, Duration, check_writable, tell_bad, variant_named
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT
from vmrace.fuzz.text.terminal import echo, working
from vmrace.fuzz.text.wording import count


@click.command()
@click.argument("name", default="", metavar="[FAMILY|VARIANT]")
@click.option("--for-each", "seconds_each", type=Duration(), default=None,
              help="Time limit for the campaign of each variant.  [default: 2m]")
@click.option("--runs-each", type=click.IntRange(min=1), default=None,
              help="Limit of runs for it; then there is no time limit, unless --for-each gives one.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of its random choices.")
@click.option("--corpus", "directory", type=PLACE, default=pathlib.Path("corpus"), show_default=True,
              help="Replay these entries before the campaign.")
@click.option("--into", type=PLACE, default=None,
              help="Also write pages of HTML, LCOV and XML of each variant below this directory.")
@JSON
def coverage(name: str, seconds_each: float | None, runs_each: int | None, seed: int, directory: pathlib.Path, into: pathlib.Path | None,
             as_json: bool) -> None:
    """List the lines and branches of a VARIANT's source that the corpus and a campaign reach; of all variants of a FAMILY, or of all.

    Each function with lines that are never reached needs a reason in its family's README, under "## Never reached". Exit code 1 if a
    function has none. With --into, coverage.py's reports are written as DIR/FAMILY/VARIANT/html/index.html, coverage.lcov and coverage.xml.
    """
    from vmrace.fuzz.corpus.entry import load_all
    from vmrace.fuzz.measure.coverage import lines, reach, reached_as_json
    from vmrace.variants.family import FAMILIES, family
    if name and name not in FAMILIES:
        chosen = [variant_named(name)]
    else:
        chosen = [(made, variant) for made in map(family, [name] if name else FAMILIES) for variant in made.variants]
    limit = seconds_each if seconds_each is not None else 1e9 if runs_each else 120.0
    entries, bad = load_all(directory) if directory.exists() else ([], [])
    tell_bad(bad)
    if into is not None:
        check_writable(into)
    unexplained, told = 0, []
    for made, variant in chosen:
        with working(lines=True) as say:
            say(f"  {made.name}/{variant}: replay, then a campaign of "
                f"{count(runs_each or 0, 'run') if limit == 1e9 else f'{limit:g} s'}")
            reached = reach(made, variant, entries, limit, runs_each or 0, seed, say, into)
        unexplained += len(reached.unexplained)
        told.append(reached_as_json(reached))
        for line in [] if as_json else lines(reached, seed):
            echo(line)
    code = CHANGED if unexplained else COULD_NOT if bad else 0
    if as_json:
        echo(document("coverage", code, variants=told, not_used=[str(error) for error in bad]))
    else:
        longer = "; a longer campaign (--for-each, --runs-each) may reach them" if unexplained else ""
        echo(f"vmrace: {count(unexplained, 'function')} with lines that nothing reached and no reason is given for{longer}"
             f"   (exit {code})")
    sys.exit(code)
