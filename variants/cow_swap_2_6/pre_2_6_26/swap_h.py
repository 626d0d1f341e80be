# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/swap.h: is swap getting full?"""
from vmrace.harness.kernel import data_race
from vmrace.variants.cow_swap_2_6.types import vm


__FILE__ = "include/linux/swap.h"


def vm_swap_full():
    """Half of the slots are in use. Read without swap_lock; nr_swap_pages is negative during some swapoffs, see sys_swapoff()."""
    return data_race(vm.nr_swap_pages) * 2 < data_race(vm.total_swap_pages)
