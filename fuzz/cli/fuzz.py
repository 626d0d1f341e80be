# SPDX-License-Identifier: MIT
"""`vmrace fuzz`: a campaign on a variant, or schedules of a program of plain functions."""

from __future__ import annotations

import pathlib
import sys
import time
from typing import TYPE_CHECKING

import click
from vmrace.fuzz.cli.arguments import Duration, Refused, functions_refused, given, variant_named, which_function
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, INTERRUPTED, NOTHING, USAGE

if TYPE_CHECKING:
    from vmrace.fuzz.campaign.driver import Status


@click.command()
@click.argument("target", metavar="VARIANT")
@click.option("--for", "seconds", type=Duration(), default="60s", show_default=True,
              help="How long to look; shrinking what was found may take a tenth longer.")
@click.option("--runs", type=click.IntRange(min=0), default=0, help="Stop after so many runs (0: no limit).")
@click.option("--seed", type=int, default=None, help="Where the random choices start; shown, so that it can be given again.")
@click.option("--arg", "args", multiple=True, help="An argument for a FUNCTION that makes a program. Repeatable.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes; a FUNCTION has one.")
@click.option("--corpus", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"), show_default=True,
              help="Where entries are kept; for a FUNCTION, whose failures are files of their own: .vmrace.")
@click.option("--keep-going", is_flag=True, help="Do not stop at the first new title (at a RACE it does not in any case).")
@click.option("--no-shrink", is_flag=True, help="Keep findings as they were found.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: findings, then a summary.")
@click.pass_context
def fuzz(context: click.Context, target: str, seconds: float, runs: int, seed: int | None, args: tuple[str, ...], workers: int,
         corpus: pathlib.Path, keep_going: bool, no_shrink: bool, as_json: bool) -> None:
    """Look for races in VARIANT (family/variant), or, given MODULE:FUNCTION, in the program of plain functions that this makes."""
    if seed is None:
        seed = time.time_ns() % 100_000
    if ":" in target:
        if given(context, "workers"):
            raise Refused("--workers is for a VARIANT: a program of functions is sampled in one process", USAGE)
        from vmrace.fuzz.cli import functions
        apart.begin(seconds + functions.more_seconds(seconds))
        with functions_refused():
            sys.exit(functions.run(target, args, seconds=seconds, runs=runs, seed=seed, keep_going=keep_going, as_json=as_json,
                                           shrink=not no_shrink, place=corpus if given(context, "corpus") else None))
    if args:
        raise Refused("--arg is for MODULE:FUNCTION", USAGE)
    from vmrace.fuzz.campaign.driver import Campaign, Options
    from vmrace.fuzz.campaign.report import JsonView, TextView
    from vmrace.fuzz.corpus.entry import EntryError
    if "/" not in target or target.endswith(".py"):
        which_function(target)
    made, name = variant_named(target)
    options = Options(made.name, name, seconds, runs, seed, workers, keep_going, corpus, not no_shrink)
    view = JsonView(options) if as_json else TextView(options)
    try:
        status = Campaign(options, view).run()
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    view.end(status)
    sys.exit(_fuzz_exit(status, view.listens()))


def _fuzz_exit(status: Status, heard: bool = True) -> int:
    if status.interrupted:
        return INTERRUPTED
    if status.new:
        return CHANGED
    if not status.whole or not heard:
        return COULD_NOT
    return 0 if status.runs else NOTHING
