# SPDX-License-Identifier: MIT
"""Which links a struct embeds: worked out once per class."""

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
