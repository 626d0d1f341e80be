# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/swapops.h: swap entries and migration entries, each an int.

The five high-order bits of an entry are its type: the number of a swap area, or SWP_MIGRATION_READ or SWP_MIGRATION_WRITE. The rest is
the slot, or the number of the page frame. The kernel keeps an entry in two formats, one for page tables and one for the swap cache;
here both are the same int, so that a pte that is neither none nor present is such an int.
"""
from vmrace.harness.kernel import BUG_ON
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import PageLocked, page_to_pfn, pfn_to_page, pte_none, pte_present
from vmrace.variants.cow_swap_2_6.types import SWP_MIGRATION_READ, SWP_MIGRATION_WRITE, SWP_OFFSET_MASK, SWP_TYPE_SHIFT


__FILE__ = "include/linux/swapops.h"


def swp_entry(type, offset):
    return type << SWP_TYPE_SHIFT | offset & SWP_OFFSET_MASK


def swp_type(entry):
    return entry >> SWP_TYPE_SHIFT


def swp_offset(entry):
    return entry & SWP_OFFSET_MASK


def is_swap_pte(pte):
    """No pte here is of a nonlinear file mapping."""
    return not pte_none(pte) and not pte_present(pte)


def pte_to_swp_entry(pte):
    """The entry of a pte that is a swap pte, in the format of the swap cache."""
    return swp_entry(swp_type(pte), swp_offset(pte))


def swp_entry_to_pte(entry):
    return swp_entry(swp_type(entry), swp_offset(entry))


def make_migration_entry(page, write):
    BUG_ON(not PageLocked(page), 82)
    return swp_entry(SWP_MIGRATION_WRITE if write else SWP_MIGRATION_READ, page_to_pfn(page))


def is_migration_entry(entry):
    return swp_type(entry) == SWP_MIGRATION_READ or swp_type(entry) == SWP_MIGRATION_WRITE


def is_write_migration_entry(entry):
    return swp_type(entry) == SWP_MIGRATION_WRITE


def migration_entry_to_page(entry):
    """A migration entry holds no reference: only the lock of its page keeps the page."""
    p = pfn_to_page(swp_offset(entry))
    BUG_ON(not PageLocked(p), 105)
    return p


def make_migration_entry_read(entry):
    """Returns the entry; C has a pointer to it."""
    return swp_entry(SWP_MIGRATION_READ, swp_offset(entry))
