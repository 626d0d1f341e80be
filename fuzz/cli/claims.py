# SPDX-License-Identifier: MIT
"""`vmrace claims`: check the ledger again."""

from __future__ import annotations

import pathlib
import sys
import time

import click
from vmrace.fuzz.cli.arguments import CORPUS, JSON, Refused
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import COULD_NOT, USAGE
from vmrace.fuzz.text.terminal import echo, working
from vmrace.fuzz.text.wording import count


@click.command()
@click.argument("claim", default="", metavar="[ID]")
@JSON
@CORPUS
@click.pass_context
def claims(context: click.Context, claim: str, as_json: bool, directory: pathlib.Path) -> None:
    """Check again what the posts claim: run every check of the ledger (CORPUS/claims.toml), and print the claims and verdicts.

    With an ID, print everything about that claim. Exit codes: 0 as the ledger says; 1 a check found something else; 3 a check could not
    be run.
    """
    from vmrace.fuzz.claims import ledger, report
    from vmrace.fuzz.claims.checks import Judged, Runner
    from vmrace.fuzz.corpus.entry import EntryError
    started = time.monotonic()
    try:
        kept = ledger.read(directory)
        wanted = [one for one in kept if claim in ("", one.id)]
        if not wanted:
            from vmrace.variants.spelling import did_you_mean
            raise Refused(f"no claim {claim!r}{did_you_mean(claim, [one.id for one in kept]) or '. See: vmrace claims'}", USAGE)
        runner = Runner(directory, context.find_root().command.main)
        judged: list[Judged] = []
        with working() as say:
            for asked in wanted:
                say(f"  {len(judged) + 1} of {count(len(wanted), 'claim')}: {asked.id}")
                judged.append(runner.judge(asked))
    except EntryError as error:
        raise Refused(str(error), COULD_NOT) from None
    code = report.code(judged)
    if as_json:
        echo(document("claims", code, claims=[report.as_json(one) for one in judged], summary=report.counts(judged)))
    else:
        for line in report.story(judged[0]) if claim else report.table(judged):
            echo(line)
        echo("")
        echo(report.summary(judged, time.monotonic() - started))
    sys.exit(code)
