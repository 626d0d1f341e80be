# SPDX-License-Identifier: MIT
"""`vmrace replay`: run kept races on every variant."""

from __future__ import annotations

import pathlib
import shlex
import sys
import time

import click
from vmrace.fuzz.cli.arguments import JSON, Refused, functions_refused, only_of_runs, tell_bad, variants_of
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import COULD_NOT, NOTHING, USAGE
from vmrace.fuzz.text.terminal import echo, working


@click.command()
@click.argument("corpus", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"))
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--backend", type=click.Choice(["greenlets", "threads"]), default="greenlets", show_default=True,
              help="Run cpus on greenlets, or each on a thread of the system.")
@click.option("--variant", "only", default=None, help="Only this variant (its name, without the family).")
@click.option("--times", type=click.IntRange(1, 10_000), default=1, show_default=True,
              help="Replay each schedule N times; fail if any two runs differ.")
@click.option("--digests", is_flag=True, help="Print each run's trace digest.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes.")
@click.option("--recheck", type=click.IntRange(0, 10_000), default=2, show_default=True,
              help="Run N certificates again, chosen at random among the shorter ones, and believe the others if their hashes hold.")
@click.option("--accept", is_flag=True, help="Write the verdicts found into the entries.")
@JSON
def replay(corpus: pathlib.Path, functions: str | None, backend: str, only: str | None, times: int, digests: bool, workers: int,
           recheck: int, accept: bool, as_json: bool) -> None:
    """Run kept races (a directory or one file) against every variant of their family, and compare the verdicts with those expected.

    A .run file, which vmrace fuzz MODULE:FUNCTION has kept, needs its MODULE:FUNCTION named again, unless the pyproject.toml of its
    project allows it: a file alone runs no code. Exit codes: 0 all as expected; 1 a verdict is not as expected; 3 a file cannot be used
    (all others are run), or a verdict is undecided.
    """
    from vmrace.fuzz.corpus.entry import EntryError, load_all
    from vmrace.fuzz.replay.replay import Options
    from vmrace.fuzz.replay.table import Table
    from vmrace.fuzz.verify.subject import VerifyError
    if corpus.suffix == ".run" and corpus.is_file():
        from vmrace.fuzz.cli import function_commands
        apart.begin()
        with functions_refused():
            sys.exit(function_commands.replay(corpus, functions, times, echo, as_json))
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
    table = Table(loaded, Options(backend, only, prove=accept, times=times, certified=True, recheck=recheck, workers=workers))
    with working(lines=True) as say:
        table.replay(say)
    tell_bad([VerifyError(text) for text in table.unusable])
    for line in [] if as_json else table.lines(digests):
        echo(line)
    for where, what in table.errors:
        for line in (*where.splitlines(), f"vmrace: this is our bug, please report it: {what}"):
            echo(line, err=True)
    try:
        wrote = table.accept() if accept else []
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    code, seconds = table.code or (COULD_NOT if bad else 0), time.monotonic() - started
    if as_json:
        echo(document("replay", code, entries=table.as_json(), not_used=[str(error) for error in bad], wrote=list(map(str, wrote)),
                      summary={**table.counts(), "seconds": round(seconds, 1)}))
        sys.exit(code)
    for path in wrote:
        echo(f"wrote {path}")
    echo(table.summary(seconds, len(bad), code))
    sys.exit(code)
