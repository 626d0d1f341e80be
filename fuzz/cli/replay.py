# SPDX-License-Identifier: MIT
"""`vmrace replay`: kept races on every variant."""

from __future__ import annotations

import pathlib
import shlex
import sys
import time

import click
from vmrace.fuzz.cli.arguments import Refused, functions_refused, only_of_runs, tell_bad, variants_of
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.exit_codes import COULD_NOT, NOTHING, USAGE
from vmrace.fuzz.text.terminal import echo, working


@click.command()
@click.argument("corpus", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"))
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--backend", type=click.Choice(["greenlets", "threads"]), default="greenlets", show_default=True)
@click.option("--variant", "only", default=None, help="Only this variant (its name, without the family).")
@click.option("--times", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Follow every schedule so often; all agree.")
@click.option("--digests", is_flag=True, help="Print each run's trace digest.")
@click.option("--accept", is_flag=True, help="Write the verdicts found into the entries.")
def replay(corpus: pathlib.Path, functions: str | None, backend: str, only: str | None, times: int, digests: bool, accept: bool) -> None:
    """Run kept races (a directory or one file) against every variant of their family.

    A .run file, which vmrace fuzz MODULE:FUNCTION has kept, needs its code named again: a file alone has no code run, unless the
    pyproject.toml of its project allows it. Exit code 3 if a file cannot be used; all others are run.
    """
    from vmrace.fuzz.corpus.entry import EntryError, load_all
    from vmrace.fuzz.corpus.replay import Table
    if corpus.suffix == ".run" and corpus.is_file():
        from vmrace.fuzz.cli import functions as functions_command
        apart.begin()
        with functions_refused():
            sys.exit(functions_command.replay(corpus, functions, times, echo))
    only_of_runs(functions)
    started = time.monotonic()
    try:
        loaded, bad = load_all(corpus)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    tell_bad(bad)
    if not loaded:
        if bad:
            sys.exit(COULD_NOT)
        runs = sorted(corpus.glob("*.run"))
        hint = f"; of functions one at a time: vmrace replay {shlex.quote(str(runs[0]))} MODULE:FUNCTION" if runs else ""
        raise Refused(f"{corpus}: no entries{hint}", NOTHING)
    if only is not None:
        known = {name for entry in loaded for name in variants_of(entry)}
        if only not in known:
            from vmrace.variants.spelling import did_you_mean
            raise Refused(f"no variant {only!r}{did_you_mean(only, known) or '. See: vmrace variants'}", USAGE)
    table = Table(loaded, backend, only, prove=accept, times=times)
    with working() as say:
        table.replay(say)
    for line in table.lines(digests):
        echo(line)
    for where, what in table.errors:
        for line in (*where.splitlines(), f"vmrace: this is our bug, please report it: {what}"):
            echo(line, err=True)
    if accept:
        try:
            for path in table.accept():
                echo(f"wrote {path}")
        except EntryError as error:
            raise Refused(str(error), COULD_NOT) from None
    code = table.code or (COULD_NOT if bad else 0)
    echo(table.summary(time.monotonic() - started, len(bad), code))
    sys.exit(code)
