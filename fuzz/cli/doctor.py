# SPDX-License-Identifier: MIT
"""`vmrace doctor`: whether this installation works."""

from __future__ import annotations

import pathlib
import sys

import click
from vmrace.fuzz.cli.arguments import CORPUS
from vmrace.fuzz.text.exit_codes import COULD_NOT
from vmrace.fuzz.text.terminal import echo


@click.command()
@CORPUS
def doctor(directory: pathlib.Path) -> None:
    """Whether this installation works: one line a check. Exit code 0 if it does, 3 if not."""
    from vmrace.fuzz.measure.installation import checks
    failed = 0
    for check in checks(directory):
        echo(f"{check.state:<5} {check.text}")
        failed += check.state == "FAIL"
    echo(f"vmrace: {f'{failed} of these must be mended' if failed else 'all is well'}   (exit {COULD_NOT if failed else 0})")
    sys.exit(COULD_NOT if failed else 0)
