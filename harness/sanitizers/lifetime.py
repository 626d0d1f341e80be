# SPDX-License-Identifier: MIT
"""lifetime: KASAN and page poisoning. An object is free while it is on a list declared `freelist`, and after kfree() of it.

Reports any access to a free object (use after free), a free of a free object (double free), a free to a free list of an object that
is linked elsewhere, and an allocation of an object that has another link on a list. kfree() of an object that is still on a list is
no finding, as with KASAN; an access that reaches it by that list is.

Objects on a free list that is `type_stable` keep their type and contents. They may be looked at, and only taking a reference to a free
one is a use after free (see refcount). Struct pages are such objects: the kernel looks at pages that it does not hold.

An object of a slab cache whose struct says `lives_while` (see struct.py) is free while that field is false. Only the core "checked" tests
it, at each access to a field. A freed object that was allocated again is not told from the old one, and embedded objects are not tested.

A limit: on the cores for kernel source an access under a lock is no point, so an explorer does not know that the access depends on
whether the object is free. If such source calls kfree(), a proof does not cover a free that another task makes just before such an
access. Programs of plain functions have a point at each such access. The families free pages and objects of slab caches. The explorer
gets each access to a field of the latter, so a proof covers them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.errors import ProgramError
from vmrace.harness.finding import Kind
from vmrace.harness.machine.machine import Machine, m
from vmrace.harness.machine.run_log import touched
from vmrace.harness.points import WRITE
from vmrace.harness.sanitizers.links import links_of, owners
from vmrace.harness.sanitizers.poison import allocators_link, poison, unpoison

if TYPE_CHECKING:
    from vmrace.harness.kernel.list import list_head
    from vmrace.harness.kernel.registry import KernelObject
    from vmrace.harness.kernel.struct import struct as Struct

NAME = "lifetime"
ALLOCATED, FREED = "allocated", "freed"     # the second part of the place that an explorer knows: of a type-stable object, of any other


class Freed:
    """The value of `allocated` for a free object: it is false, and its text says where the object was freed.

    Any two are equal, because the place of the free is no part of the state of a run.
    """

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


def freed_linked(m: Machine, entry: list_head) -> None:
    """Report a double free if `entry`, which is being added to a free list, is on a free list already."""
    if entry.struct is None or entry.on is None:
        raise _not_embedded(entry)
    if entry.on.freelist:
        detail = where_freed(f"{entry.struct} is already on {entry.on}", entry.struct)
        m.report(Kind.DOUBLE_FREE.title(f"in {m.where()}"), NAME, detail, entry)


def freed(m: Machine, entry: list_head) -> None:
    """Free the struct of `entry`, which is on a free list now. Report if another of its links is on a list.

    Raises ProgramError if no struct embeds `entry`.
    """
    obj, head = entry.struct, entry.on
    if obj is None or head is None:
        raise _not_embedded(entry)
    # The fast core does not spend the time to find out where; a finding is always reported from a run on another core.
    _changed(m, obj, head, _here(m) if not head.type_stable or (m.image is not None and m.image.core != "fast") else UNKNOWN)
    for link in links_of(obj):
        if link is not entry and link.on is not None:
            title = Kind.LIST.title(f"free of a {type(obj).__name__} still on {link.on} in {m.where()}")
            m.report(title, NAME, f"{link} is on {link.on}", link)
    if not head.type_stable:
        poison(obj, used, entry)


def allocated(m: Machine, entry: list_head, head: list_head) -> None:
    """Allocate the struct of `entry`, which has left the free list of `head`. Report if another of its links is on a list."""
    obj = entry.struct
    if obj is None:
        raise _not_embedded(entry)
    if not head.type_stable:
        unpoison(obj)
    _changed(m, obj, head, True)
    for link in links_of(obj):
        if link.on is not None:
            m.report(Kind.LINKED.title(f"in {m.where()}"), NAME, f"{link} is on {link.on}", link)


def kfreed(m: Machine, obj: Struct) -> None:
    """Free `obj` for kfree(). Report if it is free already."""
    if not obj.allocated:
        m.report(Kind.DOUBLE_FREE.title(f"in {m.where()}"), NAME, where_freed(f"{obj} is free", obj), obj)
    _changed(m, obj, None, _here(m))
    poison(obj, used)


def is_gone(obj: Struct) -> bool:
    """True if `obj` is free and not type-stable, so that no task may access its memory."""
    if obj.allocated:
        return False
    link = allocators_link(obj)
    return link is None or link.on is None or not link.on.type_stable


def poison_again(obj: Struct) -> None:
    """Poison `obj`, which is free in a state that was just restored."""
    poison(obj, used, allocators_link(obj))


def used(part: KernelObject, slot: str) -> None:
    """Report an access to `slot` of `part`, which is a free object or embedded in one; not before or after the run, as check_guard."""
    if m.current.id == -1:
        return
    gone = next(obj for obj in owners(part) if not obj.allocated)
    what = f"{part}.{slot.lstrip('_')}" if part is gone or hasattr(part, "allocated") else str(part)
    m.report(Kind.USE_AFTER_FREE.title(f"in {m.where()}"), NAME, where_freed(f"{what} is accessed", gone), gone)


def in_the_slab(m: Machine, obj: Struct, field: str) -> None:
    """Report an access of a task to a field of an object that its slab cache has."""
    m.report(Kind.USE_AFTER_FREE.title(f"in {m.where()}"), NAME, f"{obj}.{field} is accessed, and {obj} is free", obj)


def where_freed(what: str, obj: Struct) -> str:
    """Return `what`, and the place where `obj` was freed, if that is known."""
    where = str(obj.allocated)
    return f"{what}; {obj} was {where}" if where else what


def _not_embedded(entry: list_head) -> ProgramError:
    """Return the error of a program that puts a link on a free list which no struct embeds."""
    return ProgramError(f"{entry.name} is put on a free list, and no struct embeds it: a free list holds structs with an embed(list_head)")


def _here(m: Machine) -> Freed:
    if m.current.id == -1:
        return Freed("freed before the run")
    return Freed(f"freed in {m.where()} by {m.current.name} at step {m.step}")


def _changed(m: Machine, obj: Struct, head: list_head | None, allocated: bool | Freed) -> None:
    """Set `allocated` of `obj`, and report the change to an explorer. `head`: the free list, None for kfree()."""
    if m.explorer is not None or m.log is not None:
        touched(m, (obj, ALLOCATED if head is not None and head.type_stable else FREED), WRITE)
    obj.allocated = allocated
