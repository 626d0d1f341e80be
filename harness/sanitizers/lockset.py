# SPDX-License-Identifier: MIT
"""lockset: a field declared under a lock was touched by a task that does not hold it (in checked and up images)."""

NAME = "lockset"


def check_guard(m, obj, holds, field):
    """Report, unless `holds()` says that the guard is held. Code for fields has tested already and passes None."""
    if holds is not None and holds(m.current):
        return
    if m.current.id == -1:
        return                      # before and after the run nobody else is there
    what = f"{type(obj).__name__}.{field}" if field != "list" else obj.name
    if isinstance(field, int):
        what = f"{type(obj.struct).__name__}.{obj.name.rpartition('.')[2]}"
    m.report(f"LOCKSET: {what} touched without its lock in {m.where()}", NAME, f"{obj} by {m.current.name}")
