# SPDX-License-Identifier: MIT
"""lists: CONFIG_DEBUG_LIST. An entry added while it is linked, or deleted while it is not."""

from vmrace.harness.finding import Kind
from vmrace.harness.sanitizers import lifetime

NAME = "lists"


def added_twice(m, entry, head):
    if head is not None and head.freelist:
        lifetime.freed_linked(m, entry)
    m.report(Kind.LIST.title(f"list_add of a linked {kind(entry)} in {m.where()}"), NAME, f"{entry} is on {entry.on}, added to {head}")


def deleted_unlinked(m, entry):
    m.report(Kind.LIST.title(f"list_del of an unlinked {kind(entry)} in {m.where()}"), NAME, f"{entry} is on no list")


def kind(entry):
    return f"{type(entry.struct).__name__}.{entry.name.rpartition('.')[2]}" if entry.struct is not None else entry.name
