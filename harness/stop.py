# SPDX-License-Identifier: MIT
"""A request to stop. A loop that makes runs looks at it between two runs, where nothing is half done.

A signal handler that raises would raise anywhere: in a `finally`, in the middle of a run on a stack of the machine, while a file is
being written. Our handler only asks, and `look` raises at a place that is safe. The request is in memory shared with every process that
is forked later, so no process has to pass it on. After a request each `look` raises again, so none can lose it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator

_request = mmap.mmap(-1, 1)     # shared with each process that is forked later
_raises = True                  # False in a worker, which returns the results that it has
_parent = 0                     # the process whose end ends this one, if any


def ask() -> None:
    """Ask this process, and every process forked from it, to stop."""
    _request[0] = 1


def clear() -> None:
    """Forget the request: a new command begins."""
    _request[0] = 0


def asked() -> bool:
    """True if this process is asked to stop."""
    return _request[0] != 0


def look() -> None:
    """Raise KeyboardInterrupt if this process is asked to stop. End the process at once if its parent (see `belong`) is gone."""
    if _request[0] and _raises:
        raise KeyboardInterrupt
    if _parent and os.getppid() != _parent:
        os._exit(1)             # no process waits for its results


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Inside the block `look` does not raise: the caller asks `asked`, ends in its own way, and keeps its results."""
    global _raises
    before, _raises = _raises, False
    try:
        yield
    finally:
        _raises = before


def belong(raises: bool) -> None:
    """End this process, which was just forked, when its parent is gone. `raises`: whether `look` raises in this process."""
    global _raises, _parent
    _raises, _parent = raises, os.getppid()
