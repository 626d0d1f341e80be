# SPDX-License-Identifier: MIT
"""A request to stop. A loop that makes runs looks at it between two of them, where nothing is half done.

A signal handler that raises would do so anywhere: in a `finally`, in the middle of a run on a stack of the machine, while a file
is being written. The handler only asks, and `look` raises where that is safe. The request is shared with every process that is forked
later. Nobody has to pass it on, and nobody can lose it: once asked, each look raises again.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator

_request = mmap.mmap(-1, 1)     # shared with what is forked from here on
_raises = True                  # False in a worker, which hands back what it has
_parent = 0                     # of a process that is to end when that one is gone


def ask() -> None:
    """Ask this process, and all that were forked from it, to stop."""
    _request[0] = 1


def clear() -> None:
    """Forget the request: a new command begins."""
    _request[0] = 0


def asked() -> bool:
    """True if somebody has asked to stop."""
    return _request[0] != 0


def look() -> None:
    """Go on, or not: KeyboardInterrupt if this process is asked to stop. A process whose parent is gone ends."""
    if _request[0] and _raises:
        raise KeyboardInterrupt
    if _parent and os.getppid() != _parent:
        os._exit(1)             # nobody waits for what it does


@contextlib.contextmanager
def held() -> Iterator[None]:
    """In it, `look` does not raise: who is asked ends in his own way, and keeps what he has."""
    global _raises
    before, _raises = _raises, False
    try:
        yield
    finally:
        _raises = before


def belong(raises: bool) -> None:
    """In a process that was just forked: it ends when its parent is gone. `raises`: whether `look` raises here."""
    global _raises, _parent
    _raises, _parent = raises, os.getppid()
