# SPDX-License-Identifier: MIT
"""lifetime: KASAN and page poisoning. An object is free while it is linked on a list declared `freelist`.

Reports: freed while free (double free), freed while linked elsewhere, allocated while another of its links is on a list.
"""

from harness.links import links_of
from harness.points import WRITE

NAME = "lifetime"


def freed_linked(m, entry):
    """`entry` goes to a free list and is already on some list."""
    if entry.on.freelist:
        m.report(f"double free in {m.where()}", NAME, f"{entry.struct} is already on {entry.on}")


def freed(m, obj, entry):
    """`obj` has entered a free list through `entry`: nothing else of it may be linked."""
    _changed(m, obj, False)
    for link in links_of(obj):
        if link is not entry and link.on is not None:
            m.report(f"LIST: free of a {type(obj).__name__} still on {link.on} in {m.where()}", NAME, f"{link} is on {link.on}")


def allocated(m, obj):
    _changed(m, obj, True)
    for link in links_of(obj):
        if link.on is not None:
            m.report(f"allocation of a linked object in {m.where()}", NAME, f"{link} is on {link.on}")


def _changed(m, obj, allocated):
    if m.explorer is not None:
        m.explorer.touched(m, (obj, "allocated"), WRITE)
    obj.allocated = allocated
