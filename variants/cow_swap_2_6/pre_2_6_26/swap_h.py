# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/swap.h: the test for a swap area that is getting full."""
from vmrace.harness.kernel import data_race
from vmrace.variants.cow_swap_2_6.types import vm


__FILE__ = "include/linux/swap.h"


def vm_swap_full():
    """True if more than half of the slots are in use. Read without swap_lock; sys_swapoff() can make nr_swap_pages negative."""
    return data_race(vm.nr_swap_pages) * 2 < data_race(vm.total_swap_pages)
