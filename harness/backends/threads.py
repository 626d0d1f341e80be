# SPDX-License-Identifier: MIT
"""Stacks as OS threads that pass one baton: exactly one runs at any time.

The proof that nothing in a run depends on greenlets, and the mode for code that needs real threads. One thread per cpu;
a cpu that several tasks share has one thread for each of their stacks, of which at most one is on the cpu.
"""

import threading
from collections.abc import Callable
from typing import Any


class Carrier(threading.Thread):
    """A thread that carries a stack."""


class ThreadStack:
    """A thread and the lock it waits on while it does not have the baton."""

    __slots__ = ("_backend", "_baton", "_body", "_task", "_thread")

    def __init__(self, backend: "Threads", body: Callable[[Any], None] | None, task: Any):
        self._backend = backend
        self._body = body
        self._task = task
        self._baton = threading.Lock()
        self._baton.acquire()
        self._thread: Carrier | None = None

    def switch(self) -> None:
        backend = self._backend
        me, backend.holder = backend.holder, self
        if self._thread is None and self._body is not None:
            self._thread = Carrier(target=self._body, args=(self._task,), name=self._task.name, daemon=True)
            self._thread.start()
        else:
            self._baton.release()
        me._baton.acquire()


class Threads:
    def __init__(self) -> None:
        self._main = ThreadStack(self, None, None)
        self.holder = self._main
        self.pool: dict[int, Any] = {}          # its own: stacks pass the baton of the backend that made them

    def main(self) -> ThreadStack:
        return self._main

    def stack(self, body: Callable[[Any], None], task: Any) -> ThreadStack:
        return ThreadStack(self, body, task)
