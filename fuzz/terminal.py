# SPDX-License-Identifier: MIT
"""The edge to the terminal: whatever the commands print leaves through `echo`, a line a call."""

from __future__ import annotations

import click

from harness.printable import printable


def echo(line: object = "", err: bool = False) -> None:
    """Print one line, with what a terminal would obey escaped: on stdout, or on stderr with `err`."""
    click.echo(printable(line), err=err)
