# SPDX-License-Identifier: MIT
"""What plain functions keep besides kernel objects, found and put back: variables that they close over or that are global to
their module, default arguments, lists, dicts, sets, and the attributes of objects and classes, wherever these lead.

What has its state elsewhere (iterators, random numbers, the clock, files) is not put back: see harness/explore/programs.py
for how a program that depends on it is found out.
"""

from __future__ import annotations

import collections
import collections.abc
import dis
import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

KEPT_MAX = 100_000          # objects that are looked at

Container = list[Any] | dict[Any, Any] | set[Any] | bytearray | collections.deque[Any]
_CONTAINERS = (list, dict, set, bytearray, collections.deque)
_MISSING: Any = object()
_BEFORE = "as before"       # what is not otherwise than in the beginning


class TooMuch(Exception):
    """The functions lead to more than KEPT_MAX objects."""


class Kept:
    """Everything that `roots` lead to, as it is now. `made`: the kernel objects that are put back by others, whose values are
    followed too; `outside`: those that are not among them. TooMuch if that is more than can be looked at."""

    def __init__(self, roots: Iterable[Any], made: Iterable[Any]):
        self.bindings: list[tuple[Callable[[], Any], Callable[[Any], None], Any]] = []
        self.containers: list[tuple[Container, Any]] = []
        self.outside: list[Any] = []
        made = list(made)
        self.made = {id(one) for one in made}
        self.seen: dict[int, Any] = {}          # holds on to what it has seen: an id is one object's
        self.todo = [*roots, *(value for one in made for value in _values_of(one))]
        while self.todo:
            value = self.todo.pop()
            if id(value) not in self.seen and not isinstance(value, _PLAIN):
                self.seen[id(value)] = value
                if len(self.seen) > KEPT_MAX:
                    raise TooMuch(f"its functions lead to more than {KEPT_MAX:,} objects")
                self._follow(value)

    def restore(self) -> None:
        for get, put, value in self.bindings:
            if get() is not value:
                put(value)
        for container, copy in self.containers:
            if isinstance(container, list | bytearray):
                container[:] = copy
            else:
                container.clear()
                container.extend(copy) if isinstance(container, collections.deque) else container.update(copy)

    def present(self) -> Any:
        """All of it, now, as one hashable value."""
        now = [get() for get, _, _ in self.bindings]        # what a value has in it has its own place in these lists
        return (tuple(_BEFORE if value is before else frozen(value) for value, (_, _, before) in zip(now, self.bindings, strict=True)),
                tuple(_BEFORE if container == before else frozen(container) for container, before in self.containers))

    # ---- where things lead -------------------------------------------------------------------------------------------------

    def _follow(self, value: Any) -> None:
        if isinstance(value, types.FunctionType):
            if _is_users(value.__module__):
                self._function(value)
        elif isinstance(value, types.MethodType):
            self.todo += [value.__func__, value.__self__]
        elif isinstance(value, functools.partial):
            self.todo += [value.func, value.args, value.keywords]
        elif isinstance(value, type):
            if _is_users(value.__module__):
                self._class(value)
        elif hasattr(type(value), "state_slots"):
            if id(value) not in self.made:
                self.outside.append(value)
        elif isinstance(value, tuple | frozenset):
            self.todo += value
        else:
            if isinstance(value, _CONTAINERS):
                self._container(value)
            if _is_users(type(value).__module__):
                self._instance(value)

    def _bind(self, get: Callable[[], Any], put: Callable[[Any], None]) -> None:
        value = get()
        self.bindings.append((get, put, value))
        self.todo.append(value)

    def _container(self, value: Container) -> None:
        self.containers.append((value, value.copy()))
        self.todo += [*value, *value.values()] if isinstance(value, dict) else value

    def _function(self, function: types.FunctionType) -> None:
        for inner in function.__closure__ or ():
            if id(inner) not in self.seen:
                self.seen[id(inner)] = inner
                self._bind(*_cell(inner))
        for name in sorted(set(_globals_of(function.__code__))):
            self._bind(*_item(function.__globals__, name))
        self.todo += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        if function.__dict__:
            self._container(function.__dict__)

    def _class(self, made: type) -> None:
        self.todo += [base for base in made.__bases__ if base is not object]
        for name, value in list(vars(made).items()):
            if isinstance(value, classmethod | staticmethod):
                value = value.__func__
            if isinstance(value, types.FunctionType):
                self.todo.append(value)
            elif isinstance(value, property):
                self.todo += [one for one in (value.fget, value.fset) if one is not None]
            elif not (name.startswith("__") or inspect.isdatadescriptor(value) or inspect.isroutine(value)):
                self._bind(*_attribute(made, name))

    def _instance(self, value: Any) -> None:
        self.todo.append(type(value))
        if hasattr(value, "__dict__"):
            self._container(value.__dict__)
        for base in type(value).__mro__:
            for name, slot in vars(base).items():
                if isinstance(slot, types.MemberDescriptorType):
                    self._bind(*_attribute(value, name))


_PLAIN = (int, float, complex, str, bytes, type(None), types.ModuleType, types.BuiltinFunctionType)


def _values_of(made: Any) -> Iterator[Any]:
    """What a kernel object holds."""
    for slot in getattr(type(made), "state_slots", ()):
        yield getattr(made, slot.removesuffix("[:]"), None)


def _is_users(module: str | None) -> bool:
    """Not of the harness, nor of Python itself."""
    return (module or "").partition(".")[0] not in _OURS


_OURS = {*sys.stdlib_module_names, "harness", "greenlet"} - {"__main__"}


def _globals_of(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_of(constant)


Binding = tuple[Callable[[], Any], Callable[[Any], None]]


def _cell(inner: types.CellType) -> Binding:
    def get() -> Any:
        try:
            return inner.cell_contents
        except ValueError:                  # not bound yet, or deleted
            return _MISSING

    def put(value: Any) -> None:
        if value is _MISSING:
            del inner.cell_contents
        else:
            inner.cell_contents = value
    return get, put


def _item(names: dict[str, Any], name: str) -> Binding:
    def put(value: Any) -> None:
        if value is _MISSING:
            del names[name]
        else:
            names[name] = value
    return lambda: names.get(name, _MISSING), put


def _attribute(owner: Any, name: str) -> Binding:
    def put(value: Any) -> None:
        if value is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, value)
    return lambda: getattr(owner, name, _MISSING), put


# ---- values ----------------------------------------------------------------------------------------------------------------

Other = Callable[[Any, tuple[int, ...]], Any]


def _itself(value: Any, within: tuple[int, ...]) -> Any:
    return value if isinstance(value, collections.abc.Hashable) else id(value)


def frozen(value: Any, other: Other = _itself, within: tuple[int, ...] = ()) -> Any:
    """A value as one that does not change. `other` does it for what is neither plain nor a container; `within`: in what it is."""
    if isinstance(value, int | float | complex | str | bytes | type(None)):
        return value
    if id(value) in within:
        return "itself"
    within = (*within, id(value))
    if isinstance(value, list | tuple | collections.deque):
        return tuple(frozen(item, other, within) for item in value)
    if isinstance(value, dict):
        return tuple((frozen(key, other, within), frozen(item, other, within)) for key, item in value.items())
    if isinstance(value, set | frozenset):
        return frozenset(frozen(item, other, within) for item in value)
    if isinstance(value, bytearray):
        return bytes(value)
    return other(value, within)


def comparable(value: Any) -> Any:
    """A value as one that is equal in two runs that did the same, though its objects were made anew: of an object that is only
    equal to itself, what it is and its attributes."""
    return frozen(value, _described)


def _described(value: Any, within: tuple[int, ...]) -> Any:
    kind = type(value)
    if hasattr(kind, "state_slots"):
        return str(value.name)
    if kind.__eq__ is not object.__eq__ and kind.__hash__ is not None:
        return value
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name, frozen(value.__dict__, _described, within) if _is_users(kind.__module__) and hasattr(value, "__dict__") else None
