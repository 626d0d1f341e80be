# SPDX-License-Identifier: MIT
"""`vmrace coverage`: what nothing reaches, and why."""

from __future__ import annotations

import json
import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import Duration, tell_bad, variant_named
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT
from vmrace.fuzz.text.terminal import echo, working
from vmrace.fuzz.text.wording import count


@click.command()
@click.argument("name", default="", metavar="[FAMILY|VARIANT]")
@click.option("--for", "seconds", type=Duration(), default=None, help="How long a campaign of each variant lasts.  [default: 2m]")
@click.option("--runs", type=click.IntRange(min=0), default=0, help="How many runs it has, with no limit of time unless --for gives one.")
@click.option("--seed", type=int, default=1, show_default=True, help="Where its random choices start.")
@click.option("--corpus", "directory", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"), show_default=True,
              help="What is replayed before.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, one for each variant.")
def coverage(name: str, seconds: float | None, runs: int, seed: int, directory: pathlib.Path, as_json: bool) -> None:
    """Which lines and branches of a VARIANT's source are reached by the corpus and a campaign; of all of a FAMILY, or of all.

    Each function with lines that are never reached needs a reason in its family's README, under "## Never reached". Exit code 1 if
    one has none.
    """
    from vmrace.fuzz.corpus.entry import load_all
    from vmrace.fuzz.measure import coverage as coverage_of
    from vmrace.variants.family import FAMILIES, family
    if name and name not in FAMILIES:
        chosen = [variant_named(name)]
    else:
        chosen = [(made, variant) for made in map(family, [name] if name else FAMILIES) for variant in made.variants]
    limit = seconds if seconds is not None else 1e9 if runs else 120.0
    entries, bad = load_all(directory) if directory.exists() else ([], [])
    tell_bad(bad)
    unexplained = 0
    for made, variant in chosen:
        with working() as say:
            say(f"  {made.name}/{variant}: replay, then a campaign of "
                f"{count(runs, 'run') if limit == 1e9 else f'{limit:g} s'}")
            reached = coverage_of.reach(made, variant, entries, limit, runs, seed)
        unexplained += len(reached.unexplained)
        for line in [json.dumps(coverage_of.as_json(reached))] if as_json else coverage_of.lines(reached, seed):
            echo(line)
    code = CHANGED if unexplained else COULD_NOT if bad else 0
    if not as_json:
        longer = "; a longer campaign (--for, --runs) may reach them" if unexplained else ""
        echo(f"vmrace: {count(unexplained, 'function')} with lines that nothing reached and no reason is given for{longer}"
             f"   (exit {code})")
    sys.exit(code)
