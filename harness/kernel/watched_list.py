# SPDX-License-Identifier: MIT
"""Lists whose uses are tested for the head's lock, or are points.

    checked     tests the lock, and has no points: the runs are those of the fast core.
    up          one cpu: the lock excludes no interrupt, so each operation is also a point.
    functions   treats a list as a racy field (see struct.py): each change is a point, and so is each read without the lock.
                A list without a guard has a point at each use. If the program frees memory, so has every list.

list_empty() reads one link once (READ_ONCE in the kernel), so it may be called without the lock. The cores without a point for it
test the lock nevertheless, because a race there would go unseen. `next` and `prev` need the lock, unless data_race() is around them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from vmrace.harness.kernel import list as plain
from vmrace.harness.kernel.list import WATCHED, list_head
from vmrace.harness.machine.machine import m
from vmrace.harness.machine.run_log import touched
from vmrace.harness.points import READ, RMW, WRITE
from vmrace.harness.sanitizers.lifetime import FREED
from vmrace.harness.sanitizers.links import owners
from vmrace.harness.sanitizers.lockset import Reader, check_guard

R = TypeVar("R")
_stored_on: Callable[[list_head], list_head | None] = vars(list_head)["on"].__get__     # also of free memory, where `.on` reports


def _tested(link: list_head, loads: bool) -> None:
    """Report unless the lock of the list that `link` is on is held, if it is on one. `loads`: for a load only."""
    head = _stored_on(link)
    if head is not None:
        check_guard(m, head, head.holds, "list", loads)


# ---- checked, up -------------------------------------------------------------------------------------------------------

def _checked(operation: Callable[..., R], heads: Callable[[list_head], None]) -> Callable[..., R]:
    """Return `operation`, preceded by `heads(head)` for the list that it uses, if any of its links is on one."""
    def checked(*links: list_head) -> R:
        for link in links:
            if link.on is not None:
                heads(link.on)
                break
        return operation(*links)
    checked.__name__ = operation.__name__
    return checked


def _guarded(head: list_head, loads: bool = False) -> None:
    check_guard(m, head, head.holds, "list", loads)


def _pointed(head: list_head, loads: bool = False) -> None:
    if head.guard:
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(RMW, head)
    check_guard(m, head, head.holds, "list", loads)


class checked_link(list_head):
    """A link. A load or a store of `next` or `prev` is tested for the lock."""

    __slots__ = ()

    @property
    def next(self) -> list_head:
        _tested(self, True)
        return self._next

    @next.setter
    def next(self, link: list_head) -> None:
        _tested(self, False)
        self._next = link

    @property
    def prev(self) -> list_head:
        _tested(self, True)
        return self._prev

    @prev.setter
    def prev(self, link: list_head) -> None:
        _tested(self, False)
        self._prev = link


# ---- functions ---------------------------------------------------------------------------------------------------------

def _unseen(head: list_head | None, loads: bool) -> bool:
    """True if no other task can observe when the running task uses the list of `head`, so that the use is no point."""
    me = m.current
    if me.id == -1:
        return True
    if not loads or head is None or not head.guard:
        return False
    return not m.image.frees and head.holds(Reader(me))


def _settled(link: list_head, head: list_head | None, kind: int) -> None:
    """Report to an explorer the list that `link` is on now, if it is not the list of `head`, which its point has announced."""
    now = _stored_on(link)
    if now is not head:
        touched(m, link if now is None else now, kind)


def _neighbours(*links: list_head) -> None:
    """Report to an explorer that these links change, too: an event that frees one of their structs depends on this one."""
    if m.image.frees and (m.explorer is not None or m.log is not None):
        for link in links:
            for struct in owners(link.struct):
                touched(m, (struct, FREED), READ)


def list_add(new: list_head, head: list_head) -> None:
    on = _stored_on(head)
    if not _unseen(on, False):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(RMW, on or head, (new, ""))
        _settled(head, on, RMW)
        _neighbours(head, head._next)
        _tested(head, False)
    plain.list_add(new, head)


def list_add_tail(new: list_head, head: list_head) -> None:
    on = _stored_on(head)
    if not _unseen(on, False):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(RMW, on or head, (new, ""))
        _settled(head, on, RMW)
        _neighbours(head, head._prev)
        _tested(head, False)
    plain.list_add(new, head._prev)


def list_del(entry: list_head) -> None:
    _delete(entry)
    plain.list_del(entry)


def list_del_init(entry: list_head) -> None:
    _delete(entry)
    plain.list_del_init(entry)


def _delete(entry: list_head) -> None:
    on = _stored_on(entry)
    if not _unseen(on, False):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(RMW, on or entry, (entry, ""))
        _settled(entry, on, RMW)
        _neighbours(entry._next, entry._prev)
        _tested(entry, False)


def list_empty(head: list_head) -> bool:
    on = _stored_on(head)
    if not _unseen(on, True):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(READ, on or head, (head, ""))
        _settled(head, on, READ)
    return head._next is head


def INIT_LIST_HEAD(entry: list_head) -> None:
    on = _stored_on(entry)
    if not _unseen(on, False):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(WRITE, on or entry, (entry, ""))
        _settled(entry, on, WRITE)
        _tested(entry, False)
    plain.INIT_LIST_HEAD(entry)


def _watched_link(slot: str) -> Any:
    """Return a property for `next` or `prev`. It stands in for an attribute of type list_head, which no type can say."""
    stored = f"_{slot}"

    def get(link: list_head) -> list_head:
        on = _stored_on(link)
        seen = not _unseen(on, True)
        if seen:
            m.step = s = m.step + 1
            if s >= m.stop:
                m.sched(READ, on or link, (link, slot))
            _settled(link, on, READ)
        value: list_head = getattr(link, stored)        # before the test: free memory is worse than a lock that is not held
        if seen:
            _tested(link, True)
        return value

    def put(link: list_head, value: list_head) -> None:
        on = _stored_on(link)
        if not _unseen(on, False):
            m.step = s = m.step + 1
            if s >= m.stop:
                m.sched(WRITE, on or link, (link, slot))
            _settled(link, on, WRITE)
            setattr(link, stored, value)
            _tested(link, False)
        else:
            setattr(link, stored, value)
    return property(get, put)


class pointed_link(list_head):
    """A link. Each store of `next` or `prev` is a point, and so is each load without the lock."""

    __slots__ = ()
    next = _watched_link("next")
    prev = _watched_link("prev")


WATCHED.update(checked=checked_link, up=checked_link, functions=pointed_link)

_LOADS: dict[Callable[..., object], bool] = {
    plain.list_add: False, plain.list_add_tail: False, plain.list_del: False, plain.list_del_init: False, plain.list_empty: True}
CHECKED = {operation.__name__: _checked(operation, partial(_guarded, loads=loads)) for operation, loads in _LOADS.items()}
UP = {operation.__name__: _checked(operation, partial(_pointed, loads=loads)) for operation, loads in _LOADS.items()}
FUNCTIONS = {operation.__name__: operation for operation in (INIT_LIST_HEAD, list_add, list_add_tail, list_del, list_del_init, list_empty)}
