# SPDX-License-Identifier: MIT
"""How a worker process is asked to end early: by the driver's flag, or by SIGTERM while it works.

Whoever works looks at `asked()` between runs and hands back what there is, so that nothing found is lost. A worker that does
nothing dies of SIGTERM as any process does.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

_flag: Any = None           # shared with the driver
_busy = False
_terminated = False


def new_flag() -> Any:
    """A flag for `begin` in each worker; the driver sets its `value` to 1."""
    import multiprocessing  # here: a replay needs none
    return multiprocessing.get_context("fork").RawValue("b", 0)


def begin(flag: Any) -> None:
    """In a new worker process. Ctrl-C is the driver's business."""
    global _flag
    _flag = flag
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _told_to_end)


def _told_to_end(number: int, frame: FrameType | None) -> None:
    global _terminated
    if _terminated or not _busy:
        os._exit(1)
    _terminated = True


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
    """End now?"""
    return _terminated or (_flag is not None and bool(_flag.value))
