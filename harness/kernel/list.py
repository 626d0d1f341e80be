# SPDX-License-Identifier: MIT
"""include/linux/list.h, with CONFIG_DEBUG_LIST: circular lists of embedded links.

A link knows the head that it is linked under (`on`), so list_add() of a linked entry and list_del() of an unlinked one are reported at
once.

A head declared `freelist=True` holds free memory: list_add() of an object to it frees the object, list_del() allocates it. Any access
to a free object is a use after free. With `type_stable=True` as well, a free object keeps its type and contents, as struct pages and
the objects of a SLAB_TYPESAFE_BY_RCU cache do. Looking at it is then allowed, and only taking a reference to it is a use after free.

List operations are no points here, because the head's lock guards them. The cores that test the lock have watched_list.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vmrace.harness.kernel.registry import core_now, register
from vmrace.harness.machine.machine import m
from vmrace.harness.sanitizers import lifetime, lists

if TYPE_CHECKING:
    from vmrace.harness.kernel.struct import struct as Struct
    from vmrace.harness.sanitizers.lockset import Holder


class list_head:
    """A link, or the head of a list.

    `struct` is the struct that embeds it, if any. A head has a `guard`, which names its lock as in struct.py, or is ""; a link has None.
    In every core `_next` and `_prev` are the stored links; `next` and `prev` are the same slots, or properties that watch them.
    """

    __slots__ = ("_next", "_prev", "freelist", "guard", "holds", "is_head", "name", "on", "struct", "type_stable")
    state_slots = ("_next", "_prev", "on")
    next: list_head
    prev: list_head

    def __new__(cls, *_args: object, **_kwargs: object) -> list_head:
        return object.__new__(WATCHED.get(core_now().name, cls))

    def __init__(self, name: str, struct: Struct | None = None, guard: str | None = None, freelist: bool = False,
                 type_stable: bool = False):
        assert freelist or not type_stable, f"{name}: only a freelist can be type_stable"
        self.name = name
        self.struct = struct
        self.guard = guard
        self.freelist = freelist
        self.type_stable = type_stable
        self.is_head = guard is not None
        self.holds: Callable[[Holder], bool] = _at_boot     # the linker puts the test of `guard` here
        self._next: list_head = self
        self._prev: list_head = self
        self.on: list_head | None = self if self.is_head else None
        register(self)

    def __repr__(self) -> str:
        return self.name


list_head.next, list_head.prev = list_head._next, list_head._prev  # type: ignore[misc]    # the same slots, unless a core watches them
WATCHED: dict[str, type[list_head]] = {}    # core -> the class of its links, where that is not list_head


def _at_boot(me: Holder) -> bool:
    """True: the linker has not put a test here yet, and nothing else runs while it links."""
    return True


def LIST_HEAD(name: str, guard: str = "", freelist: bool = False, type_stable: bool = False) -> list_head:
    return list_head(name, None, guard, freelist, type_stable)


def INIT_LIST_HEAD(entry: list_head) -> None:
    entry._next = entry._prev = entry


def list_add(new: list_head, head: list_head) -> None:
    """Link `new` behind `head`, which may be any entry of a list."""
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
        if on.freelist:  # type: ignore[union-attr]     # None is a null pointer of kernel source: an oops
            lifetime.freed(m, new)


def list_add_tail(new: list_head, head: list_head) -> None:
    list_add(new, head._prev)


def list_del(entry: list_head) -> None:
    on = entry.on
    if on is None:
        lists.deleted_unlinked(m, entry)
    prev, nxt = entry._prev, entry._next
    nxt._prev = prev
    prev._next = nxt
    if not entry.is_head:
        entry.on = None
        if on.freelist:
            lifetime.allocated(m, entry, on)


def list_del_init(entry: list_head) -> None:
    list_del(entry)
    entry._next = entry._prev = entry


def list_empty(head: list_head) -> bool:
    return head._next is head


def list_entry(entry: list_head) -> Struct | None:
    """Return the struct that embeds this link; None for a head that stands alone."""
    return entry.struct
