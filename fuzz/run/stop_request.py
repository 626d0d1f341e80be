# SPDX-License-Identifier: MIT
"""Signals, and their effect on a command. The first Ctrl-C, SIGTERM or SIGHUP asks the command to stop (see harness/stop); the second
ends it at once.

A command that is asked to stop keeps its findings, changes no verdict, and ends with exit code 130. The second signal waits for
nothing: worker processes are killed, and a file that is being written keeps its old contents.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from vmrace.fuzz.text.exit_codes import INTERRUPTED
from vmrace.harness import stop

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
APART_SECONDS = 0.5     # two signals closer than that count as one: `timeout` signals the process and then its process group

_installed = False
_heard = math.inf       # the time of the first signal, of time.monotonic
_last_actions: list[Callable[[], None]] = []    # called before the command ends at once


def install() -> None:
    """Make the signals ask the command to stop. SIGHUP stays ignored if it is ignored now (nohup)."""
    global _installed, _heard
    _installed, _heard = True, math.inf
    stop.clear()
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _ask)


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Make the signals ask the command in the body to stop. Changes nothing inside another command, or outside the main thread."""
    global _installed
    if _installed or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    install()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _installed = False
        stop.clear()


def done() -> None:
    """Ignore the signals from now on. The exit code is decided; Python's own exit would restore the default actions, which change it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def at_once(action: Callable[[], None]) -> Iterator[None]:
    """While the body runs, call `action` (to kill processes) if a second signal ends the command."""
    _last_actions.append(action)
    try:
        yield
    finally:
        _last_actions.remove(action)


def _ask(number: int, frame: FrameType | None) -> None:
    global _heard
    stop.ask()
    now = time.monotonic()
    if now - _heard > APART_SECONDS:
        end_at_once()
    _heard = min(_heard, now)


def end_at_once() -> None:
    """Call the last actions and end this process with exit code 130, without waiting."""
    for action in _last_actions:
        with contextlib.suppress(Exception):
            action()
    with contextlib.suppress(Exception):
        shown = b"\x1b[?25h" if sys.stdout.isatty() else b""        # show the cursor again, which a live line hides
        os.write(2, shown + b"vmrace: interrupted at once\n")
    os._exit(INTERRUPTED)


def begin_apart() -> None:
    """Set up a process that runs a user's code (see fuzz/functions/apart.py): its parent receives Ctrl-C and SIGHUP, and asks it to
    stop."""
    global _heard
    _last_actions.clear()
    _heard = math.inf
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


# ---- in a worker ------------------------------------------------------------------------------------------------------------

_busy = False
_terminated = False


def begin() -> None:
    """Set up a new worker process. The driver alone reacts to Ctrl-C and SIGHUP. SIGTERM asks a busy worker to return its results;
    a second SIGTERM ends it."""
    _last_actions.clear()
    stop.belong(raises=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    global _terminated
    if _terminated:
        os._exit(1)
    _terminated = _busy         # ignored while idle: a job may already be in the pipe, and must not be lost


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Mark the worker as busy while the body, a job of the driver, runs."""
    global _busy, _terminated
    _busy, _terminated = True, False
    try:
        yield
    finally:
        _busy = _terminated = False


def asked() -> bool:
    """True if this process is asked to stop, by the command or by its own SIGTERM."""
    return _terminated or stop.asked()
