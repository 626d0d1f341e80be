# SPDX-License-Identifier: MIT
"""lists: CONFIG_DEBUG_LIST. An entry is added while it is linked, or deleted while it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from vmrace.harness.finding import Kind
from vmrace.harness.sanitizers import lifetime

if TYPE_CHECKING:
    from vmrace.harness.kernel.list import list_head
    from vmrace.harness.machine.machine import Machine

NAME = "lists"


def added_twice(m: Machine, entry: list_head, head: list_head | None) -> NoReturn:
    """Report list_add() of `entry`, which is linked, to the list of `head`: a double free if both lists hold free memory."""
    if head is not None and head.freelist:
        lifetime.freed_linked(m, entry)
    detail = f"{entry} is on {entry.on}, added to {head}"
    m.report(Kind.LIST.title(f"list_add of a linked {kind(entry)} in {m.where()}"), NAME, detail, entry)


def deleted_unlinked(m: Machine, entry: list_head) -> NoReturn:
    """Report list_del() of `entry`, which is on no list."""
    m.report(Kind.LIST.title(f"list_del of an unlinked {kind(entry)} in {m.where()}"), NAME, f"{entry} is on no list", entry)


def kind(entry: list_head) -> str:
    """Return the entry's struct and field, without the name of the instance."""
    return f"{type(entry.struct).__name__}.{entry.name.rpartition('.')[2]}" if entry.struct is not None else entry.name
