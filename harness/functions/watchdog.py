# SPDX-License-Identifier: MIT
"""A timer for functions that loop without reaching a point. The machine cannot preempt such a function; a signal can end it.

    with watchdog.watched():
        runner.run(...)             # raises ProgramError, with the line, if no point is reached for SECONDS

It works in the main thread, if nothing else uses SIGALRM; otherwise nothing is watched.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from vmrace.harness.errors import ProgramError
from vmrace.harness.machine.machine import m

SECONDS = 5.0


class _Busy:
    """A context around code of the user: `depth` is above 0 while such code runs, `count` the number of entries."""

    def __init__(self) -> None:
        self.depth = 0
        self.count = 0

    def __enter__(self) -> None:
        self.depth += 1
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


busy = _Busy()


@contextlib.contextmanager
def watched(seconds: float | None = None) -> Iterator[None]:
    """Inside the block, end code of the user that reaches no point for `seconds` (default: SECONDS), by ProgramError."""
    seconds = SECONDS if seconds is None else seconds
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
        yield
        return
    last = (-1, -1)

    def tick(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = (busy.count, m.step)
        if busy.depth and now == last and frame is not None:
            code = frame.f_code
            raise ProgramError(f"no point is reached for {seconds:g} s in {code.co_name} ({code.co_filename}:{frame.f_lineno}): "
                               "a function that does not end there cannot be run")
        last = now

    signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
