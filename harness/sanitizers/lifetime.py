# SPDX-License-Identifier: MIT
"""lifetime: KASAN and page poisoning. An object is free while it is on a list declared `freelist`, or once it was given to kfree().

Reports: any access to a free object (use after free), freed while free (double free), freed to a free list while linked
elsewhere, allocated while another of its links is on a list. As with KASAN, kfree() of an object that is still on a list is no
finding, but whoever then comes to it by that list is.

Of objects on a free list that is `type_stable` the memory stays what it was: these may be looked at, and only to take a reference
to a free one is a use after free (see refcount). Struct pages are such objects: the kernel looks at pages that it does not hold.

A limit: on the cores for kernel source an access under a lock is no point, and no explorer is told that it looks at whether the
object is free. Where such source frees memory, a proof does not cover an access that another one's free would have to hit there.
Programs of plain functions have a point at each such access. No family frees anything but pages.
"""

from vmrace.harness.finding import Kind
from vmrace.harness.points import WRITE
from vmrace.harness.sanitizers.links import links_of, owners
from vmrace.harness.sanitizers.poison import allocators_link, poison, unpoison

NAME = "lifetime"
ALLOCATED, FREED = "allocated", "freed"     # what an explorer knows of a type-stable object, and of one that is not


class Freed:
    """What `allocated` of a free object is: false, and where that was. Any two are equal, as where it was is no part of a state."""

    __slots__ = ("where",)

    def __init__(self, where: str = ""):
        self.where = where

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Freed)

    def __hash__(self) -> int:
        return hash(Freed)

    def __str__(self) -> str:
        return self.where


UNKNOWN = Freed()


def freed_linked(m, entry):
    """`entry` goes to a free list and is already on some list."""
    if entry.on.freelist:
        m.report(Kind.DOUBLE_FREE.title(f"in {m.where()}"), NAME, told(f"{entry.struct} is already on {entry.on}", entry.struct))


def freed(m, obj, entry):
    """`obj` has entered a free list through `entry`: nothing else of it may be linked."""
    head = entry.on
    # The fast core has no time to find out where; a finding is always told by a run on another core.
    _changed(m, obj, head, _here(m) if not head.type_stable or (m.image is not None and m.image.core != "fast") else UNKNOWN)
    for link in links_of(obj):
        if link is not entry and link.on is not None:
            m.report(Kind.LIST.title(f"free of a {type(obj).__name__} still on {link.on} in {m.where()}"), NAME, f"{link} is on {link.on}")
    if not head.type_stable:
        poison(obj, used, entry)


def allocated(m, obj, head):
    if not head.type_stable:
        unpoison(obj)
    _changed(m, obj, head, True)
    for link in links_of(obj):
        if link.on is not None:
            m.report(Kind.LINKED.title(f"in {m.where()}"), NAME, f"{link} is on {link.on}")


def kfreed(m, obj):
    """`obj` was given to kfree()."""
    if not obj.allocated:
        m.report(Kind.DOUBLE_FREE.title(f"in {m.where()}"), NAME, told(f"{obj} is free", obj))
    _changed(m, obj, None, _here(m))
    poison(obj, used)


def is_gone(obj):
    """True if the memory of `obj` must not be accessed."""
    if obj.allocated:
        return False
    link = allocators_link(obj)
    return link is None or not link.on.type_stable


def poison_again(obj):
    """`obj` is free in a state that was brought back."""
    poison(obj, used, allocators_link(obj))


def used(part, slot):
    """`part` is a free object, or in one: report it, unless nobody else is there (see check_guard)."""
    from vmrace.harness.machine.machine import m
    if m.current.id == -1:
        return
    gone = next(obj for obj in owners(part) if not obj.allocated)
    what = f"{part}.{slot.lstrip('_')}" if part is gone or hasattr(part, "allocated") else str(part)
    m.report(Kind.USE_AFTER_FREE.title(f"in {m.where()}"), NAME, told(f"{what} is accessed", gone))


def told(what, obj):
    """`what`, and where `obj` was freed, if that is known."""
    where = str(obj.allocated)
    return f"{what}; {obj} was {where}" if where else what


def _here(m):
    if m.current.id == -1:
        return Freed("freed before the run")
    return Freed(f"freed in {m.where()} by {m.current.name} at step {m.step}")


def _changed(m, obj, head, allocated):
    if m.explorer is not None:
        m.explorer.touched(m, (obj, ALLOCATED if head is not None and head.type_stable else FREED), WRITE)
    obj.allocated = allocated
