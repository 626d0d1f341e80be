# SPDX-License-Identifier: MIT
"""The only place that prints. Commands print through `echo`, one line a call, or through a Voice."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator

import click
from vmrace.fuzz.text.writing import why
from vmrace.harness.printable import printable

COLUMNS = 100           # the widest line of a table
LINE_EVERY = 10.0       # seconds between two lines of progress, if stdout is not a terminal


def echo(line: object = "", err: bool = False) -> None:
    """Print one line on stdout, or with `err` on stderr. Control characters, which a terminal would obey, are escaped."""
    click.echo(printable(line), err=err)


class Voice:
    """A printer that loses no line: it writes to stdout until that fails, then to stderr.

    `broken` is the system's reason for the failure, or empty.
    """

    def __init__(self) -> None:
        self.broken = ""

    def say(self, text: str) -> None:
        """Print one or more lines."""
        for line in text.split("\n"):
            self._say(line)

    def complain(self, text: str) -> None:
        """Print a line to stderr."""
        with contextlib.suppress(OSError):
            echo(text, err=True)

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
        """True if every line so far was written to stdout."""
        return not self.broken


def silence() -> None:
    """Redirect stdout to the null device, after a write to it failed. Without that, Python writes again when it exits, and complains."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def clock(seconds: float) -> str:
    """Format a duration in seconds as minutes and seconds: `1:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def rule_of_three(runs: int) -> int:
    """Return N: if none of `runs` independent runs failed, then at 95 % confidence fewer than 1 run in N fails. 0 for too few runs.

    The bound p satisfies (1 - p) ** runs = 0.05, so p is about 3 / runs (Hanley and Lippman-Hand, JAMA 1983).
    """
    bound = int(runs / -math.log(0.05))
    return bound if bound > 1 else 0


@contextlib.contextmanager
def working(lines: bool = False) -> Iterator[Callable[[str], None]]:
    """Show the progress of a long command in one line on stderr, and erase it at the end. If stderr is no terminal, nothing is shown, or,
    with `lines`, one plain line every ten seconds."""
    screen = sys.stderr         # the object of now: the body may redirect sys.stderr
    if not screen.isatty():
        last = time.monotonic()

        def now_and_then(text: str) -> None:
            nonlocal last
            if lines and time.monotonic() - last >= LINE_EVERY:
                last = time.monotonic()
                screen.write(f"{printable(text)}\n")
                screen.flush()

        yield now_and_then
        return

    def say(text: str) -> None:
        screen.write(f"\r\x1b[K{printable(text)}"[:shutil.get_terminal_size().columns + 3])
        screen.flush()

    try:
        yield say
    finally:
        say("")

