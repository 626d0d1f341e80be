# SPDX-License-Identifier: MIT
"""`vmrace replay`: run kept races on every variant, and kept failures of plain functions."""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import click
from vmrace.fuzz.cli.arguments import (
    JSON,
    PLACE,
    Refused,
    check_variant,
    functions_refused,
    no_certificate,
    only_for,
    only_of_runs,
    tell_bad,
    variants_of,
)
from vmrace.fuzz.functions import apart
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import CHANGED, COULD_NOT, NOTHING, USAGE
from vmrace.fuzz.text.terminal import echo, working
from vmrace.fuzz.text.wording import count

if TYPE_CHECKING:
    from vmrace.fuzz.corpus.entry import Entry
    from vmrace.fuzz.replay.replay import Options


@click.command()
@click.argument("corpus", type=PLACE, default=pathlib.Path("corpus"))
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
@click.pass_context
def replay(context: click.Context, corpus: pathlib.Path, functions: str | None, backend: str, only: str | None, times: int, digests: bool,
           workers: int, recheck: int, certify: bool, accept: bool, as_json: bool) -> None:
    """Run kept races (a directory or one file) against every variant of their family, and compare the verdicts with those expected.

    A .run file, which vmrace fuzz MODULE:FUNCTION has kept, needs its MODULE:FUNCTION named again, unless the pyproject.toml of its
    project allows it: a file alone runs no code. Exit codes: 0 all as expected; 1 a verdict is not as expected; 3 a file cannot be used
    (all others are run), a certificate has no entry or no such variant, or a verdict is undecided.
    """
    from vmrace.fuzz.corpus.entry import EntryError, load_all
    from vmrace.fuzz.functions import run_file
    from vmrace.fuzz.replay.replay import Options
    if corpus.suffix == run_file.SUFFIX and corpus.is_file():
        from vmrace.fuzz.cli import run_commands
        only_for(context, "entries of families, and not for a .run file", OF_ENTRIES, False)
        apart.begin()
        with functions_refused():
            sys.exit(run_commands.replay(corpus, functions, times, echo, as_json, accept))
    if certify and accept:
        raise Refused("--certify writes certificates of the verdicts that are expected, and --accept expects others: first one, then the "
                      "other", USAGE)
    no_certificate(corpus)
    started = time.monotonic()
    try:
        loaded, bad = load_all(corpus)
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    paths = run_file.find(corpus)
    if not paths:
        only_of_runs(functions)
    if only is not None and loaded:
        check_variant(only, {name for entry in loaded for name in variants_of(entry)})
    if not loaded and not bad:
        only_for(context, f"entries of families, and {corpus} has none", OF_ENTRIES, not paths)
    answer = _Answer(as_json)
    answer.name_bad(bad)
    if not loaded and not paths:
        if bad:
            sys.exit(COULD_NOT)
        raise Refused(f"{corpus}: no entries", NOTHING)
    if paths:
        _of_functions(answer, paths, functions, times, workers, accept)
    if loaded:
        options = Options(backend, only, prove=accept, times=times, certified=True, recheck=recheck, certify=certify, workers=workers)
        _of_entries(answer, corpus, loaded, options, digests, started)
    answer.end(time.monotonic() - started)


OF_ENTRIES = ("backend", "only", "certify")      # the parameters that say nothing of plain functions


@dataclass
class _Answer:
    """The answer of a replay of entries, of records of plain functions, or of both. `code`: the worst exit code so far. `texts`: the parts
    of the last line. `bad`: a line for each file that cannot be used; `left_over`: one for each certificate without its entry or variant.
    `fields`: of the document."""

    as_json: bool
    code: int = 0
    texts: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=lambda: {"entries": []})

    def say(self, lines: list[str]) -> None:
        """Print lines, unless a document is asked for."""
        for line in [] if self.as_json else lines:
            echo(line)

    def name_bad(self, bad: Sequence[object]) -> None:
        """Name files that cannot be used."""
        tell_bad(bad)
        self.bad += map(str, bad)
        self.worse(COULD_NOT if bad else 0)

    def worse(self, code: int) -> None:
        """Take a code into account: 1 if a verdict has changed, else 3 if something is undecided or cannot be used."""
        self.code = CHANGED if CHANGED in (self.code, code) else max(self.code, code)

    def end(self, seconds: float) -> NoReturn:
        """Print the last line, or the document, and leave with the exit code."""
        if self.as_json:
            echo(document("replay", self.code, not_used=self.bad + self.left_over, **self.fields))
            sys.exit(self.code)
        line = "; ".join(self.texts)
        for lines, what in ((self.bad, f"{count(len(self.bad), 'file')} not used"),
                            (self.left_over, f"{count(len(self.left_over), 'certificate')} left over")):
            if lines:
                line += f", {what}{':' if len(lines) == 1 else ', the first is'} {lines[0]}"
        echo(f"{line}   ({seconds:.1f} s, exit {self.code})")
        sys.exit(self.code)


def _of_entries(answer: _Answer, corpus: pathlib.Path, loaded: list[Entry], options: Options, digests: bool, started: float) -> None:
    """Replay the entries of a directory or a file."""
    from vmrace.fuzz.corpus.entry import EntryError
    from vmrace.fuzz.replay.table import Table
    from vmrace.fuzz.verify.left_over import survey
    table, beside = Table(loaded, options), survey(corpus, loaded)
    with working(lines=True) as say:
        table.replay(say)
    answer.name_bad(list(dict.fromkeys([*beside.unread, *table.unusable])))
    tell_bad(beside.left_over)
    answer.left_over = beside.left_over
    answer.worse(COULD_NOT if beside.left_over else 0)
    answer.say(table.lines(digests))
    for where, what in table.errors:
        for line in (*where.splitlines(), f"vmrace: this is our bug, please report it: {what}"):
            echo(line, err=True)
    try:
        wrote = list(map(str, table.accept() if options.prove else []))
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    answer.say([f"wrote {path}" for path in wrote])
    answer.worse(table.code)
    answer.texts.append(table.summary())
    answer.fields |= {"entries": table.as_json(), "wrote": wrote, "changed": table.changes,
                      "summary": {**table.counts(), "seconds": round(time.monotonic() - started, 1)}}


def _of_functions(answer: _Answer, paths: list[pathlib.Path], functions: str | None, times: int, workers: int, accept: bool) -> None:
    """Replay the records of a directory."""
    from vmrace.fuzz.cli import run_commands
    from vmrace.fuzz.functions.replayed import lines_of_replay
    with working(lines=True) as say, functions_refused():
        done, bad = run_commands.replay_all(paths, functions, times, workers, accept, say)
    answer.name_bad(bad)
    for one in done:
        answer.worse(one.code)
        answer.say(lines_of_replay(one))
    answer.texts.append(run_commands.summary(done))
    answer.fields["runs"] = [one.as_json(times) for one in done]
