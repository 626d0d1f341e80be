# SPDX-License-Identifier: MIT
"""`vmrace claims`: the ledger, and its checks again."""

from __future__ import annotations

import json
import pathlib
import sys
import time

import click
from vmrace.fuzz.cli.arguments import CORPUS, Refused
from vmrace.fuzz.text.exit_codes import COULD_NOT, USAGE
from vmrace.fuzz.text.terminal import echo, working
from vmrace.fuzz.text.wording import count


@click.command()
@click.argument("claim", default="", metavar="[ID]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: claims, then a summary.")
@CORPUS
@click.pass_context
def claims(context: click.Context, claim: str, as_json: bool, directory: pathlib.Path) -> None:
    """What the posts claim, and what we can say of it: every check of the ledger (CORPUS/claims.toml) done again.

    With an ID, all about that claim. Exit codes: 0 as the ledger says; 1 a check found something else; 3 one could not be
    done.
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
        for one in judged:
            echo(json.dumps(report.as_json(one)))
        echo(json.dumps({"summary": True, **report.counts(judged), "exit": code}))
    else:
        for line in report.story(judged[0]) if claim else report.table(judged):
            echo(line)
        echo("")
        echo(report.summary(judged, time.monotonic() - started))
    sys.exit(code)
