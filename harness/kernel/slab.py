# SPDX-License-Identifier: MIT
"""include/linux/slab.h: kfree(). There is no kmalloc(): objects are made before the run.

A cache that allocates them again is a list declared `freelist` (see list.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmrace.harness.errors import ProgramError
from vmrace.harness.machine.machine import m
from vmrace.harness.points import RMW
from vmrace.harness.sanitizers import lifetime

if TYPE_CHECKING:
    from vmrace.harness.kernel.struct import struct as Struct


def kfree(obj: Struct | None) -> None:
    """Free a struct: from now on any access to it is a use after free. kfree(None) does nothing.

    Raises TypeError if `obj` is not a struct. Raises ProgramError if no call of kfree() was found in the program before it ran:
    then accesses under a lock were no points, and a proof would miss orders of an access and this call.
    """
    if obj is None:
        return
    if not hasattr(type(obj), "allocated"):
        raise TypeError(f"kfree() of {obj!r}, which is not a struct")
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, obj, lifetime.FREED)
    if m.current.id != -1 and not m.image.frees:
        raise ProgramError(f"{m.image.name}: kfree() is called by another name, or by a function that is not found by name")
    lifetime.kfreed(m, obj)
