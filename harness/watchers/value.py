# SPDX-License-Identifier: MIT
"""The value of a location, for traces: the value that a load of it returns now, as a short text."""

from __future__ import annotations

import errno
from typing import Any

from vmrace.harness.kernel.atomic import atomic_t
from vmrace.harness.kernel.bitops import flags_t
from vmrace.harness.kernel.list import list_head
from vmrace.harness.kernel.struct import array, struct
from vmrace.harness.kernel.wait import wait_queue_head_t
from vmrace.harness.machine.sites import outermost
from vmrace.harness.machine.task import Cpu
from vmrace.harness.points import READ, RMW, WRITE

WIDTH = 18          # of a text: a longer one is cut
NAME = 9            # of the name of an object
NO_VALUE = object()


def value_of(obj: Any, arg: Any) -> Any:
    """Return the present value of the location that a point names by `obj` and `arg`; NO_VALUE if it has none of its own."""
    if isinstance(obj, atomic_t):
        return obj.counter
    if isinstance(obj, flags_t):
        return hex(obj.word) if arg is None else obj.word >> arg & 1
    if isinstance(obj, array):
        return obj.items[arg] if isinstance(arg, int) else NO_VALUE
    if isinstance(arg, tuple):
        return _of_link(*arg)
    if isinstance(obj, struct):
        slot = type(obj).slot_of.get(arg) if isinstance(arg, str) else None
        return getattr(obj, slot) if slot is not None else NO_VALUE
    if isinstance(obj, wait_queue_head_t):
        return bool(obj.entries)
    if isinstance(obj, Cpu):
        return bool(obj.ready)
    return obj.owner is not None if hasattr(obj, "owner") else NO_VALUE


def _of_link(link: list_head, slot: str) -> Any:
    """Return the neighbour that a load of `slot` finds; for list_empty(), whose slot is "", whether the list is empty."""
    return getattr(link, f"_{slot}") if slot else link._next is link


def text_of(value: Any, null: str = "NULL") -> str:
    """Write a value: an object by its name, or by that of its outermost struct if that is shorter; None as `null`."""
    if value is None:
        return null
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        text = f"({', '.join(text_of(item, null) for item in value)})"
    elif isinstance(value, str):
        text = value
    else:
        name = getattr(value, "name", None)
        text = repr(value) if name is None else name if len(name) <= NAME else outermost(value)
    return text if len(text) <= WIDTH else f"{text[:WIDTH - 2]}.."


def result_of(value: int | str) -> str:
    """Write the result of an operation: an error code by its name, as `-ENOMEM`, and any other number or signal as it is."""
    return f"-{errno.errorcode[-value]}" if isinstance(value, int) and -value in errno.errorcode else str(value)


def effect_of(kind: int, before: Any, now: Any, null: str = "NULL") -> str:
    """Write the effect of an access: `= 1` for a load that returned 1, `0 -> 1` for a store; "" for any other point."""
    if now is NO_VALUE or kind not in (READ, WRITE, RMW):
        return ""
    if kind == READ:
        return f"= {text_of(now, null)}"
    return f"{text_of(before, null)} -> {text_of(now, null)}"
