# SPDX-License-Identifier: GPL-2.0-only
"""mm/swap_state.c, of a machine without a swap device: no page is ever in the swap cache."""
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_add_drain, release_pages


__FILE__ = "mm/swap_state.c"


def free_swap_cache(page):
    """PageSwapCache is never set, so there is nothing to free."""


# not here: pagep += todo: a slice of Python
# not here: release_pages(pagep, todo): a slice of Python
# only here: release_pages(pagep, todo): a slice of Python
def free_pages_and_swap_cache(pages, nr):
    """Free the pages of a zap, after the flush of the TLBs."""
    chunk = 16
    pagep = pages

    lru_add_drain()
    while nr:
        todo = min(chunk, nr)
        for i in range(todo):
            free_swap_cache(pagep[i])
        release_pages(pagep, todo)
        pagep = pagep[todo:]
        nr -= todo
