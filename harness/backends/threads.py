# SPDX-License-Identifier: MIT
"""Stacks as OS threads that pass one baton: exactly one of them runs at any time.

This backend proves that nothing in a run depends on greenlets, and serves code that needs real threads. Each stack is one thread. If
several tasks share a cpu, at most one of their threads is on that cpu.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmrace.harness.machine.task import Task


PATIENCE = 2.0      # seconds; a task that runs for so long without a switch may never end, and Ctrl-C then ends the run anyhow


class Carrier(threading.Thread):
    """A thread that carries a stack. Its type tells it apart from the threads that a program starts (functions/foreign.py)."""


class ThreadStack:
    """A stack: a thread, and the lock that it waits on while it does not have the baton."""

    __slots__ = ("_backend", "_baton", "_body", "_task", "_thread")

    def __init__(self, backend: Threads, body: Callable[[Task], None] | None, task: Task | None):
        self._backend = backend
        self._body = body
        self._task = task
        self._baton = threading.Lock()
        self._baton.acquire()
        self._thread: Carrier | None = None

    def switch(self) -> None:
        me = self._backend.holder
        if me is self._backend.main():
            with _without_ctrl_c():
                self._run()
                while not me._baton.acquire(timeout=PATIENCE) and signal.SIGINT not in signal.sigpending():
                    pass
        else:
            self._run()
            me._baton.acquire()

    def _run(self) -> None:
        self._backend.holder = self
        if self._thread is None and self._body is not None and self._task is not None:
            self._thread = Carrier(target=self._body, args=(self._task,), name=self._task.name, daemon=True)
            self._thread.start()
        else:
            self._baton.release()


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Hold Ctrl-C back. It would leave a switch half done, or go on in the main thread while another thread has the baton."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Threads:
    """The backend of OS threads."""

    def __init__(self) -> None:
        self._main = ThreadStack(self, None, None)
        self.holder = self._main
        self.pool: dict[int, Task] = {}         # not shared: a stack passes the baton of the backend that made it

    def main(self) -> ThreadStack:
        return self._main

    def stack(self, body: Callable[[Task], None], task: Task) -> ThreadStack:
        return ThreadStack(self, body, task)
