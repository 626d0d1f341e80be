# SPDX-License-Identifier: MIT
"""The places that hold plain data, and the way to restore each."""

from __future__ import annotations

import collections.abc
import operator
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vmrace.harness.user_data.comparable import frozen

Container = list[Any] | dict[Any, Any] | set[Any] | bytearray | collections.deque[Any]
MISSING: Any = object()


@dataclass(frozen=True)
class Name:
    """The name of a piece of data for a person: its `path`, as `lru.data`, and `how` the program's `function` reaches it."""

    path: str
    how: str
    function: str

    def of(self, path: str) -> Name:
        """Return the name of a part of this piece of data."""
        return Name(path, f"that {self.function} reaches", self.function)

    def described(self, kind: str) -> str:
        return f"{self.path}, {kind} {self.how}"


class Variable:
    """A place that holds one value: a variable or a slot. `now()` returns the value, `put(value)` restores it."""

    def __init__(self, name: Name, kind: str, get: Callable[[], Any], put: Callable[[Any], None]):
        self.name, self.kind, self.now, self.put = name, kind, get, put

    def changed(self, since: Any) -> bool:
        return self.now() is not since

    def frozen(self) -> Any:
        return frozen(self.now())

    def described(self, since: Any) -> str:
        return self.name.described(self.kind)


class Contents:
    """A place that holds many values: a list, dict, set, bytearray or deque, or, with `attributes`, the dict of an object's attributes."""

    kind = ""

    def __init__(self, name: Name, value: Container, attributes: bool = False):
        self.name, self.value, self.attributes = name, value, attributes

    def now(self) -> Any:
        return self.value.copy()

    def changed(self, since: Any) -> bool:
        value = self.value
        if len(value) != len(since):
            return True
        if not value:
            return False
        if isinstance(value, set | bytearray):
            return bool(value != since)
        if isinstance(value, dict) and any(map(operator.is_not, value.values(), since.values())):
            return True
        return any(map(operator.is_not, value, since))

    def put(self, copy: Any) -> None:
        value = self.value
        if isinstance(value, list | bytearray):
            value[:] = copy
        else:
            value.clear()
            value.extend(copy) if isinstance(value, collections.deque) else value.update(copy)

    def frozen(self) -> Any:
        return frozen(self.value)

    def described(self, since: Any) -> str:
        if not self.attributes:
            return self.name.described(with_article(type(self.value)))
        return _described_attribute(self.name, self.value, since)


class ClassAttributes:
    """A place that holds the attributes of a class, without those that Python adds (`__...`)."""

    kind = ""

    def __init__(self, name: Name, made: type):
        self.name, self.made = name, made

    def now(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self.made).items() if not name.startswith("__")}

    def changed(self, since: Any) -> bool:
        now = self.now()
        return len(now) != len(since) or any(now.get(name, MISSING) is not value for name, value in since.items())

    def put(self, copy: Any) -> None:
        for name in self.now().keys() - copy.keys():
            type.__delattr__(self.made, name)
        for name, value in copy.items():
            if vars(self.made).get(name, MISSING) is not value:
                type.__setattr__(self.made, name, value)

    def frozen(self) -> Any:
        return frozen(self.now())

    def described(self, since: Any) -> str:
        return _described_attribute(self.name, self.now(), since)


Place = Variable | Contents | ClassAttributes


def _described_attribute(name: Name, now: Any, since: Any) -> str:
    changed = [key for key in [*since, *(now.keys() - since.keys())] if now.get(key, MISSING) is not since.get(key, MISSING)]
    return name.of(f"{name.path}.{changed[0]}").described("an attribute") if changed else name.described("an object")


def with_article(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'aeiouAEIOU' else 'a'} {kind.__name__}"


Binding = tuple[Callable[[], Any], Callable[[Any], None]]


def cell_binding(inner: types.CellType) -> Binding:
    def get() -> Any:
        try:
            return inner.cell_contents
        except ValueError:                  # not bound yet, or deleted
            return MISSING

    def put(value: Any) -> None:
        if value is MISSING:
            del inner.cell_contents
        else:
            inner.cell_contents = value
    return get, put


def item_binding(names: dict[str, Any], name: str) -> Binding:
    def put(value: Any) -> None:
        if value is MISSING:
            del names[name]
        else:
            names[name] = value
    return lambda: names.get(name, MISSING), put


def slot_binding(owner: Any, slot: Any) -> Binding:
    def get() -> Any:
        try:
            return slot.__get__(owner)
        except AttributeError:              # nothing was stored there yet
            return MISSING

    def put(value: Any) -> None:
        if value is MISSING:
            slot.__delete__(owner)
        else:
            slot.__set__(owner, value)
    return get, put
