# SPDX-License-Identifier: MIT
"""Python's own threads, locks and queues: a task that starts a thread, or makes such an object, is refused.

No explorer sees which task waits for such an object, and a thread runs at any time. This module finds the objects that a task makes
while it runs; python_state.py finds those that a program has made before.
"""

from __future__ import annotations

import threading
import types
from typing import Any

from vmrace.harness.backends.threads import Carrier
from vmrace.harness.kernel.registry import linking
from vmrace.harness.user_data.whose import is_maker


class Refused:
    """A context in which a task that starts a thread, or makes an object by one of `makers`, raises ProgramError.

    A maker is a variable through which the program's functions reach threading and the like: its dict of names, its name, its value.
    """

    def __init__(self, makers: list[tuple[dict[str, Any], str, Any]]):
        self.makers = [(names, name, value, _stand_in(value, name)) for names, name, value in makers]
        self.started = threading.Thread.start

    def __enter__(self) -> None:
        self.started, mine = threading.Thread.start, threading.get_ident()
        started = self.started

        def start(thread: threading.Thread) -> None:
            if linking.running and not isinstance(thread, Carrier) and (
                    threading.get_ident() == mine or isinstance(threading.current_thread(), Carrier)):
                linking.refuse(f"a task starts a thread, {thread.name}: no explorer sees what it does; make it a task")
            started(thread)

        threading.Thread.start = start              # type: ignore[assignment,method-assign]
        for names, name, _, stand_in in self.makers:
            names[name] = stand_in

    def __exit__(self, *_: object) -> None:
        threading.Thread.start = self.started       # type: ignore[method-assign]
        for names, name, value, _ in self.makers:
            names[name] = value


def _stand_in(value: Any, name: str) -> Any:
    if isinstance(value, types.ModuleType):
        return _Module(value)
    if isinstance(value, type):
        return _Class(name, (), {"original": value})
    return lambda *args, **kwargs: _refuse(name)


class _Module:
    """A stand-in for a module, by which a task can make none of these objects."""

    def __init__(self, module: types.ModuleType):
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        return _stand_in(value, f"{self._module.__name__}.{name}") if is_maker(value) else value


class _Class(type):
    """The type of a stand-in for a class: isinstance() works as with the class, and a call raises ProgramError."""

    original: type

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        _refuse(cls.__name__)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.original)


def _refuse(name: str) -> None:
    linking.refuse(f"a task makes a {name}: no explorer sees which task waits for it; use locks, semaphores and wait queues of "
                   "vmrace.harness.kernel")
