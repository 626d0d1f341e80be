# SPDX-License-Identifier: MIT
"""Lists, dicts and deques that record the locks under which they are used.

If one lock is held at every use, in every task, that lock orders all uses, and the explorer runs each order of the lock. The container
itself need not be watched then. `watched(value)` is a copy of a container whose methods record each use while `uses.on`. `locks_of`
returns the locks that were held at every use.

Python's own C code calls the methods of a subclass, with two exceptions. One is sets and bytearrays, which are therefore not watched.
The other is some functions (`AROUND`): if a program mentions one of them, a use may go unrecorded.
"""

from __future__ import annotations

import collections
import collections.abc
from collections.abc import Callable, Iterator
from typing import Any

from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import Task

# type -> a function that makes a copy of another class
KINDS: dict[type, Callable[[Any, Any], Any]] = {
    list: lambda kind, value: kind(value),
    dict: lambda kind, value: kind(value),
    collections.deque: lambda kind, value: kind(value, value.maxlen),
    collections.OrderedDict: lambda kind, value: kind(value),
    collections.Counter: lambda kind, value: kind(value),
    collections.defaultdict: lambda kind, value: kind(value.default_factory, value),
}
# names by which code reaches the contents without a method, or observes that the type differs
AROUND = {"type", "exec", "eval", "operator", "heapq", "heapify", "heappush", "heappop", "heappushpop", "heapreplace", "concat", "iconcat"}
_AS_IT_IS = {"__new__", "__init__", "__class__", "__class_getitem__", "__getattribute__", "__setattr__", "__delattr__", "__dir__",
             "__doc__", "__hash__", "__init_subclass__", "__subclasshook__", "__sizeof__", "__getstate__", "__reduce__", "__format__",
             "__str__"}


class _Uses:
    """A context in which uses count: the code of tasks runs. Uses by `check`, by recorders, and between two runs do not count."""

    on = False

    def __enter__(self) -> None:
        self.on = True

    def __exit__(self, *_: object) -> None:
        self.on = False


uses = _Uses()


def watched(value: Any) -> Any:
    """Return a container with the same contents that records each use."""
    kind = type(value)
    return KINDS[kind](_class_of(kind), value)


def is_watched(value: Any) -> bool:
    return type(type(value)) is _Watched


def locks_of(value: Any) -> frozenset[Any]:
    """Return the locks that were held at every use so far; none if there was no use."""
    return value.vmrace_locks or frozenset()


def exclusive(task: Task) -> frozenset[Any]:
    """Return the locks that a task holds exclusively: a lock held for reading keeps no other reader out."""
    return frozenset(lock for lock in task.held.locks if not getattr(lock, "reads", False))


def count_of(value: Any) -> int:
    """Return the number of uses."""
    return int(value.vmrace_count)


def used_unseen(value: Any) -> None:
    """Record a use that no method has seen: no lock is known to be held at every use."""
    value.vmrace_locks = frozenset()


class _Watched(type):
    """The type of the classes of watched containers."""


_classes: dict[type, type] = {}


def _class_of(kind: type) -> type:
    if kind not in _classes:
        names = [name for name in dir(kind) if name not in _AS_IT_IS and callable(getattr(kind, name))]
        body: dict[str, Any] = {name: _method(getattr(kind, name)) for name in names}
        body |= {"__iter__": _iterator(kind, "__iter__"), "__reduce_ex__": _reduce(kind), "__module__": kind.__module__,
                 "__hash__": None, "vmrace_locks": None, "vmrace_count": 0}
        if kind is list:
            body["__radd__"] = lambda self, other: _method(lambda one: [*other, *one])(self)
        if "__reversed__" in body:
            body["__reversed__"] = _iterator(kind, "__reversed__")
        if issubclass(kind, dict):                  # their views record each use, too
            body |= {"keys": collections.abc.KeysView, "values": collections.abc.ValuesView, "items": collections.abc.ItemsView}
            body |= {name: _view(body[name]) for name in ("keys", "values", "items")}
        _classes[kind] = _Watched(kind.__name__, (kind,), body)
    return _classes[kind]


def _use(value: Any) -> None:
    if uses.on and not m.unwinding:
        held, before = exclusive(m.current), value.vmrace_locks
        value.vmrace_locks = held if before is None else before & held
        value.vmrace_count += 1


def _method(real: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        _use(self)
        return real(self, *args, **kwargs)
    return method


def _iterator(kind: Any, name: str) -> Callable[[Any], Iterator[Any]]:
    real = getattr(kind, name)

    def iterate(self: Any) -> Iterator[Any]:
        _use(self)
        return _each(self, real(self))
    return iterate


def _each(value: Any, items: Iterator[Any]) -> Iterator[Any]:
    for item in items:
        yield item
        _use(value)


def _view(view: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def look(self: Any) -> Any:
        _use(self)
        return view(self)
    return look


def _reduce(kind: Any) -> Callable[[Any, int], Any]:
    """Return a `__reduce_ex__` by which a copy has the type of the container before it was watched."""
    def reduce(self: Any, protocol: int) -> Any:
        _use(self)
        return _itself, (KINDS[kind](kind, self),)
    return reduce


def _itself(value: Any) -> Any:
    return value
