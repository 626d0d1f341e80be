# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/mm.h, with the parts of mmzone.h and asm-i386/pgtable.h it stands on.

Page flags are tested and set one bit at a time, each an atomic operation. The zone number in the upper bits of page->flags
never changes and is no access here.
"""
from vmrace.harness.kernel import (
    atomic_dec_and_test,
    atomic_inc,
    atomic_read,
    atomic_set,
    clear_bit,
    current,
    data_race,
    set_bit,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
)
from vmrace.variants.lru_free_2_4.pre_patch.filemap import unlock_page
from vmrace.variants.lru_free_2_4.pre_patch.page_alloc import __free_pages, _alloc_pages, free_pages
from vmrace.variants.lru_free_2_4.types import (
    PF_NOIO,
    PG_active,
    PG_dirty,
    PG_error,
    PG_launder,
    PG_locked,
    PG_lru,
    PG_referenced,
    PG_reserved,
    PG_uptodate,
    _PAGE_ACCESSED,
    _PAGE_RW,
    __GFP_FS,
    __GFP_HIGHIO,
    __GFP_IO,
    empty_zero_page,
    swapper_space,
    zone_normal,
)


__FILE__ = "include/linux/mm.h"


def get_page(page):
    atomic_inc(page.count)


def put_page(page):
    __free_page(page)


def put_page_testzero(page):
    return atomic_dec_and_test(page.count)


def page_count(page):
    return atomic_read(page.count)


def set_page_count(page, v):
    atomic_set(page.count, v)


def UnlockPage(page):
    unlock_page(page)


def Page_Uptodate(page):
    return test_bit(PG_uptodate, page.flags)


def SetPageUptodate(page):
    set_bit(PG_uptodate, page.flags)


def ClearPageUptodate(page):
    clear_bit(PG_uptodate, page.flags)


def PageDirty(page):
    return test_bit(PG_dirty, page.flags)


def SetPageDirty(page):
    set_bit(PG_dirty, page.flags)


def ClearPageDirty(page):
    clear_bit(PG_dirty, page.flags)


def PageLocked(page):
    return test_bit(PG_locked, page.flags)


def TryLockPage(page):
    """True if the page was locked already: then the caller does not have the lock."""
    return test_and_set_bit(PG_locked, page.flags)


def PageLaunder(page):
    return test_bit(PG_launder, page.flags)


def SetPageLaunder(page):
    set_bit(PG_launder, page.flags)


def ClearPageLaunder(page):
    clear_bit(PG_launder, page.flags)


def PageError(page):
    return test_bit(PG_error, page.flags)


def SetPageError(page):
    set_bit(PG_error, page.flags)


def ClearPageError(page):
    clear_bit(PG_error, page.flags)


def PageReferenced(page):
    return test_bit(PG_referenced, page.flags)


def SetPageReferenced(page):
    set_bit(PG_referenced, page.flags)


def ClearPageReferenced(page):
    clear_bit(PG_referenced, page.flags)


def PageTestandClearReferenced(page):
    return test_and_clear_bit(PG_referenced, page.flags)


def PageReserved(page):
    return test_bit(PG_reserved, page.flags)


def PageActive(page):
    return test_bit(PG_active, page.flags)


def SetPageActive(page):
    set_bit(PG_active, page.flags)


def ClearPageActive(page):
    clear_bit(PG_active, page.flags)


def PageLRU(page):
    return test_bit(PG_lru, page.flags)


def TestSetPageLRU(page):
    return test_and_set_bit(PG_lru, page.flags)


def TestClearPageLRU(page):
    return test_and_clear_bit(PG_lru, page.flags)


def PageHighMem(page):
    return 0


def page_zone(page):
    return zone_normal


def alloc_pages(gfp_mask, order):
    return _alloc_pages(gfp_mask, order)


def alloc_page(gfp_mask):
    return alloc_pages(gfp_mask, 0)


def __get_free_page(gfp_mask):
    """The kernel's returns the page's address; here a page is its own address."""
    return alloc_pages(gfp_mask, 0)


def __free_page(page):
    __free_pages(page, 0)


def free_page(page):
    free_pages(page, 0)


def PageSwapCache(page):
    return page.mapping is swapper_space


def is_page_cache_freeable(page):
    return page_count(page) - bool(page.buffers) == 1


def pf_gfp_mask(gfp_mask):
    if current().flags & PF_NOIO:
        gfp_mask &= ~(__GFP_IO | __GFP_HIGHIO | __GFP_FS)
    return gfp_mask


__FILE__ = "include/asm-i386/page.h"


def VALID_PAGE(page):
    """Every struct page of this machine describes a frame of it."""
    return 1


def ZERO_PAGE(address):
    return empty_zero_page


__FILE__ = "include/linux/mmzone.h"


def memclass(pgzone, classzone):
    return pgzone is classzone


__FILE__ = "include/linux/highmem.h"


def clear_user_highpage(page, vaddr):
    page.word0 = 0
    page.word1 = 0


def copy_user_highpage(to, from_, vaddr):
    """What a user may be storing to `from_` at the same time is the user's business: hence the data_race()s."""
    to.word0 = data_race(from_.word0)
    to.word1 = data_race(from_.word1)


# A pte is a value: None, a swap entry, or (page, write, dirty, young).
__FILE__ = "include/asm-i386/pgtable.h"


def pte_none(pte):
    return pte is None


def pte_present(pte):
    return isinstance(pte, tuple)


def pte_page(pte):
    return pte[0]


def pte_write(pte):
    return pte[1]


def pte_dirty(pte):
    return pte[2]


def pte_young(pte):
    return pte[3]


def pte_same(a, b):
    return a == b


def pte_mkwrite(pte):
    return (pte[0], 1, pte[2], pte[3])


def pte_wrprotect(pte):
    return (pte[0], 0, pte[2], pte[3])


def pte_mkdirty(pte):
    return (pte[0], pte[1], 1, pte[3])


def pte_mkclean(pte):
    return (pte[0], pte[1], 0, pte[3])


def pte_mkyoung(pte):
    return (pte[0], pte[1], pte[2], 1)


def pte_mkold(pte):
    return (pte[0], pte[1], pte[2], 0)


def pte_modify(pte, newprot):
    """The accessed and dirty bits stay."""
    return (pte[0], 1 if newprot & _PAGE_RW else 0, pte[2], 1 if newprot & _PAGE_ACCESSED else pte[3])


def mk_pte(page, pgprot):
    """A pte starts young: _PAGE_ACCESSED is part of every protection."""
    return (page, 1 if pgprot & _PAGE_RW else 0, 0, 1 if pgprot & _PAGE_ACCESSED else 0)


def set_pte(ptep, pte):
    ptep.val = pte


def pte_clear(ptep):
    set_pte(ptep, None)


def pte_offset(mm, address):
    """The slot of one of USER_ADDRESSES; None behind the last. Page directories are left out."""
    return (mm.pte0, mm.pte1, mm.pte2, None)[address >> 13]


def SWP_TYPE(entry):
    return entry >> 1 & 0x3F


def SWP_OFFSET(entry):
    return entry >> 8


def SWP_ENTRY(type, offset):
    return type << 1 | offset << 8


def pte_to_swp_entry(pte):
    return pte


def swp_entry_to_pte(entry):
    return entry
