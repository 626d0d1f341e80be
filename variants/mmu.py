# SPDX-License-Identifier: GPL-2.0-only
"""Not kernel source: the memory and the MMU that the kernels of several families run on.

The MMU. A user access is two steps: on the pte slot, where the accessed bit is set and for a store the dirty bit too, and on the
word. If the pte no longer leads to that word when it is its turn, the instruction starts again. This is sound for every
pte change that is followed by a flush: the flush's interrupt is answered between two instructions, so once it is over each
access is either complete, its bits in the pte, or will walk the new table. There is no TLB, and so no stale entry between a
change and its flush (a limit, see the types of each family).

Memory. A page that several tasks may reach is read and written a word at a time, each access a point on the frame; a page that only
the caller knows of is copied or cleared at once.
"""
from vmrace.harness.kernel import READ, RMW, WRITE, current, point, touches
from vmrace.variants.invalidate_2_6.pre_2_6_15.fault import do_page_fault
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import pte_mkdirty, pte_mkyoung, pte_offset, pte_page, pte_present, pte_write

__FILE__ = "hardware"

MMU_FAULT = "MMU_FAULT"

# ---- memory ------------------------------------------------------------------------------------------------------------


def read_word_of(frame, word):
    point(frame, READ)
    return frame.word1 if word else frame.word0


def write_word_of(frame, word, value):
    point(frame, WRITE)
    if word:
        frame.word1 = value
    else:
        frame.word0 = value


def copy_to_new_page(new, old):
    """copy_user_highpage(): nobody else knows of the new page yet."""
    new.data.word0 = read_word_of(old.data, 0)
    new.data.word1 = read_word_of(old.data, 1)


def clear_new_page(page):
    """clear_user_highpage(), of a page that nobody else knows of"""
    page.data.word0 = 0
    page.data.word1 = 0


def memset_page(page):
    """memset(kaddr, 0, PAGE_CACHE_SIZE)"""
    write_word_of(page.data, 0, 0)
    write_word_of(page.data, 1, 0)


# ---- the MMU -----------------------------------------------------------------------------------------------------------


def still_maps(slot, page, store):
    touches(WRITE if store else READ, slot)
    pte = slot._val
    return pte_present(pte) and pte[0] is page and (pte[1] or not store)


def mmu_load(mm, address, word):
    """A user load through `mm`: the word, or MMU_FAULT."""
    slot = pte_offset(mm, address)
    while True:
        point(slot, RMW)
        pte = slot._val
        if not pte_present(pte):
            return MMU_FAULT
        slot._val = pte_mkyoung(pte)
        page = pte_page(pte)
        data = page.data
        point(data, READ)
        if still_maps(slot, page, 0):
            return data.word1 if word else data.word0


def mmu_store(mm, address, word, value):
    """A user store through `mm`: None, or MMU_FAULT."""
    slot = pte_offset(mm, address)
    while True:
        point(slot, RMW)
        pte = slot._val
        if not pte_present(pte) or not pte_write(pte):
            return MMU_FAULT
        slot._val = pte_mkyoung(pte_mkdirty(pte))
        page = pte_page(pte)
        data = page.data
        point(data, WRITE)
        if still_maps(slot, page, 1):
            slot._val = pte_mkdirty(slot._val)      # who took the bit meanwhile has flushed before this instruction or after it
            if word:
                data.word1 = value
            else:
                data.word0 = value
            return None


def user_load(address, word):
    """The instruction, restarted after each fault: (value, None), or (None, the signal that ended it)."""
    while True:
        value = mmu_load(current().mm, address, word)
        if value is not MMU_FAULT:
            return value, None
        signal = do_page_fault(address, 0)
        if signal:
            return None, signal


def user_store(address, word, value):
    """The instruction, restarted after each fault: None, or the signal that ended it."""
    while True:
        if mmu_store(current().mm, address, word, value) is not MMU_FAULT:
            return None
        signal = do_page_fault(address, 1)
        if signal:
            return signal


# ---- devices -----------------------------------------------------------------------------------------------------------


def device_write(page, value):
    """A device that a driver has given the page to writes it."""
    write_word_of(page.data, 0, value)
    write_word_of(page.data, 1, value)


def device_read(page):
    """A device that a driver has given the page to reads it: both words."""
    return read_word_of(page.data, 0), read_word_of(page.data, 1)
