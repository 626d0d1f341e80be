# SPDX-License-Identifier: MIT
"""include/linux/slab.h: memory is given back. Objects are made before the run; a cache that hands them out again is a list that
is declared `freelist` (see list.py)."""

from vmrace.harness.errors import ProgramError
from vmrace.harness.machine.machine import m
from vmrace.harness.points import RMW
from vmrace.harness.sanitizers import lifetime


def kfree(obj):
    """Free a struct: from now on, whatever accesses it is a use after free. kfree(None) does nothing.

    ProgramError where the program was not known to free anything: then accesses under a lock are no points.
    """
    if obj is None:
        return
    if not hasattr(type(obj), "allocated"):
        raise TypeError(f"kfree() of {obj!r}, which is no struct")
    m.step = s = m.step + 1
    if s >= m.stop:
        m.sched(RMW, obj, lifetime.FREED)
    if m.current.id != -1 and not m.image.frees:
        raise ProgramError(f"{m.image.name}: kfree() is called by another name, or by a function that is not found by name")
    lifetime.kfreed(m, obj)
