# SPDX-License-Identifier: MIT
"""The plain data of a program: every object that its functions reach and that is not a kernel object, and the way to restore each.

The search follows variables that functions close over or that are global to their module, default arguments, lists, dicts, sets, and
the attributes of objects, functions and classes, at any depth. It ends at a kernel object. Data that only the value of a kernel object
reaches is restored, too, but belongs to that object.

Three kinds of objects cannot be restored or watched: kernel objects that the program did not make (`outside`); objects of `threading`,
`queue` and the like (`foreign`); and objects whose state is out of reach (`lost()`), as iterators, files, arrays, random generators.
"""

from __future__ import annotations

import argparse
import collections
import collections.abc
import functools
import gc
import inspect
import operator
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Any

from vmrace.harness.kernel.registry import is_kernel_object
from vmrace.harness.user_data import clocks, watched
from vmrace.harness.user_data.comparable import HIDDEN, _fingerprint
from vmrace.harness.user_data.places import (
    MISSING,
    ClassAttributes,
    Container,
    Contents,
    Name,
    Place,
    Variable,
    cell_binding,
    item_binding,
    slot_binding,
    with_article,
)
from vmrace.harness.user_data.whose import Mentioned, function_name, is_followed, is_foreign, is_maker, is_users

KEPT_MAX = 100_000          # objects that the search visits at most

_CONTAINERS = (list, dict, set, bytearray, collections.deque)
_BEFORE = "as before"       # the image of a place that has not changed since the beginning of the run


class TooMuch(Exception):
    """The functions of a program reach more than KEPT_MAX objects."""


class Kept:
    """The plain data that the functions `roots` reach, as it is now. Raises TooMuch if that is more than KEPT_MAX objects.

    `made`: the kernel objects of the program. The image restores them; here only their values are followed.
    """

    def __init__(self, roots: Iterable[Any], made: Iterable[Any]):
        self.places: list[Place] = []
        self.at: dict[int, list[int]] = {}      # id of an object -> its own places
        self.leads: dict[int, list[int]] = {}   # id of an object -> ids of the objects that it refers to
        self.outside: list[Any] = []
        self.foreign: list[tuple[Name, Any]] = []
        self.opaque: list[tuple[Name, Any, Any]] = []
        self.clock = ""                         # a clock that some function can read (clocks.py)
        self.makers: list[tuple[dict[str, Any], str, Any]] = []     # globals, name, value: variables by which a task can reach threading
        self.stored: set[str] = set()           # names of variables that some function stores to
        self.mentioned: set[str] = set()        # names of global variables that some function mentions
        self.holders: dict[int, list[_Put | None]] = {}     # id of an object -> for each reference to it, the way to replace it
        self.variables: dict[tuple[int, str], _Global] = {}
        made = list(made)
        self.made = {id(one) for one in made}
        self.seen: dict[int, Any] = {}          # keeps each object alive, so that an id stays that of one object
        self.todo: collections.deque[tuple[Any, Name]] = collections.deque()
        self.owner = 0
        for root in roots:
            called = function_name(root)
            self._lead(root, Name(called, "that is a task", called))
        for one in made:
            for value in _values_of(one):
                self._lead(value, Name(f"{one.name}.value", f"inside {type(one).__name__} {one.name}", one.name))
        while self.todo:
            value, name = self.todo.popleft()
            if id(value) not in self.seen:
                self.seen[id(value)] = value
                if len(self.seen) > KEPT_MAX:
                    raise TooMuch(f"its functions lead to more than {KEPT_MAX:,} objects")
                self.owner = id(value)
                self._follow(value, name)
        self._remember()

    def _remember(self) -> None:
        """Take the present data as the beginning of each run."""
        self.first = [place.now() for place in self.places]
        both = list(zip(self.places, self.first, strict=True))
        # most places are variables, or the empty attributes of functions: these have lists of their own, to restore them fast
        self.variable_now = [(place.now, first, place.put) for place, first in both if isinstance(place, Variable)]
        self.empty = [place.value for place, first in both if isinstance(place, Contents) and place.attributes and not first]
        self.others = [(place, first) for place, first in both if not isinstance(place, Variable) and not (
            isinstance(place, Contents) and place.attributes and not first)]

    def restore(self) -> None:
        """Put all plain data back to the beginning of a run."""
        for now, first, put in self.variable_now:
            if now() is not first:
                put(first)
        for attributes in self.empty:
            if attributes:
                attributes.clear()
        for place, first in self.others:
            if place.changed(first):
                place.put(first)

    def present(self) -> Any:
        """Return the present plain data as one hashable value."""
        return tuple(place.frozen() if place.changed(first) else _BEFORE for place, first in zip(self.places, self.first, strict=True))

    def lost(self) -> str:
        """Return the name of an object that has changed and cannot be restored; "" if there is none."""
        for name, value, before in self.opaque:
            if _fingerprint(value) != before:
                return name.described(with_article(type(value)))
        return ""

    def hidden(self) -> str:
        """Return the name of an object that may change unseen, and could not be restored; "" if there is none."""
        return next((name.described(with_article(type(value))) for name, value, before in self.opaque if before == HIDDEN), "")

    def watch(self, numbers: Iterable[int]) -> bool:
        """Replace the containers in the places `numbers`, as far as possible, by containers that record each use (watched.py).

        A container cannot be replaced if a global variable, a tuple, an iterator, or an object outside the search may refer to it.
        True if any was replaced; then the search must be made again.
        """
        shown = set[int]()
        for variable in self.variables.values():
            shown |= self.reached(variable) or set()
        if self.mentioned & watched.AROUND:
            return False
        new: dict[int, Any] = {}
        self.first, self.variable_now, self.others = [], [], []         # these hold references, too
        for number in set(numbers) - shown:
            place = self.places[number]
            if isinstance(place, Contents) and not place.attributes and type(place.value) in watched.KINDS:
                key = id(place.value)
                holders = self.holders[key]
                if None not in holders and sys.getrefcount(place.value) - _OWN_REFERENCES == len(holders):
                    new[key] = watched.watched(place.value)
        self._remember()
        for key, value in new.items():
            for put in self.holders[key]:
                assert put is not None
                put.into(value, new, self.seen)
        return bool(new)

    def reached(self, root: Any, without: Set[int] = frozenset()) -> set[int] | None:
        """Return the places that `root` reaches, but not those that it reaches only through objects whose ids are in `without`.

        None if the search has not visited `root`, which was then made later.
        """
        todo = [id(root)]
        if isinstance(root, types.MethodType):          # Python makes it anew for each use
            todo = [id(root.__func__), id(root.__self__)]
        if any(one not in self.seen for one in todo):
            return None
        out, seen = set[int](), set(without)
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                out.update(self.at.get(one, ()))
                todo += self.leads.get(one, ())
        return out

    # ---- where things lead -------------------------------------------------------------------------------------------------

    def _lead(self, value: Any, name: Name, put: _Put | None = None) -> None:
        if not isinstance(value, _PLAIN):
            self.leads.setdefault(self.owner, []).append(id(value))
            self.holders.setdefault(id(value), []).append(put)
            self.todo.append((value, name))

    def _place(self, place: Place) -> None:
        self.at.setdefault(self.owner, []).append(len(self.places))
        self.places.append(place)

    def _follow(self, value: Any, name: Name) -> None:
        self.clock = self.clock or clocks.name_of(value)
        if isinstance(value, types.FunctionType):
            if is_users(value.__module__):
                self._function(value)
        elif isinstance(value, types.CellType):
            self._variable(name, "a variable", *cell_binding(value))
        elif isinstance(value, _Global):
            self._global(value, name)
        elif isinstance(value, types.ModuleType):
            pass                                        # its functions and variables are followed where code names them
        elif isinstance(value, types.MethodType):
            self._lead(value.__func__, name)
            self._lead(value.__self__, name.of(f"{name.path}.self"))
        elif isinstance(value, functools.partial):
            self._lead(value.func, name)
            for part in (*value.args, *value.keywords.values()):
                self._lead(part, name.of(f"an argument of {name.path}"))
        elif isinstance(value, _FRONTS):
            for part in gc.get_referents(value):
                if not isinstance(part, types.ModuleType | type):
                    self._lead(part, name.of(f"what {name.path} is of"))
        elif isinstance(value, type):
            if is_users(value.__module__):
                self._class(value, name)
        elif is_kernel_object(value):
            if id(value) not in self.made:
                self.outside.append(value)
            else:
                self._kernel_object(value, name)
        elif isinstance(value, tuple | frozenset):
            for number, item in enumerate(value):
                self._lead(item, name.of(f"{name.path}[{number}]"))
        elif is_foreign(type(value)):
            self.foreign.append((name, value))
        else:
            self._object(value, name)

    def _object(self, value: Any, name: Name) -> None:
        if isinstance(value, _CONTAINERS):
            self._container(value, name)
        elif not isinstance(value, _HOLDERS) and (fingerprint := _fingerprint(value)) is not None:
            self.opaque.append((name, value, fingerprint))
        if is_users(type(value).__module__) or isinstance(value, _HOLDERS):
            self._instance(value, name)

    def _variable(self, name: Name, kind: str, get: Callable[[], Any], put: Callable[[Any], None]) -> None:
        self._place(Variable(name, kind, get, put))
        self._lead(get(), name, _Put(put=put))

    def _container(self, value: Container, name: Name, attributes: bool = False) -> None:
        self._place(Contents(name, value, attributes))
        if isinstance(value, dict):
            for key, item in value.items():
                self._lead(key, name.of(f"a key of {name.path}"))
                if attributes:
                    self._lead(item, name.of(f"{name.path}.{key}"), _Put(put=functools.partial(operator.setitem, value, key)))
                else:
                    self._lead(item, name.of(f"{name.path}[{key!r:.20}]"), _Put(id(value), key))
        elif not isinstance(value, bytearray):
            for number, item in enumerate(value):
                self._lead(item, name.of(f"{name.path}[{number}]"), None if isinstance(value, set) else _Put(id(value), number))

    def _function(self, function: types.FunctionType) -> None:
        called = function.__name__.strip("<>")
        code, names = function.__code__, function.__globals__
        closed = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
        self.clock = self.clock or clocks.read_in(code, lambda name: cell_binding(closed[name])[0]() if name in closed else names.get(name))
        for variable, inner in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._lead(inner, Name(variable, f"that {called} closes over", called))
        mentioned = Mentioned(code)
        self.stored |= mentioned.stored
        self.mentioned |= mentioned.globals
        for variable in sorted(mentioned.globals):
            self._lead(self._global_of(names, variable), Name(variable, f"that is global to {function.__module__}", called))
            module = names.get(variable)
            if isinstance(module, types.ModuleType) and is_followed(module):
                for attribute in sorted(mentioned.attributes):
                    if attribute in vars(module) or attribute in mentioned.set_attributes:
                        self.stored |= mentioned.set_attributes & {attribute}
                        name = Name(attribute, f"that is global to {module.__name__}", called)
                        self._lead(self._global_of(vars(module), attribute), name)
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._lead(value, Name(f"a default of {called}", f"that {called} reaches", called))
        self._container(function.__dict__, Name(called, f"that {called} reaches", called), attributes=True)

    def _global_of(self, names: dict[str, Any], variable: str) -> _Global:
        key = id(names), variable
        if key not in self.variables:
            self.variables[key] = _Global(names, variable)
        return self.variables[key]

    def _global(self, variable: _Global, name: Name) -> None:
        names, value = variable.names, variable.names.get(variable.name, MISSING)
        if is_maker(value):
            self.makers.append((names, variable.name, value))
        self._variable(name, "a variable", *item_binding(names, variable.name))

    def _class(self, made: type, name: Name) -> None:
        name = Name(made.__name__, name.how, name.function)
        for base in made.__bases__:
            if base is not object:
                self._lead(base, name)
        self._place(ClassAttributes(name, made))
        for attribute, value in list(vars(made).items()):
            if isinstance(value, classmethod | staticmethod):
                value = value.__func__
            if isinstance(value, types.FunctionType):
                self._lead(value, name)
            elif isinstance(value, property):
                for one in (value.fget, value.fset, value.fdel):
                    self._lead(one, name)
            elif isinstance(value, functools.cached_property):
                self._lead(value.func, name)
            elif not (attribute.startswith("__") or inspect.isdatadescriptor(value) or inspect.isroutine(value)):
                self._lead(value, name.of(f"{name.path}.{attribute}"))

    def _instance(self, value: Any, name: Name) -> None:
        self._lead(type(value), name.of(type(value).__name__))
        if hasattr(value, "__dict__"):
            self._container(value.__dict__, name, attributes=True)
        for base in type(value).__mro__:
            for attribute, slot in vars(base).items():
                if isinstance(slot, types.MemberDescriptorType):
                    self._variable(name.of(f"{name.path}.{attribute}"), "an attribute", *slot_binding(value, slot))

    def _kernel_object(self, value: Any, name: Name) -> None:
        """Follow the plain fields of a struct, which are not watched: they are declared to belong to one owner, or to be constant."""
        for key, field in getattr(type(value), "fields", {}).items():
            if field.kind == "plain":
                slot = getattr(type(value), type(value).slot_of[key])       # the slot itself, which no access watches
                self._variable(Name(f"{value.name}.{key}", name.how, name.function), "a plain field", *slot_binding(value, slot))
        for key in getattr(type(value), "embedded", {}):
            self._lead(getattr(value, key), name)


_PLAIN = (int, float, complex, str, bytes, type(None), type(Ellipsis))
# Python's own types: objects that are all attributes; and _FRONTS, which only refer to another object, as a bound `pop` to its list.
_HOLDERS = (types.SimpleNamespace, argparse.Namespace, collections.UserDict, collections.UserList, collections.ChainMap,
            functools.partialmethod, weakref.WeakKeyDictionary, weakref.WeakValueDictionary)
_EMPTY: dict[Any, Any] = {}
_FRONTS: tuple[type, ...] = (types.BuiltinMethodType, types.MethodWrapperType, types.MappingProxyType,
                            *map(type, (_EMPTY.keys(), _EMPTY.values(), _EMPTY.items())))


@dataclass
class _Put:
    """The way to replace a reference to an object: in a variable, by `put`, or in the container `parent` (an id), at `key`."""

    parent: int = 0
    key: Any = None
    put: Callable[[Any], None] | None = None

    def into(self, value: Any, new: dict[int, Any], old: dict[int, Any]) -> None:
        if self.put is not None:
            self.put(value)
        else:
            new.get(self.parent, old[self.parent])[self.key] = value


_OWN_REFERENCES = 3         # that Kept.watch itself has to a container: in `seen`, in its place, in the call that counts


@dataclass(frozen=True)
class _Global:
    """A global variable: the dict of its module, and its name."""

    names: dict[str, Any]
    name: str


def _values_of(made: Any) -> Iterator[Any]:
    """Yield the values of the state slots of a kernel object."""
    for slot in getattr(type(made), "state_slots", ()):
        yield getattr(made, slot.removesuffix("[:]"), None)
