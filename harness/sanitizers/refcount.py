# SPDX-License-Identifier: MIT
"""refcount: a count of references falls below zero (reported), or is raised from zero (noted: a task already owns the freeing)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from vmrace.harness.finding import Kind
from vmrace.harness.sanitizers import lifetime

if TYPE_CHECKING:
    from vmrace.harness.kernel.atomic import atomic_t
    from vmrace.harness.machine.machine import Machine

NAME = "refcount"


def below_zero(m: Machine, v: atomic_t) -> NoReturn:
    """Report that `v`, a count of references, is negative now."""
    assert v.refcount, v
    m.report(Kind.REFCOUNT.title(f"{_kind(v)} below zero in {m.where()}"), NAME, f"{v} is {v.counter}", v)


def revived(m: Machine, v: atomic_t) -> None:
    """Note that `v`, a count of references, was raised from zero: its object is about to be freed. If it is free, report that."""
    assert v.refcount, v
    if v.counter != 1:
        return
    if v.struct is not None and not v.struct.allocated:
        m.report(Kind.USE_AFTER_FREE.title(f"in {m.where()}"), lifetime.NAME,
                 lifetime.where_freed(f"{v} taken on a free object", v.struct), v)
    m.note(Kind.REFCOUNT.title(f"{_kind(v)} raised from zero in {m.where()}"), NAME, f"{v} 0 -> 1", v)


def _kind(v: atomic_t) -> str:
    """Return the count's struct and field, without the name of the instance."""
    return f"{type(v.struct).__name__}.{v.name.rpartition('.')[2]}" if v.struct is not None else v.name
