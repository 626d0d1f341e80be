# SPDX-License-Identifier: MIT
"""include/linux/list.h, with CONFIG_DEBUG_LIST: circular lists of embedded links.

A link knows the head it is linked under (`on`), so that adding a linked entry or deleting an unlinked one is seen at
once. A head declared `freelist=True` holds free memory: linking an object there frees it, unlinking allocates it.
List operations are no points: the head's lock guards them (CHECKED), except where a lock excludes nothing (see UP).
"""

from functools import partial

from harness.kernel.registry import register
from harness.machine import m
from harness.points import RMW
from harness.sanitizers import lifetime, lists
from harness.sanitizers.lockset import check_guard


class list_head:
    """A link or the head of a list. `struct` is what embeds it; a head has a `guard` (see struct.py)."""

    __slots__ = ("freelist", "guard", "holds", "is_head", "name", "next", "on", "prev", "struct")
    state_slots = ("next", "prev", "on")

    def __init__(self, name: str, struct: object = None, guard: str | None = None, freelist: bool = False):
        self.name = name
        self.struct = struct
        self.guard = guard
        self.freelist = freelist
        self.is_head = guard is not None
        self.holds = None                   # the linker puts the test of `guard` here
        self.next = self.prev = self
        self.on = self if self.is_head else None
        register(self)

    def __repr__(self) -> str:
        return self.name


def LIST_HEAD(name, guard="", freelist=False):
    return list_head(name, None, guard, freelist)


def INIT_LIST_HEAD(entry):
    entry.next = entry.prev = entry


def list_add(new, head):
    """Link `new` behind `head` (or behind any entry of a list)."""
    on = head.on
    if new.on is not None and not new.is_head:
        lists.added_twice(m, new, on)
    nxt = head.next
    head.next = new
    new.prev = head
    new.next = nxt
    nxt.prev = new
    if not new.is_head:
        new.on = on
        if on.freelist:
            lifetime.freed(m, new.struct, new)


def list_add_tail(new, head):
    list_add(new, head.prev)


def list_del(entry):
    on = entry.on
    if on is None:
        lists.deleted_unlinked(m, entry)
    prev, nxt = entry.prev, entry.next
    nxt.prev = prev
    prev.next = nxt
    if not entry.is_head:
        entry.on = None
        if on.freelist:
            lifetime.allocated(m, entry.struct)


def list_del_init(entry):
    list_del(entry)
    entry.next = entry.prev = entry


def list_empty(head):
    return head.next is head


def list_entry(entry):
    """The struct that embeds this link."""
    return entry.struct


# ---- the same, where every use is checked against the head's lock, or is a point --------------------------------------

def _checked(operation, heads):
    """`operation`, preceded by the lockset check of the list it changes, if it is about one that has a head."""
    def checked(*links):
        for link in links:
            if link.on is not None:
                heads(link.on)
                break
        return operation(*links)
    checked.__name__ = operation.__name__
    return checked


def _guarded(head, loads=False):
    check_guard(m, head, head.holds, "list", loads)


def _pointed(head, loads=False):
    if head.guard:
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(RMW, head)
    check_guard(m, head, head.holds, "list", loads)


_OPERATIONS = {list_add: False, list_add_tail: False, list_del: False, list_del_init: False, list_empty: True}     # it only loads
CHECKED = {operation.__name__: _checked(operation, partial(_guarded, loads=loads)) for operation, loads in _OPERATIONS.items()}
UP = {operation.__name__: _checked(operation, partial(_pointed, loads=loads)) for operation, loads in _OPERATIONS.items()}
