# SPDX-License-Identifier: MIT
"""`vmrace fuzz`: run a campaign on a variant, or sample schedules of a program of plain functions."""

from __future__ import annotations

import math
import pathlib
import sys
import time
from typing import TYPE_CHECKING

import click
from vmrace.fuzz.cli.arguments import JSON, PLACE, Duration, Refused, functions_refused, given, variant_named, which_function
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, INTERRUPTED, NOTHING, USAGE

if TYPE_CHECKING:
    from vmrace.fuzz.campaign.status import Status

SECONDS = 60.0


@click.command()
@click.argument("target", metavar="VARIANT")
@click.option("--for", "seconds", type=Duration(), default=None,
              help="Time limit; shrinking what was found may take a tenth longer.  [default: 60s; none for a VARIANT with --runs]")
@click.option("--runs", type=click.IntRange(min=1), default=None, help="Stop after N runs.  [default: no limit]")
@click.option("--seed", type=int, default=None, help="Seed of the random choices; printed, so that it can be given again.")
@click.option("--arg", "args", multiple=True, help="An argument for a FUNCTION that makes a program. Repeatable.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes; a FUNCTION has one.")
@click.option("--corpus", type=PLACE, default=pathlib.Path("corpus"), show_default=True,
              help="Keep entries in this directory; a FUNCTION's failures are kept in .vmrace by default.")
@click.option("--keep-going", is_flag=True, help="Go on after the first new title; a RACE never stops a campaign.")
@click.option("--no-shrink", is_flag=True, help="Keep findings as they were found.")
@click.option("--engine", type=click.Choice(["own", "atheris"]), default="own", show_default=True,
              help="What chooses programs: vmrace, or libFuzzer through Atheris.")
@click.option("--inputs", type=PLACE, default=None,
              help="Begin with the inputs in this directory, and add to it; python -m vmrace.fuzz.target shares it.")
@JSON
@click.pass_context
def fuzz(context: click.Context, target: str, seconds: float | None, runs: int | None, seed: int | None, args: tuple[str, ...],
         workers: int, corpus: pathlib.Path, keep_going: bool, no_shrink: bool, engine: str, inputs: pathlib.Path | None,
         as_json: bool) -> None:
    """Look for races in VARIANT (family/variant), or in the program of plain functions that MODULE:FUNCTION makes."""
    if seed is None:
        seed = time.time_ns() % 100_000
    if ":" in target:
        if given(context, "workers"):
            raise Refused("--workers is for a VARIANT: a program of functions is sampled in one process", USAGE)
        if engine != "own" or inputs is not None:
            raise Refused("--engine and --inputs are for a VARIANT", USAGE)
        from vmrace.fuzz.cli import function_commands
        seconds = seconds or SECONDS
        apart.begin(seconds + function_commands.more_seconds(seconds))
        place = None if context.get_parameter_source("corpus") is click.core.ParameterSource.DEFAULT else corpus
        with functions_refused():
            sys.exit(function_commands.fuzz_functions(target, args, seconds=seconds, runs=runs or 0, seed=seed, keep_going=keep_going,
                                                      as_json=as_json, shrink=not no_shrink, place=place))
    if args:
        raise Refused("--arg is for MODULE:FUNCTION", USAGE)
    from vmrace.fuzz.campaign.driver import Campaign
    from vmrace.fuzz.campaign.report import JsonView, TextView
    from vmrace.fuzz.campaign.status import Options
    from vmrace.fuzz.corpus.entry import EntryError
    if "/" not in target or target.endswith(".py"):
        which_function(target)
    made, name = variant_named(target)
    if engine == "atheris":
        from vmrace.fuzz.libfuzzer import start
        try:
            start.check()
        except start.CannotStart as error:
            raise Refused(str(error), COULD_NOT) from None
    seconds = seconds or (math.inf if runs else SECONDS)        # a time limit would make the runs depend on the machine
    options = Options(made.name, name, seconds, runs or 0, seed, workers, keep_going, corpus, not no_shrink, engine, inputs)
    view = JsonView(options) if as_json else TextView(options)
    try:
        status = Campaign(options, view).conduct()
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    view.end(status, _fuzz_exit(status, view.listens()))
    sys.exit(_fuzz_exit(status, view.listens()))            # asked again: the last line may be the first that could not be written


def _fuzz_exit(status: Status, heard: bool = True) -> int:
    if status.interrupted:
        return INTERRUPTED
    if status.new:
        return CHANGED
    if not status.whole or not heard:
        return COULD_NOT
    return 0 if status.runs else NOTHING
