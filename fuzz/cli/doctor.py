# SPDX-License-Identifier: MIT
"""`vmrace doctor`: check whether this installation works."""

from __future__ import annotations

import pathlib
import sys
from dataclasses import asdict

import click
from vmrace.fuzz.cli.arguments import CORPUS, JSON
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import COULD_NOT
from vmrace.fuzz.text.terminal import echo


@click.command()
@JSON
@CORPUS
def doctor(directory: pathlib.Path, as_json: bool) -> None:
    """Check whether this installation works: one line a check. Exit code 0 if it does, 3 if not."""
    from vmrace.fuzz.measure.installation import checks
    made = []
    for check in checks(directory):
        made.append(check)
        if not as_json:
            echo(f"{check.state:<5} {check.text}")
    failed = sum(check.state == "FAIL" for check in made)
    code = COULD_NOT if failed else 0
    if as_json:
        echo(document("doctor", code, checks=[asdict(check) for check in made]))
    else:
        echo(f"vmrace: {f'{failed} of these must be mended' if failed else 'all is well'}   (exit {code})")
    sys.exit(code)
