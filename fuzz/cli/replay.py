# SPDX-License-Identifier: MIT
"""`vmrace replay`: run kept races on every variant, and kept failures of plain functions."""

from __future__ import annotations

import pathlib
import sys
import time
from typing import Any

import click
from vmrace.fuzz.cli.arguments import JSON, Refused, functions_refused, only_of_runs, tell_bad, variants_of
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, NOTHING, USAGE
from vmrace.fuzz.text.terminal import echo, working


@click.command()
@click.argument("corpus", type=click.Path(path_type=pathlib.Path), default=pathlib.Path("corpus"))
@click.argument("functions", required=False, metavar="[MODULE:FUNCTION]")
@click.option("--backend", type=click.Choice(["greenlets", "threads"]), default="greenlets", show_default=True,
              help="Run cpus on greenlets, or each on a thread of the system, where no certificate stands for the runs.")
@click.option("--variant", "only", default=None, help="Only this variant (its name, without the family).")
@click.option("--times", type=click.IntRange(1, 10_000), default=1, show_default=True,
              help="Replay each schedule N times; fail if any two runs differ.")
@click.option("--digests", is_flag=True, help="Print the trace digest of each schedule that runs to its end.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes.")
@click.option("--recheck", type=click.IntRange(0, 10_000), default=2, show_default=True,
              help="Run N certificates of proofs (of the shorter ones) and N of samples again, chosen at random, and believe the others "
                   "if their hashes hold.")
@click.option("--certify", is_flag=True, help="Write a certificate of each proof and each sample that has none with the hashes of now.")
@click.option("--accept", is_flag=True, help="Write the verdicts found into the entries.")
@JSON
def replay(corpus: pathlib.Path, functions: str | None, backend: str, only: str | None, times: int, digests: bool, workers: int,
           recheck: int, certify: bool, accept: bool, as_json: bool) -> None:
    """Run kept races (a directory or one file) against every variant of their family, and compare the verdicts with those expected.

    A .run file, which vmrace fuzz MODULE:FUNCTION has kept, needs its MODULE:FUNCTION named again, unless the pyproject.toml of its
    project allows it: a file alone runs no code. Exit codes: 0 all as expected; 1 a verdict is not as expected; 3 a file cannot be used
    (all others are run), a certificate has no entry or no such variant, or a verdict is undecided.
    """
    from vmrace.fuzz.corpus.entry import EntryError, load_all
    from vmrace.fuzz.functions import run_file
    from vmrace.fuzz.replay.replay import Options
    from vmrace.fuzz.replay.table import Table
    from vmrace.fuzz.verify.left_over import survey
    if corpus.suffix == run_file.SUFFIX and corpus.is_file():
        from vmrace.fuzz.cli import run_commands
        apart.begin()
        with functions_refused():
            sys.exit(run_commands.replay(corpus, functions, times, echo, as_json, accept))
    if certify and accept:
        raise Refused("--certify writes certificates of the verdicts that are expected, and --accept expects others: first one, then the "
                      "other", USAGE)
    started = time.monotonic()
    try:
        loaded, bad = load_all(corpus)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    paths = run_file.find(corpus)
    if not paths:
        only_of_runs(functions)
    tell_bad(bad)
    if not loaded and not paths:
        if bad:
            sys.exit(COULD_NOT)
        raise Refused(f"{corpus}: no entries", NOTHING)
    code, told = (COULD_NOT if bad else 0), dict[str, Any]()
    if paths:
        code, told = _of_functions(paths, functions, times, workers, accept, as_json, code)
    if not loaded:
        if as_json:
            echo(document("replay", code, entries=[], not_used=[str(error) for error in bad] + told.pop("not_used"), **told))
        sys.exit(code)
    _check_variant(only, {name for entry in loaded for name in variants_of(entry)})
    options = Options(backend, only, prove=accept, times=times, certified=True, recheck=recheck, certify=certify, workers=workers)
    table, beside = Table(loaded, options), survey(corpus, loaded)
    with working(lines=True) as say:
        table.replay(say)
    unread = list(dict.fromkeys([*beside.unread, *table.unusable]))
    tell_bad([*unread, *beside.left_over])
    for line in [] if as_json else table.lines(digests):
        echo(line)
    for where, what in table.errors:
        for line in (*where.splitlines(), f"vmrace: this is our bug, please report it: {what}"):
            echo(line, err=True)
    try:
        wrote = table.accept() if accept else []
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    code = _worst(table.code, code, COULD_NOT if unread or beside.left_over else 0)
    seconds, unused = time.monotonic() - started, [*map(str, bad), *unread]
    if as_json:
        unused += [*beside.left_over, *told.pop("not_used", [])]
        echo(document("replay", code, entries=table.as_json(), not_used=unused, wrote=list(map(str, wrote)), changed=table.changes,
                      **told, summary={**table.counts(), "seconds": round(seconds, 1)}))
        sys.exit(code)
    for path in wrote:
        echo(f"wrote {path}")
    echo(table.summary(seconds, unused, beside.left_over, code))
    sys.exit(code)


def _check_variant(only: str | None, known: set[str]) -> None:
    if only is not None and only not in known:
        from vmrace.variants.spelling import did_you_mean
        raise Refused(f"no variant {only!r}{did_you_mean(only, known) or '. See: vmrace variants'}", USAGE)


def _of_functions(paths: list[pathlib.Path], functions: str | None, times: int, workers: int, accept: bool, as_json: bool,
                  code: int) -> tuple[int, dict[str, Any]]:
    """Replay the records of a directory. Returns the exit code, with `code` that of the files so far, and the fields of the document."""
    from vmrace.fuzz.cli import run_commands
    from vmrace.fuzz.functions.replayed import lines_of_replay
    started = time.monotonic()
    with working(lines=True) as say, functions_refused():
        done, bad = run_commands.replay_all(paths, functions, times, workers, accept, say)
    tell_bad(bad)
    for one in done:
        code = _worst(code, one.code)
        for line in [] if as_json else lines_of_replay(one):
            echo(line)
    code = _worst(code, COULD_NOT if bad else 0)
    if not as_json:
        echo(run_commands.summary(done, len(bad), time.monotonic() - started, code))
    return code, {"runs": [one.as_json(times) for one in done], "not_used": [str(error) for error in bad]}


def _worst(*codes: int) -> int:
    """Return the exit code of several: 1 if a verdict has changed, else 3 if something is undecided or cannot be used."""
    return CHANGED if CHANGED in codes else max(codes)
