# SPDX-License-Identifier: MIT
"""The edge to the terminal: whatever the commands print leaves through `echo`, a line a call, or through a Voice."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator

import click
from vmrace.fuzz.text.writing import why
from vmrace.harness.printable import printable


def echo(line: object = "", err: bool = False) -> None:
    """Print one line, with what a terminal would obey escaped: on stdout, or on stderr with `err`."""
    click.echo(printable(line), err=err)


class Voice:
    """Prints to stdout as long as that can be written, and then to stderr, with nothing left out. `broken` says why."""

    def __init__(self) -> None:
        self.broken = ""

    def say(self, text: str) -> None:
        """Print one or more lines."""
        for line in text.split("\n"):
            self._say(line)

    def _say(self, line: str) -> None:
        if not self.broken:
            try:
                echo(line)
                return
            except OSError as error:
                self.broken = why(error)
                silence()
                line = f"vmrace: stdout: cannot be written: {self.broken}; the rest is here\n{line}"
        with contextlib.suppress(OSError):
            for one in line.split("\n"):
                echo(one, err=True)

    def listens(self) -> bool:
        """True if what is said goes where it should."""
        return not self.broken


def silence() -> None:
    """Send stdout nowhere, once it could not be written: or Python tries again at its end, and complains."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

LINE_EVERY = 10.0       # seconds between lines of progress without a terminal


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def rule_of_three(runs: int) -> int:
    """No failure in `runs` independent runs: at 95 % confidence fewer than one in this many fails."""
    return int(runs / -math.log(0.05)) if runs else 0


@contextlib.contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """For commands that are silent for long: what they are at, in a line on stderr that is gone in the end. Only on a terminal."""
    screen = sys.stderr         # this one, whatever is redirected meanwhile
    if not screen.isatty():
        yield lambda text: None
        return

    def say(text: str) -> None:
        screen.write(f"\r\x1b[K{printable(text)}"[:shutil.get_terminal_size().columns + 3])
        screen.flush()

    try:
        yield say
    finally:
        say("")


COLUMNS = 100
