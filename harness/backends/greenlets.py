# SPDX-License-Identifier: MIT
"""Stacks as greenlets, the default backend: a switch costs a fraction of a microsecond."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import greenlet

if TYPE_CHECKING:
    from vmrace.harness.machine.task import Task


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.pool: dict[int, Task] = {}


_mine = _OfThread()         # a greenlet can run only in the thread that made it, so all backends of one thread share a pool


class Greenlets:
    """The backend of greenlets."""

    def __init__(self) -> None:
        self.pool = _mine.pool

    def main(self) -> greenlet.greenlet:
        return greenlet.getcurrent()

    def stack(self, body: Callable[[Task], None], task: Task) -> greenlet.greenlet:
        """Return a new stack, started already, up to its first switch.

        A greenlet counts its calls from the depth at which it was started. If tasks started each other later, one inside the other,
        they would reach Python's recursion limit.
        """
        creator = greenlet.getcurrent()

        def run() -> None:
            creator.switch()
            body(task)
        made = greenlet.greenlet(run)
        made.switch()
        return made
