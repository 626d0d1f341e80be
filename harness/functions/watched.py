# SPDX-License-Identifier: MIT
"""Lists, dicts and deques that know under which locks they are used.

One lock that is held at every use, whatever the task, orders all uses, and each order of that lock is explored; so nothing needs to be
seen of the container itself. `watched(value)` is a copy of a container whose every method says so first; while `uses.on`, the locks
that are held then are remembered, and `locks_of` tells those that were held each time.

Python's own C code asks the methods of a subclass, too, but for sets and bytearrays, which therefore are none of these, and but for
some functions (`AROUND`): where a program mentions one of those, no use can be told from none.
"""

from __future__ import annotations

import collections
import collections.abc
from collections.abc import Callable, Iterator
from typing import Any

from vmrace.harness.machine.machine import m
from vmrace.harness.machine.task import Task

# type -> how to copy it
KINDS: dict[type, Callable[[Any, Any], Any]] = {
    list: lambda kind, value: kind(value),
    dict: lambda kind, value: kind(value),
    collections.deque: lambda kind, value: kind(value, value.maxlen),
    collections.OrderedDict: lambda kind, value: kind(value),
    collections.Counter: lambda kind, value: kind(value),
    collections.defaultdict: lambda kind, value: kind(value.default_factory, value),
}
# what comes to the contents without a method, or sees that the type is another
AROUND = {"type", "exec", "eval", "operator", "heapq", "heapify", "heappush", "heappop", "heappushpop", "heapreplace", "concat", "iconcat"}
_AS_IT_IS = {"__new__", "__init__", "__class__", "__class_getitem__", "__getattribute__", "__setattr__", "__delattr__", "__dir__",
             "__doc__", "__hash__", "__init_subclass__", "__subclasshook__", "__sizeof__", "__getstate__", "__reduce__", "__format__",
             "__str__"}


class _Uses:
    """Whether uses count: not those of who looks at the data, of `check`, or between two runs."""

    on = False

    def __enter__(self) -> None:
        self.on = True

    def __exit__(self, *_: object) -> None:
        self.on = False


uses = _Uses()


def watched(value: Any) -> Any:
    """A container with the same contents, which knows of each use."""
    kind = type(value)
    return KINDS[kind](_class_of(kind), value)


def is_watched(value: Any) -> bool:
    return type(type(value)) is _Watched


def locks_of(value: Any) -> frozenset[Any]:
    """The locks that were held at every use so far."""
    return value.vmrace_locks or frozenset()


def exclusive(task: Task) -> frozenset[Any]:
    """The locks that a task holds alone: what is held for reading keeps no other reader out."""
    return frozenset(lock for lock in task.held.locks if not getattr(lock, "reads", False))


def count_of(value: Any) -> int:
    """How often it was used."""
    return int(value.vmrace_count)


def used_unseen(value: Any) -> None:
    """Somebody has come to its contents in a way of their own: nothing is known of the locks."""
    value.vmrace_locks = frozenset()


class _Watched(type):
    """The type of these classes."""


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
        if issubclass(kind, dict):                  # what they give out, too, knows of each use
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
    """Its copies are of the type that it was."""
    def reduce(self: Any, protocol: int) -> Any:
        _use(self)
        return _itself, (KINDS[kind](kind, self),)
    return reduce


def _itself(value: Any) -> Any:
    return value
