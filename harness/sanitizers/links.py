# SPDX-License-Identifier: MIT
"""The links that a struct embeds, worked out once for each class, and the structs that an object is embedded in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmrace.harness.kernel.list import list_head
    from vmrace.harness.kernel.struct import struct as Struct

_names: dict[type, tuple[str, ...]] = {}


def links_of(obj: Struct) -> list[list_head]:
    """Return the list_heads that `obj` embeds and that are entries, not heads."""
    cls = type(obj)
    names = _names.get(cls)
    if names is None:
        names = _names[cls] = tuple(
            key for key, inner in cls.embedded.items()
            if inner.cls.__name__ == "list_head" and not getattr(obj, key).is_head)
    return [getattr(obj, key) for key in names]


def owners(obj: Any) -> Iterator[Struct]:
    """Yield `obj` if it is a struct, then the structs that it is embedded in, innermost first. `obj` may be any object, or None."""
    while obj is not None:
        if hasattr(obj, "allocated"):
            yield obj
        obj = getattr(obj, "struct", None)


def slots_of(kind: type) -> tuple[str, ...]:
    """Return the slots of a class of kernel objects whose values can change."""
    return tuple(slot.removesuffix("[:]") for slot in (*getattr(kind, "state_slots", ()), *getattr(kind, "volatile_slots", ())))
