# SPDX-License-Identifier: GPL-2.0-only
"""mm/swap_state.c, of a machine without a swap device: no page is ever in the swap cache."""
from vmrace.harness.kernel import BUG, spin_lock, spin_unlock
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import PageLocked
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import lru_add_drain, release_pages
from vmrace.variants.invalidate_2_6.types import swap_lock


__FILE__ = "mm/swapfile.c"


def get_swap_page():
    """Returns 0: without a swap device there is no slot."""
    spin_lock(swap_lock)
    # noswap:
    spin_unlock(swap_lock)
    return 0


__FILE__ = "mm/swap_state.c"


def add_to_swap(page):
    """Returns 0 if the page, which is locked, has got no slot."""
    if not PageLocked(page):
        BUG(149)

    # not here: if get_swap_page(): there is no swap device, so there is never a slot
    get_swap_page()
    return 0


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
