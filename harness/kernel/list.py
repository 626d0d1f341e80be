# SPDX-License-Identifier: MIT
"""include/linux/list.h, with CONFIG_DEBUG_LIST: circular lists of embedded links.

A link knows the head it is linked under (`on`), so that adding a linked entry or deleting an unlinked one is seen at
once. A head declared `freelist=True` holds free memory: linking an object there frees it, unlinking allocates it. Any access
to an object that is free is a use after free. With `type_stable=True` too, what is on it stays what it was, as struct pages do
and the objects of a SLAB_TYPESAFE_BY_RCU cache: who looks at it does no harm, and only taking a reference is a use after free.

List operations are no points here: the head's lock guards them. See watched_list.py for the cores that test this.
"""

from vmrace.harness.kernel.registry import core_now, register
from vmrace.harness.machine.machine import m
from vmrace.harness.sanitizers import lifetime, lists


class list_head:
    """A link or the head of a list. `struct` is what embeds it; a head has a `guard` (see struct.py).

    `_next` and `_prev` are the stored links in every core; `next` and `prev` may be watched.
    """

    __slots__ = ("_next", "_prev", "freelist", "guard", "holds", "is_head", "name", "on", "struct", "type_stable")
    state_slots = ("_next", "_prev", "on")
    next: "list_head"
    prev: "list_head"

    def __new__(cls, *_args: object, **_kwargs: object) -> "list_head":
        return object.__new__(WATCHED.get(core_now().name, cls))

    def __init__(self, name: str, struct: object = None, guard: str | None = None, freelist: bool = False, type_stable: bool = False):
        assert freelist or not type_stable, "type_stable says what a freelist holds"
        self.name = name
        self.struct = struct
        self.guard = guard
        self.freelist = freelist
        self.type_stable = type_stable
        self.is_head = guard is not None
        self.holds = None                   # the linker puts the test of `guard` here
        self._next = self._prev = self
        self.on = self if self.is_head else None
        register(self)

    def __repr__(self) -> str:
        return self.name


list_head.next, list_head.prev = list_head._next, list_head._prev       # the same slots, unless a core watches them
WATCHED: dict[str, type] = {}               # core -> the class of its links, where that is not list_head


def LIST_HEAD(name, guard="", freelist=False, type_stable=False):
    return list_head(name, None, guard, freelist, type_stable)


def INIT_LIST_HEAD(entry):
    entry._next = entry._prev = entry


def list_add(new, head):
    """Link `new` behind `head` (or behind any entry of a list)."""
    on = head.on
    if new.on is not None and not new.is_head:
        lists.added_twice(m, new, on)
    nxt = head._next
    head._next = new
    new._prev = head
    new._next = nxt
    nxt._prev = new
    if not new.is_head:
        new.on = on
        if on.freelist:
            lifetime.freed(m, new.struct, new)


def list_add_tail(new, head):
    list_add(new, head._prev)


def list_del(entry):
    on = entry.on
    if on is None:
        lists.deleted_unlinked(m, entry)
    prev, nxt = entry._prev, entry._next
    nxt._prev = prev
    prev._next = nxt
    if not entry.is_head:
        entry.on = None
        if on.freelist:
            lifetime.allocated(m, entry.struct, on)


def list_del_init(entry):
    list_del(entry)
    entry._next = entry._prev = entry


def list_empty(head):
    return head._next is head


def list_entry(entry):
    """The struct that embeds this link."""
    return entry.struct
