# SPDX-License-Identifier: GPL-2.0-only
"""include/linux: mm.h, page-flags.h, pagemap.h, buffer_head.h, pagevec.h, spinlock.h; asm-i386: atomic.h, pgtable.h; kmap_atomic()."""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    READ,
    RMW,
    __clear_bit,
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_set,
    clear_bit,
    cpu_relax,
    current,
    data_race,
    in_interrupt,
    list_add,
    list_del,
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
    point,
    read_lock,
    read_unlock,
    set_bit,
    smp_mb__before_clear_bit,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
    write_lock,
    write_unlock,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.swap import __pagevec_lru_add, __pagevec_release, put_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import __lock_page, wait_on_page_bit
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import __pagevec_free, alloc_pages
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import test_clear_page_dirty, test_set_page_writeback
from vmrace.variants.invalidate_2_6.pre_2_6_15.usercopy import __get_user
from vmrace.variants.invalidate_2_6.types import (
    BH_Async_Read,
    BH_Async_Write,
    BH_Boundary,
    BH_Delay,
    BH_Dirty,
    BH_Lock,
    BH_Mapped,
    BH_New,
    BH_Ordered,
    BH_Req,
    BH_Uptodate,
    BH_Write_EIO,
    GFP_HIGHUSER,
    PAGEVEC_SIZE,
    PAGE_MAPPING_ANON,
    PAGE_SHIFT,
    PG_active,
    PG_dirty,
    PG_error,
    PG_locked,
    PG_lru,
    PG_mappedtodisk,
    PG_private,
    PG_reclaim,
    PG_referenced,
    PG_reserved,
    PG_uptodate,
    PG_writeback,
    THE_DEVICE,
    VM_NONLINEAR,
)
from vmrace.variants.mmu import clear_new_page

# ---- atomics and locks -------------------------------------------------------------------------------------------------

__FILE__ = "include/asm-i386/atomic.h"


def atomic_add_negative(i, v):
    """Assembler: lock addl, sets. Returns true if the sum is negative."""
    point(v, RMW)
    v.counter += i
    return v.counter < 0


__FILE__ = "include/linux/bit_spinlock.h"


def bit_spin_lock(bitnum, addr):
    while test_and_set_bit(bitnum, addr):
        while test_bit(bitnum, addr):
            cpu_relax()


def bit_spin_unlock(bitnum, addr):
    if not test_bit(bitnum, addr):
        BUG(54)
    smp_mb__before_clear_bit()
    clear_bit(bitnum, addr)


# ---- page flags --------------------------------------------------------------------------------------------------------

__FILE__ = "include/linux/mm.h"


def unlocked(vma):
    """A load of a field of `vma` without mmap_sem, which guards it: unlike the others, it is a point."""
    point(vma, READ)
    return vma


__FILE__ = "include/linux/page-flags.h"


def PageLocked(page):
    return test_bit(PG_locked, page.flags)


# only here: page.locker = current: the model remembers the task that holds the lock, for an invariant
# only here: unlocked_by_other: the model counts an unlock by a task that does not hold the lock, for an invariant
# only here: in_interrupt: the device unlocks a page in its interrupt
def SetPageLocked(page):
    set_bit(PG_locked, page.flags)
    page.locker = current()


def TestSetPageLocked(page):
    was_locked = test_and_set_bit(PG_locked, page.flags)
    if not was_locked:
        page.locker = current()
    return was_locked


def TestClearPageLocked(page):
    was_locked = test_and_clear_bit(PG_locked, page.flags)
    if was_locked and page.locker is not (THE_DEVICE if in_interrupt() else current()):
        page.unlocked_by_other = 1
    return was_locked


def PageReferenced(page):
    return test_bit(PG_referenced, page.flags)


def SetPageReferenced(page):
    set_bit(PG_referenced, page.flags)


def ClearPageReferenced(page):
    clear_bit(PG_referenced, page.flags)


def TestClearPageReferenced(page):
    return test_and_clear_bit(PG_referenced, page.flags)


def PageUptodate(page):
    return test_bit(PG_uptodate, page.flags)


def SetPageUptodate(page):
    set_bit(PG_uptodate, page.flags)


def ClearPageUptodate(page):
    clear_bit(PG_uptodate, page.flags)


def ClearPageError(page):
    clear_bit(PG_error, page.flags)


def PageDirty(page):
    return test_bit(PG_dirty, page.flags)


def SetPageDirty(page):
    set_bit(PG_dirty, page.flags)


def ClearPageDirty(page):
    clear_bit(PG_dirty, page.flags)


def TestSetPageDirty(page):
    return test_and_set_bit(PG_dirty, page.flags)


def TestClearPageDirty(page):
    return test_and_clear_bit(PG_dirty, page.flags)


def PageLRU(page):
    return test_bit(PG_lru, page.flags)


def SetPageLRU(page):
    set_bit(PG_lru, page.flags)


def TestSetPageLRU(page):
    return test_and_set_bit(PG_lru, page.flags)


def TestClearPageLRU(page):
    return test_and_clear_bit(PG_lru, page.flags)


def PageActive(page):
    return test_bit(PG_active, page.flags)


def SetPageActive(page):
    set_bit(PG_active, page.flags)


def ClearPageActive(page):
    clear_bit(PG_active, page.flags)


def TestSetPageActive(page):
    return test_and_set_bit(PG_active, page.flags)


def TestClearPageActive(page):
    return test_and_clear_bit(PG_active, page.flags)


def PagePrivate(page):
    return test_bit(PG_private, page.flags)


def SetPagePrivate(page):
    set_bit(PG_private, page.flags)


def ClearPagePrivate(page):
    clear_bit(PG_private, page.flags)


def PageWriteback(page):
    return test_bit(PG_writeback, page.flags)


def TestSetPageWriteback(page):
    return test_and_set_bit(PG_writeback, page.flags)


def TestClearPageWriteback(page):
    return test_and_clear_bit(PG_writeback, page.flags)


def PageReserved(page):
    return test_bit(PG_reserved, page.flags)


def __ClearPageDirty(page):
    __clear_bit(PG_dirty, page.flags)


def SetPageMappedToDisk(page):
    set_bit(PG_mappedtodisk, page.flags)


def ClearPageMappedToDisk(page):
    clear_bit(PG_mappedtodisk, page.flags)


def SetPageReclaim(page):
    set_bit(PG_reclaim, page.flags)


def ClearPageReclaim(page):
    clear_bit(PG_reclaim, page.flags)


def TestClearPageReclaim(page):
    return test_and_clear_bit(PG_reclaim, page.flags)


def clear_page_dirty(page):
    test_clear_page_dirty(page)


def set_page_writeback(page):
    test_set_page_writeback(page)


# ---- mm.h --------------------------------------------------------------------------------------------------------------

__FILE__ = "include/linux/mm.h"


def page_count(page):
    return atomic_read(page._count)


def set_page_count(page, v):
    atomic_set(page._count, v)


def get_page(page):
    atomic_inc(page._count)


def get_page_testone(page):
    """Take a reference; true if there was none. Whoever is freeing the page looks at the count once more under lru_lock."""
    point(page._count, RMW)
    page._count.counter += 1
    return page._count.counter == 1


def __put_page(page):
    atomic_dec(page._count)


def put_page_testzero(page, __LINE__):
    BUG_ON(page_count(page) == 0, __LINE__)
    return atomic_add_negative(-1, page._count) or not page._count.counter


def page_mapping(page):
    """Read without any lock: the caller knows why that will do, or looks again under tree_lock."""
    mapping = data_race(page.mapping)
    if mapping is PAGE_MAPPING_ANON:
        return None
    return mapping


def PageAnon(page):
    return data_race(page.mapping) is PAGE_MAPPING_ANON


def page_mapcount(page):
    return atomic_read(page._mapcount) + 1


def page_mapped(page):
    return atomic_read(page._mapcount) >= 0


def alloc_page_vma(gfp_mask, vma, addr):
    return alloc_pages(gfp_mask)


def alloc_zeroed_user_highpage(vma, vaddr):
    """alloc_page_vma() with __GFP_ZERO: prep_zero_page() clears the page."""
    page = alloc_page_vma(GFP_HIGHUSER, vma, vaddr)
    if page:
        clear_new_page(page)
    return page


# ---- pagemap.h ---------------------------------------------------------------------------------------------------------

__FILE__ = "include/linux/pagemap.h"


def page_cache_get(page):
    get_page(page)


def page_cache_release(page):
    put_page(page)


def page_cache_alloc(mapping):
    return alloc_pages(GFP_HIGHUSER)


def page_cache_alloc_cold(mapping):
    return alloc_pages(GFP_HIGHUSER)


def fault_in_pages_readable(buf):
    """Make the user's page present, if it can be; whether it was, nobody asks. The buffer is one page, and does not cross into another."""
    __get_user(buf, 0)


def linear_page_index(vma, address):
    pgoff = address - vma.vm_start >> PAGE_SHIFT
    pgoff += vma.vm_pgoff
    return pgoff


def lock_page(page):
    if TestSetPageLocked(page):
        __lock_page(page)


def wait_on_page_locked(page):
    if PageLocked(page):
        wait_on_page_bit(page, PG_locked)


def wait_on_page_writeback(page):
    if PageWriteback(page):
        wait_on_page_bit(page, PG_writeback)


__FILE__ = "include/linux/fs.h"


def mapping_mapped(mapping):
    """Has anybody mapped the file? Asked without i_mmap_lock, of one list after the other: sys_remap_file_pages() moves a vma between them,
    and it may be on neither when it is asked for."""
    return data_race(mapping.nr_mmap) != 0 or data_race(mapping.nr_mmap_nonlinear) != 0


def count_mapped(mapping, vma, by):
    """i_mmap_lock is held. mapping_mapped() asks these counts, where C looks at the heads of both lists."""
    if vma.vm_flags & VM_NONLINEAR:
        mapping.nr_mmap_nonlinear += by
    else:
        mapping.nr_mmap += by


def i_size_read(inode):
    return data_race(inode.i_size)


def i_size_write(inode, i_size):
    """i_sem is held."""
    inode.i_size = i_size


# ---- pagevec.h: of the stack a pagevec is a plain list --------------------------------------------------------------------

__FILE__ = "include/linux/pagevec.h"


def pagevec_init():
    """Return an empty pagevec. Whether its pages are cold is left out: it says to which end of a per-cpu list they go."""
    return []


def pagevec_reinit(pvec):
    pvec.clear()


def pagevec_count(pvec):
    return len(pvec)


def pagevec_space(pvec):
    return PAGEVEC_SIZE - len(pvec)


# only here: pvec.append(page): the array and its number of entries are a list
# not here: len() += 1: the array and its number of entries are a list
# not here: len(pvec): as above
# not here: pvec[post(len())] = page: as above
def pagevec_add(pvec, page):
    """Returns how much room is left."""
    pvec.append(page)
    return pagevec_space(pvec)


def pagevec_free(pvec):
    if pagevec_count(pvec):
        __pagevec_free(pvec)


def pagevec_release(pvec):
    if pagevec_count(pvec):
        __pagevec_release(pvec)


def pagevec_lru_add(pvec):
    if pagevec_count(pvec):
        __pagevec_lru_add(pvec)


# ---- mm_inline.h: zone->lru_lock is held -----------------------------------------------------------------------------------

__FILE__ = "include/linux/mm_inline.h"


def add_page_to_active_list(zone, page):
    list_add(page.lru, zone.active_list)
    zone.nr_active += 1


def add_page_to_inactive_list(zone, page):
    list_add(page.lru, zone.inactive_list)
    zone.nr_inactive += 1


def del_page_from_inactive_list(zone, page):
    list_del(page.lru)
    zone.nr_inactive -= 1


def del_page_from_lru(zone, page):
    list_del(page.lru)
    if PageActive(page):
        ClearPageActive(page)
        zone.nr_active -= 1
    else:
        zone.nr_inactive -= 1


# ---- buffer_head.h -----------------------------------------------------------------------------------------------------

__FILE__ = "include/linux/buffer_head.h"


def buffer_uptodate(bh):
    return test_bit(BH_Uptodate, bh.b_state)


def set_buffer_uptodate(bh):
    set_bit(BH_Uptodate, bh.b_state)


def buffer_dirty(bh):
    return test_bit(BH_Dirty, bh.b_state)


def set_buffer_dirty(bh):
    set_bit(BH_Dirty, bh.b_state)


def clear_buffer_dirty(bh):
    clear_bit(BH_Dirty, bh.b_state)


def test_set_buffer_dirty(bh):
    return test_and_set_bit(BH_Dirty, bh.b_state)


def test_clear_buffer_dirty(bh):
    return test_and_clear_bit(BH_Dirty, bh.b_state)


def buffer_locked(bh):
    return test_bit(BH_Lock, bh.b_state)


def test_set_buffer_locked(bh):
    return test_and_set_bit(BH_Lock, bh.b_state)


def clear_buffer_locked(bh):
    clear_bit(BH_Lock, bh.b_state)


def buffer_mapped(bh):
    return test_bit(BH_Mapped, bh.b_state)


def set_buffer_mapped(bh):
    set_bit(BH_Mapped, bh.b_state)


def clear_buffer_mapped(bh):
    clear_bit(BH_Mapped, bh.b_state)


def buffer_new(bh):
    return test_bit(BH_New, bh.b_state)


def set_buffer_new(bh):
    set_bit(BH_New, bh.b_state)


def clear_buffer_new(bh):
    clear_bit(BH_New, bh.b_state)


def buffer_delay(bh):
    return test_bit(BH_Delay, bh.b_state)


def buffer_write_io_error(bh):
    return test_bit(BH_Write_EIO, bh.b_state)


def clear_buffer_write_io_error(bh):
    clear_bit(BH_Write_EIO, bh.b_state)


def buffer_boundary(bh):
    return test_bit(BH_Boundary, bh.b_state)


def buffer_ordered(bh):
    return test_bit(BH_Ordered, bh.b_state)


def clear_buffer_delay(bh):
    clear_bit(BH_Delay, bh.b_state)


def clear_buffer_req(bh):
    clear_bit(BH_Req, bh.b_state)


def test_set_buffer_req(bh):
    return test_and_set_bit(BH_Req, bh.b_state)


def buffer_async_read(bh):
    return test_bit(BH_Async_Read, bh.b_state)


def set_buffer_async_read(bh):
    set_bit(BH_Async_Read, bh.b_state)


def clear_buffer_async_read(bh):
    clear_bit(BH_Async_Read, bh.b_state)


def buffer_async_write(bh):
    return test_bit(BH_Async_Write, bh.b_state)


def set_buffer_async_write(bh):
    set_bit(BH_Async_Write, bh.b_state)


def clear_buffer_async_write(bh):
    clear_bit(BH_Async_Write, bh.b_state)


def page_has_buffers(page):
    return PagePrivate(page)


def page_buffers(page, __LINE__):
    """The page is locked, or its mapping's private_lock is held."""
    BUG_ON(not PagePrivate(page), __LINE__)
    return data_race(page.private)


def attach_page_buffers(page, head):
    page_cache_get(page)
    SetPagePrivate(page)
    page.private = head


__FILE__ = "fs/buffer.c"


def __clear_page_buffers(page):
    ClearPagePrivate(page)
    page.private = None
    page_cache_release(page)


# ---- highmem.h ---------------------------------------------------------------------------------------------------------

__FILE__ = "arch/i386/mm/highmem.c"


def kmap_atomic(page):
    """Of a kernel with CONFIG_HIGHMEM; without it this is page_address(), and what faults under it may sleep. That it keeps the task on
    its cpu as well, where tasks can be preempted, is left out."""
    current().preempt_count += 1
    return page.data


def kunmap_atomic():
    current().preempt_count -= 1


# ---- ptes --------------------------------------------------------------------------------------------------------------

__FILE__ = "include/asm-i386/pgtable.h"


def pte_offset(mm, address):
    """pte_offset_map(); page directories are left out."""
    return mm.pte0 if address < 0x2000 else mm.pte1 if address < 0x4000 else mm.pte2


def mk_pte(page, prot):
    """The protection bits of a mapping include the accessed bit."""
    return (page, prot, 0, 1)


def pte_none(pte):
    return pte is None


def pte_present(pte):
    return pte.__class__ is tuple


def pte_page(pte):
    return pte[0]


def pte_write(pte):
    return pte[1]


def pte_dirty(pte):
    return pte[2]


def pte_young(pte):
    return pte[3]


def pte_mkwrite(pte):
    return (pte[0], 1, pte[2], pte[3])


def pte_wrprotect(pte):
    return (pte[0], 0, pte[2], pte[3])


def pte_modify(pte, newprot):
    """The page and the dirty bit stay; the protection bits of a mapping include the accessed bit."""
    return (pte[0], newprot, pte[2], 1)


def pte_mkdirty(pte):
    return (pte[0], pte[1], 1, pte[3])


def pte_mkclean(pte):
    return (pte[0], pte[1], 0, pte[3])


def pte_mkyoung(pte):
    return (pte[0], pte[1], pte[2], 1)


def pte_mkold(pte):
    return (pte[0], pte[1], pte[2], 0)


def pgoff_to_pte(off):
    return off


def pte_to_pgoff(pte):
    return pte


def set_pte_at(mm, addr, ptep, pte):
    """mm->page_table_lock is held."""
    ptep.val = pte


def ptep_set_access_flags(vma, address, ptep, entry, dirty):
    """i386 stores the pte only if it becomes dirty: the MMU itself sets the accessed bit."""
    if dirty:
        ptep.val = entry


def ptep_get_and_clear(ptep):
    """xchg; also ptep_clear_flush(), whose flush is no step (see hardware)"""
    point(ptep, RMW)
    pte = ptep._val
    ptep._val = None
    return pte


def ptep_test_and_clear_young(ptep):
    """Look, then lock btr; also ptep_clear_flush_young()."""
    if not pte_young(ptep.val):
        return 0
    point(ptep, RMW)
    pte = ptep._val
    ptep._val = pte_mkold(pte)
    return pte_young(pte)


def ptep_set_wrprotect(ptep):
    """lock btr"""
    point(ptep, RMW)
    ptep._val = pte_wrprotect(ptep._val)


def ptep_test_and_clear_dirty(ptep):
    """mm->page_table_lock is held: only the MMU can change the bit meanwhile, and it only sets it."""
    if not pte_dirty(ptep.val):
        return 0
    point(ptep, RMW)
    ptep._val = pte_mkclean(ptep._val)
    return 1


def ptep_clear_flush_dirty(ptep):
    """The flush is no step (see hardware)."""
    return ptep_test_and_clear_dirty(ptep)
