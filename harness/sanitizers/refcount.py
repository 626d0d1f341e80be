# SPDX-License-Identifier: MIT
"""refcount: a count of references below zero (reported), or raised from zero (noted: somebody already owns the freeing)."""

from vmrace.harness.finding import Kind
from vmrace.harness.sanitizers import lifetime

NAME = "refcount"


def below_zero(m, v):
    m.report(Kind.REFCOUNT.title(f"{_kind(v)} below zero in {m.where()}"), NAME, f"{v} is {v.counter}")


def revived(m, v):
    """`v` was at zero. On a free object that is a use after free; on one whose freeing is under way it is a revival."""
    if v.counter != 1:
        return
    if v.struct is not None and not v.struct.allocated:
        m.report(Kind.USE_AFTER_FREE.title(f"in {m.where()}"), lifetime.NAME, lifetime.told(f"{v} taken on a free object", v.struct))
    m.note(Kind.REFCOUNT.title(f"{_kind(v)} raised from zero in {m.where()}"), NAME, f"{v} 0 -> 1")


def _kind(v):
    """The count's type and field, without the instance's name."""
    return f"{type(v.struct).__name__}.{v.name.rpartition('.')[2]}" if v.struct is not None else v.name
