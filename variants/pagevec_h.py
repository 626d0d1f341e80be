# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/pagevec.h, of the pagevecs that each cpu has in mm/swap.c: adding to one is a step, unlike with a task's own."""
from vmrace.harness.kernel import RMW, point
from vmrace.variants.invalidate_2_6.types import PAGEVEC_SIZE

__FILE__ = "include/linux/pagevec.h"


def per_cpu_pagevec_add(pvec, page):
    """pagevec_add() to a pagevec of this cpu. Returns the number of places left."""
    point(pvec, RMW)
    pvec.pages += (page,)
    return PAGEVEC_SIZE - len(pvec.pages)


def per_cpu_pagevec_count(pvec):
    """pagevec_count() of a pagevec of this cpu"""
    point(pvec, RMW)
    return len(pvec.pages)


def taken(pvec):
    """Empty a per-cpu pagevec, and return its pages."""
    pages = list(pvec.pages)
    pvec.pages = ()
    return pages
