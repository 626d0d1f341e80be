# SPDX-License-Identifier: MIT
"""Poison: what is in free memory must not be accessed. KASAN keeps a shadow of memory for that; here a free object changes its class.

In the class that it then has, each slot that a run can change is a property that reports. An access is thus found at the moment
when it is made, in every primitive, and an object that is not free costs nothing. Looks that the harness takes itself, to show a
value or to see who waits for what, are no accesses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from vmrace.harness.sanitizers.links import links_of, slots_of

# The modules that call the operations of a task and the handlers of interrupts; see _is_access.
ACCESSORS = ("vmrace.harness.machine.stacks", "vmrace.harness.machine.interrupts", "vmrace.harness.functions.program")

_poisoned: dict[type, type] = {}


def poison(obj: Any, used: Callable[[Any, str], None], allocators: Any = None) -> None:
    """From now on any access to `obj`, or to what it embeds, calls `used(part, slot)`. The link `allocators` is the allocator's own."""
    for part in _parts(obj):
        if part is not allocators and not is_poisoned(part):
            part.__class__ = _poisoned_class(type(part), used)


def unpoison(obj: Any) -> None:
    for part in _parts(obj):
        if is_poisoned(part):
            part.__class__ = type(part).healthy


def is_poisoned(part: Any) -> bool:
    return "healthy" in vars(type(part))


def allocators_link(obj: Any) -> Any:
    """The link by which a free object is on its free list, or None."""
    return next((link for link in links_of(obj) if link.on is not None and link.on.freelist), None)


def _parts(obj: Any) -> Iterator[Any]:
    yield obj
    for key in type(obj).embedded:
        inner = getattr(obj, key)
        if hasattr(type(inner), "embedded"):
            yield from _parts(inner)
            continue
        yield inner
        if hasattr(inner, "read_side"):
            yield inner.read_side


def _poisoned_class(cls: type, used: Callable[[Any, str], None]) -> type:
    made = _poisoned.get(cls)
    if made is None:
        body: dict[str, Any] = {"__slots__": (), "__module__": cls.__module__, "healthy": cls}
        for slot in set(slots_of(cls)) - {"allocated"}:
            stored = getattr(cls, slot)
            body.update({name: _reports(stored, slot, used) for name in dir(cls) if getattr(cls, name) is stored})
        if hasattr(cls, "available"):
            body["available"] = _is_available
        made = _poisoned[cls] = type.__new__(type(cls), cls.__name__, (cls,), body)
    return made


def _is_available(lock: Any, task: Any) -> bool:
    """Whoever waits for a lock in free memory goes on, and is found out."""
    return True


def _reports(stored: Any, slot: str, used: Callable[[Any, str], None]) -> property:
    def get(self: Any) -> Any:
        if _is_access(sys._getframe(1)):
            used(self, slot)
        return stored.__get__(self)

    def put(self: Any, value: Any) -> None:
        if _is_access(sys._getframe(1)):
            used(self, slot)
        stored.__set__(self, value)
    return property(get, put)


def _is_access(frame: Any) -> bool:
    """True for a primitive and for the code of a task; false for what only looks."""
    name = _module(frame)
    if not name.startswith("vmrace.harness.") or name.startswith("vmrace.harness.kernel."):
        while frame is not None and not name.startswith("vmrace.harness."):
            frame = frame.f_back
            name = _module(frame)
        return name.startswith("vmrace.harness.kernel.") or name in ACCESSORS
    return False


def _module(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", "")) if frame is not None else ""
