# SPDX-License-Identifier: MIT
"""Immutable images of plain values, which can be kept and compared after the values themselves have changed."""

from __future__ import annotations

import collections.abc
import contextlib
import functools
import io
import operator
import pickle
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

from vmrace.harness.kernel.registry import is_kernel_object
from vmrace.harness.user_data.clocks import draws_from_the_system
from vmrace.harness.user_data.whose import is_users


def _fingerprint(value: Any) -> Any:
    """Return a value that differs once `value` has changed, for an object whose state cannot be restored.

    None for an object that has no such state, as far as this function knows.
    """
    if any(base.__module__ == "random" for base in type(value).__mro__):
        return None if draws_from_the_system(value) else value.getstate()
    if isinstance(value, io.IOBase):
        return None if value in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__) else _position(value)
    if isinstance(value, types.GeneratorType | types.CoroutineType | types.AsyncGeneratorType):
        frame = getattr(value, "gi_frame", None) or getattr(value, "cr_frame", None) or getattr(value, "ag_frame", None)
        return "ended" if frame is None else frame.f_lasti
    if isinstance(value, functools._lru_cache_wrapper):
        return tuple(value.cache_info())
    with contextlib.suppress(TypeError, ValueError, BufferError):
        return memoryview(value).tobytes()
    kind = type(value).__module__
    if is_users(kind) or kind.partition(".")[0] in ("vmrace", "greenlet"):
        return None
    if isinstance(value, collections.abc.Iterator):
        return _iterator(value)
    if kind in _HARMLESS:
        return None
    try:
        return pickle.dumps(value)
    except Exception:           # whatever the object's own code raises
        return HIDDEN


HIDDEN = "hidden"       # the fingerprint of an object whose state can be neither read nor restored, as a hash or a database connection
# The modules of Python whose objects never change, only refer to others, or only write logs.
_HARMLESS = frozenset(("_abc", "_contextvars", "_struct", "abc", "builtins", "dataclasses", "enum", "functools", "inspect", "logging",
                       "operator", "re", "types", "typing", "weakref"))


def _position(file: io.IOBase) -> Any:
    try:
        return "closed" if file.closed else file.tell()
    except (OSError, ValueError):
        return "no position"


def _iterator(value: Any) -> Any:
    """Return the position of one of Python's iterators: the parts that a copy would be made from."""
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        parts = [*value.__reduce__()[1:]]
        return tuple(_iterator(one) if isinstance(one, collections.abc.Iterator) else one if isinstance(one, int | range) else id(one)
                     for part in parts for one in (part if isinstance(part, tuple) else (part,)))
    return operator.length_hint(value, -1), repr(value)


Other = Callable[[Any, tuple[int, ...]], Any]


def _itself(value: Any, within: tuple[int, ...]) -> Any:
    return value if isinstance(value, collections.abc.Hashable) else id(value)


def frozen(value: Any, other: Other = _itself, within: tuple[int, ...] = ()) -> Any:
    """Return an immutable image of `value`. Two images are equal if the values are.

    `other(value, within)` returns the image of a value that is neither plain nor a container. `within` are the ids of the containers
    around it, so that a container that contains itself ends.
    """
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
    """Return an image of `value` that is equal in two runs that did the same, though each run made its objects anew.

    An object that is equal only to itself is represented by its type and its attributes.
    """
    return frozen(value, _described)


def _described(value: Any, within: tuple[int, ...]) -> Any:
    kind = type(value)
    if is_kernel_object(value):
        return str(value.name)
    equality: object = kind.__eq__
    if equality is not object.__eq__ and kind.__hash__ is not None:
        return value
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name, frozen(value.__dict__, _described, within) if is_users(kind.__module__) and hasattr(value, "__dict__") else None
