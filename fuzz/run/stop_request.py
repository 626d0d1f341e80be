# SPDX-License-Identifier: MIT
"""Signals, and their effect on a command. The first Ctrl-C, SIGTERM or SIGHUP asks it to stop (see harness/stop); the second ends
it there.

A command that was asked keeps what it has found, changes no verdict, and ends with the code 130. The second signal waits for
nothing: worker processes are killed, and a file that is being written stays as it was.
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
APART_SECONDS = 0.5     # two signals closer than that are one: `timeout` sends its own to the process, and to its group

_installed = False
_heard = math.inf       # when the first one came, of time.monotonic
_last_deeds: list[Callable[[], None]] = []      # what is done before the command ends at once


def install() -> None:
    """From now on signals ask. SIGHUP does not, where it is ignored (nohup)."""
    global _installed, _heard
    _installed, _heard = True, math.inf
    stop.clear()
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _ask)


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Around a command: signals ask. Within another command, or in another thread than the main one, nothing is changed."""
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
    """The command has its exit code: no signal changes that while Python ends, which would put the default actions back."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def at_once(deed: Callable[[], None]) -> Iterator[None]:
    """In it, `deed` is done if a second signal ends the command: it kills processes."""
    _last_deeds.append(deed)
    try:
        yield
    finally:
        _last_deeds.remove(deed)


def _ask(number: int, frame: FrameType | None) -> None:
    global _heard
    stop.ask()
    now = time.monotonic()
    if now - _heard > APART_SECONDS:
        end_at_once()
    _heard = min(_heard, now)


def end_at_once() -> None:
    """End this process, and what it has forked, without waiting for anything."""
    for deed in _last_deeds:
        with contextlib.suppress(Exception):
            deed()
    with contextlib.suppress(Exception):
        shown = b"\x1b[?25h" if sys.stdout.isatty() else b""        # a live line hides the cursor
        os.write(2, shown + b"vmrace: interrupted at once\n")
    os._exit(INTERRUPTED)


def begin_apart() -> None:
    """In a process that is watched (see apart): whoever watches hears of Ctrl-C and SIGHUP, and asks."""
    global _heard
    _last_deeds.clear()
    _heard = math.inf
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


# ---- in a worker ------------------------------------------------------------------------------------------------------------

_busy = False
_terminated = False


def begin() -> None:
    """In a new worker process: Ctrl-C and SIGHUP are the business of whoever forked it. SIGTERM asks it to hand back what it has,
    if it has something; a second one ends it."""
    _last_deeds.clear()
    stop.belong(raises=False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _told_to_end)


def _told_to_end(number: int, frame: FrameType | None) -> None:
    global _terminated
    if _terminated:
        os._exit(1)
    _terminated = _busy         # who does nothing may have been given something, which must not be lost


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Around what a worker does for the driver."""
    global _busy, _terminated
    _busy, _terminated = True, False
    try:
        yield
    finally:
        _busy = _terminated = False


def asked() -> bool:
    """True if this is to end now."""
    return _terminated or stop.asked()
