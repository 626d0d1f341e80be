# SPDX-License-Identifier: MIT
"""Poison: free memory reports each access to it. KASAN keeps a shadow of memory for this; here a free object changes its class.

In its new class each slot that a run can change is a property that reports. Every primitive thus finds an access at the moment when it
makes it, and objects that are not free cost nothing. The harness itself reads objects, too, to show a value or to find which task waits
for which; these reads are no accesses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from vmrace.harness.sanitizers.links import links_of, slots_of

if TYPE_CHECKING:
    from vmrace.harness.kernel.list import list_head
    from vmrace.harness.kernel.struct import struct as Struct

Used = Callable[[Any, str], None]       # used(part, slot): called at each access

# The modules that call the operations of a task and the handlers of interrupts; see _is_access.
ACCESSORS = ("vmrace.harness.machine.stacks", "vmrace.harness.machine.interrupts", "vmrace.harness.functions.program")

_poisoned: dict[type, type] = {}


def poison(obj: Struct, used: Used, allocators: list_head | None = None) -> None:
    """Make every later access to `obj`, or to an object that it embeds, call `used(part, slot)`.

    `allocators` is the link by which the allocator keeps `obj` on its free list; it is not poisoned.
    """
    assert allocators is None or allocators.struct is obj, (obj, allocators)
    for part in _parts(obj):
        if part is not allocators and not is_poisoned(part):
            part.__class__ = _poisoned_class(type(part), used)


def unpoison(obj: Struct) -> None:
    """Undo `poison`. Does nothing to parts that are not poisoned."""
    for part in _parts(obj):
        if is_poisoned(part):
            part.__class__ = type(part).healthy


def is_poisoned(part: Any) -> bool:
    return "healthy" in vars(type(part))


def allocators_link(obj: Struct) -> list_head | None:
    """Return the link by which a free object is on its free list, or None."""
    return next((link for link in links_of(obj) if link.on is not None and link.on.freelist), None)


def _parts(obj: Struct) -> Iterator[Any]:
    """Yield `obj` and every object that it embeds, at any depth."""
    yield obj
    for key in type(obj).embedded:
        inner = getattr(obj, key)
        if hasattr(type(inner), "embedded"):
            yield from _parts(inner)
            continue
        yield inner
        if hasattr(inner, "read_side"):
            yield inner.read_side


def _poisoned_class(cls: type, used: Used) -> type:
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
    """True: a task that waits for a lock in free memory can go on. Its next access to the lock reports."""
    return True


def _reports(stored: Any, slot: str, used: Used) -> property:
    """Return a property that stands for the slot `stored` and reports each access."""
    def get(self: Any) -> Any:
        if _is_access(sys._getframe(1)):
            used(self, slot)
        return stored.__get__(self)

    def put(self: Any, value: Any) -> None:
        if _is_access(sys._getframe(1)):
            used(self, slot)
        stored.__set__(self, value)
    return property(get, put)


def _is_access(frame: FrameType | None) -> bool:
    """True if `frame` runs a primitive or the code of a task; false if it is a part of the harness that only looks."""
    name = _module(frame)
    if not name.startswith("vmrace.harness.") or name.startswith("vmrace.harness.kernel."):
        while frame is not None and not name.startswith("vmrace.harness."):
            frame = frame.f_back
            name = _module(frame)
        return name.startswith("vmrace.harness.kernel.") or name in ACCESSORS
    return False


def _module(frame: FrameType | None) -> str:
    return str(frame.f_globals.get("__name__", "")) if frame is not None else ""
