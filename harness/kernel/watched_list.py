# SPDX-License-Identifier: MIT
"""Lists where every use is tested for the head's lock, or is a point.

    checked     tests the lock, and has no points: the same runs as on the fast core.
    up          one cpu: the lock excludes no interrupt, so each operation is a point as well.
    functions   a list is as a racy field (see struct.py). What changes it is a point, and so is a look at it without the lock.
                A list without a guard has a point at each use; in a program that frees memory, so has every list.

list_empty() reads one link, once (READ_ONCE in the kernel), so it may be called without the lock. It is tested all the same on the
cores without a point for it, where it would go unseen. `next` and `prev` take the lock; data_race() around them excuses them.
"""

from functools import partial

from vmrace.harness.kernel import list as plain
from vmrace.harness.kernel.list import WATCHED, list_head
from vmrace.harness.machine.machine import m
from vmrace.harness.points import READ, RMW, WRITE
from vmrace.harness.sanitizers.lifetime import FREED
from vmrace.harness.sanitizers.links import owners
from vmrace.harness.sanitizers.lockset import Reader, check_guard

_stored_on = vars(list_head)["on"].__get__  # also of free memory, where `.on` reports


def _tested(link, loads):
    """The lock of the list that `link` is on, if it is on one."""
    head = _stored_on(link)
    if head is not None:
        check_guard(m, head, head.holds, "list", loads)


# ---- checked, up -------------------------------------------------------------------------------------------------------

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


class checked_link(list_head):
    """A link whose reads and stores are tested for the lock."""

    __slots__ = ()

    @property
    def next(self):
        _tested(self, True)
        return self._next

    @next.setter
    def next(self, link):
        _tested(self, False)
        self._next = link

    @property
    def prev(self):
        _tested(self, True)
        return self._prev

    @prev.setter
    def prev(self, link):
        _tested(self, False)
        self._prev = link


# ---- functions ---------------------------------------------------------------------------------------------------------

def _unseen(head, loads):
    """True if nobody can tell when the running task uses the list of `head`, so that this is no point."""
    me = m.current
    if me.id == -1:
        return True
    return loads and head is not None and head.guard and not m.image.frees and head.holds(Reader(me))


def _settled(link, head, kind):
    """`link` was on the list of `head` when its point was announced; tell an explorer if it is on another one by now."""
    now = _stored_on(link)
    if now is not head and m.explorer is not None:
        m.explorer.touched(m, link if now is None else now, kind)


def _neighbours(*links):
    """These are changed too: tell an explorer that whoever frees them depends on it."""
    if m.explorer is not None and m.image.frees:
        for link in links:
            for struct in owners(link.struct):
                m.explorer.touched(m, (struct, FREED), READ)


def list_add(new, head):
    on = _stored_on(head)
    if not _unseen(on, False):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(RMW, on or head, (new, ""))
        _settled(head, on, RMW)
        _neighbours(head, head._next)
        _tested(head, False)
    plain.list_add(new, head)


def list_add_tail(new, head):
    on = _stored_on(head)
    if not _unseen(on, False):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(RMW, on or head, (new, ""))
        _settled(head, on, RMW)
        _neighbours(head, head._prev)
        _tested(head, False)
    plain.list_add(new, head._prev)


def list_del(entry):
    _delete(entry)
    plain.list_del(entry)


def list_del_init(entry):
    _delete(entry)
    plain.list_del_init(entry)


def _delete(entry):
    on = _stored_on(entry)
    if not _unseen(on, False):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(RMW, on or entry, (entry, ""))
        _settled(entry, on, RMW)
        _neighbours(entry._next, entry._prev)
        _tested(entry, False)


def list_empty(head):
    on = _stored_on(head)
    if not _unseen(on, True):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(READ, on or head, (head, ""))
        _settled(head, on, READ)
    return head._next is head


def INIT_LIST_HEAD(entry):
    on = _stored_on(entry)
    if not _unseen(on, False):
        m.step = s = m.step + 1
        if s >= m.stop:
            m.sched(WRITE, on or entry, (entry, ""))
        _settled(entry, on, WRITE)
        _tested(entry, False)
    plain.INIT_LIST_HEAD(entry)


def _watched_link(slot):
    """The property of `next` or `prev` for the stored slot."""
    stored = f"_{slot}"

    def get(link):
        on = _stored_on(link)
        if not _unseen(on, True):
            m.step = s = m.step + 1
            if s >= m.stop:
                m.sched(READ, on or link, (link, slot))
            _settled(link, on, READ)
            value = getattr(link, stored)           # first, as free memory is worse than a lock that is not held
            _tested(link, True)
            return value
        return getattr(link, stored)

    def put(link, value):
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
    """A link whose reads without the lock, and all stores, are points."""

    __slots__ = ()
    next = _watched_link("next")
    prev = _watched_link("prev")


WATCHED.update(checked=checked_link, up=checked_link, functions=pointed_link)

_LOADS = {plain.list_add: False, plain.list_add_tail: False, plain.list_del: False, plain.list_del_init: False, plain.list_empty: True}
CHECKED = {operation.__name__: _checked(operation, partial(_guarded, loads=loads)) for operation, loads in _LOADS.items()}
UP = {operation.__name__: _checked(operation, partial(_pointed, loads=loads)) for operation, loads in _LOADS.items()}
FUNCTIONS = {operation.__name__: operation for operation in (INIT_LIST_HEAD, list_add, list_add_tail, list_del, list_del_init, list_empty)}
