# SPDX-License-Identifier: MIT
"""Which links a struct embeds, worked out once per class, and of which structs something is a part."""

from collections.abc import Iterator
from typing import Any

_names: dict[type, tuple[str, ...]] = {}


def links_of(obj: Any) -> list[Any]:
    """The embedded list_heads of `obj` that are entries (not heads)."""
    cls = type(obj)
    names = _names.get(cls)
    if names is None:
        names = _names[cls] = tuple(
            key for key, inner in cls.embedded.items()
            if inner.cls.__name__ == "list_head" and not getattr(obj, key).is_head)
    return [getattr(obj, key) for key in names]


def owners(obj: Any) -> Iterator[Any]:
    """`obj` if it is a struct, and the structs that it is embedded in, innermost first."""
    while obj is not None:
        if hasattr(obj, "allocated"):
            yield obj
        obj = getattr(obj, "struct", None)


def slots_of(kind: type) -> tuple[str, ...]:
    """The slots of a class of kernel objects whose values can change."""
    return tuple(slot.removesuffix("[:]") for slot in (*getattr(kind, "state_slots", ()), *getattr(kind, "volatile_slots", ())))
