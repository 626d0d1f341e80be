# SPDX-License-Identifier: GPL-2.0-only
"""include/linux: mm.h, page-flags.h, pagemap.h, pagevec.h, mm_inline.h, rcupdate.h, gfp.h, highmem.h; mm/internal.h; asm-x86: atomic.h,
pgtable.h. No page here is compound."""
from vmrace.harness.kernel import (
    BUG_ON,
    READ,
    RMW,
    __clear_bit,
    __set_bit,
    atomic_dec,
    atomic_dec_and_test,
    atomic_inc,
    atomic_read,
    atomic_set,
    clear_bit,
    cmpxchg,
    current,
    data_race,
    function_here,
    in_interrupt,
    list_add,
    list_del,
    point,
    set_bit,
    smp_rmb,
    smp_wmb,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import __lock_page, __lock_page_nosync, wait_on_page_bit
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_alloc import __alloc_pages_internal, __pagevec_free
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_writeback import test_set_page_writeback
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import __pagevec_release, put_page
from vmrace.variants.cow_swap_2_6.types import (
    GFP_HIGHUSER,
    PAGEVEC_SIZE,
    PAGE_SHIFT,
    PG_active,
    PG_dirty,
    PG_locked,
    PG_lru,
    PG_private,
    PG_reclaim,
    PG_referenced,
    PG_reserved,
    PG_swapcache,
    PG_uptodate,
    PG_writeback,
    THE_DEVICE,
    __GFP_MOVABLE,
    init_mm,
    mem_map,
    swapper_space,
)
from vmrace.variants.mmu import clear_new_page

# ---- atomics and RCU ---------------------------------------------------------------------------------------------------

__FILE__ = "include/asm-x86/atomic_64.h"


def atomic_add_negative(i, v):
    """lock add: add, and return whether the result is negative."""
    point(v, RMW)
    v.counter += i
    return v.counter < 0


def atomic_inc_not_zero(v):
    """atomic_add_unless(v, 1, 0)"""
    c = atomic_read(v)
    while True:
        if c == 0:
            break
        old = cmpxchg(v, c, c + 1)
        if old == c:
            break
        c = old
    return c != 0


__FILE__ = "include/linux/rcupdate.h"


def rcu_read_lock():
    """No step. It keeps the memory of a freed anon_vma from leaving the slab, and no memory leaves a slab here."""


def rcu_read_unlock():
    pass


# ---- page flags --------------------------------------------------------------------------------------------------------

__FILE__ = "include/linux/page-flags.h"


def PageLocked(page):
    return test_bit(PG_locked, page.flags)


# only here: locker: the model remembers the task that holds the lock, for an invariant
# only here: locked_in: the model remembers the function that has acquired the lock, for a title
# only here: refused: the model remembers the function that had the lock when do_wp_page() only tried it, for a title
# only here: function_here: the names of these functions
# only here: unlocked_by_other: the model counts an unlock by a task that does not hold the lock, for an invariant
# only here: in_interrupt: the device unlocks a page in its interrupt
def SetPageLocked(page):
    set_bit(PG_locked, page.flags)
    page.locker = current()
    page.locked_in = function_here()


def ClearPageLocked(page):
    clear_bit(PG_locked, page.flags)


def TestSetPageLocked(page):
    was_locked = test_and_set_bit(PG_locked, page.flags)
    if not was_locked:
        page.locker = current()
        page.locked_in = function_here("shrink_page")      # a turn of shrink_page_list()
    elif function_here() == "do_wp_page":
        current().refused = page.locked_in
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
    ret = test_bit(PG_uptodate, page.flags)

    # what is read from the page must be loaded after the flag
    if ret:
        smp_rmb()
    return ret


def __SetPageUptodate(page):
    smp_wmb()
    __set_bit(PG_uptodate, page.flags)


def SetPageUptodate(page):
    # what was stored in the page must be seen before the flag
    smp_wmb()
    set_bit(PG_uptodate, page.flags)


def PageDirty(page):
    return test_bit(PG_dirty, page.flags)


def SetPageDirty(page):
    set_bit(PG_dirty, page.flags)


def TestSetPageDirty(page):
    return test_and_set_bit(PG_dirty, page.flags)


def TestClearPageDirty(page):
    return test_and_clear_bit(PG_dirty, page.flags)


def __ClearPageDirty(page):
    __clear_bit(PG_dirty, page.flags)


def PageLRU(page):
    return test_bit(PG_lru, page.flags)


def SetPageLRU(page):
    set_bit(PG_lru, page.flags)


def ClearPageLRU(page):
    clear_bit(PG_lru, page.flags)


def __ClearPageLRU(page):
    __clear_bit(PG_lru, page.flags)


def PageActive(page):
    return test_bit(PG_active, page.flags)


def SetPageActive(page):
    set_bit(PG_active, page.flags)


def ClearPageActive(page):
    clear_bit(PG_active, page.flags)


def __ClearPageActive(page):
    __clear_bit(PG_active, page.flags)


def PageReserved(page):
    return test_bit(PG_reserved, page.flags)


def PagePrivate(page):
    return test_bit(PG_private, page.flags)


def ClearPagePrivate(page):
    clear_bit(PG_private, page.flags)


def PageWriteback(page):
    return test_bit(PG_writeback, page.flags)


def TestSetPageWriteback(page):
    return test_and_set_bit(PG_writeback, page.flags)


def TestClearPageWriteback(page):
    return test_and_clear_bit(PG_writeback, page.flags)


def SetPageReclaim(page):
    set_bit(PG_reclaim, page.flags)


def ClearPageReclaim(page):
    clear_bit(PG_reclaim, page.flags)


def TestClearPageReclaim(page):
    return test_and_clear_bit(PG_reclaim, page.flags)


def PageSwapCache(page):
    return test_bit(PG_swapcache, page.flags)


def SetPageSwapCache(page):
    set_bit(PG_swapcache, page.flags)


def ClearPageSwapCache(page):
    clear_bit(PG_swapcache, page.flags)


def set_page_writeback(page):
    test_set_page_writeback(page)


# ---- mm.h and mm/internal.h --------------------------------------------------------------------------------------------

__FILE__ = "mm/internal.h"


def set_page_count(page, v):
    atomic_set(page._count, v)


def set_page_refcounted(page):
    BUG_ON(atomic_read(page._count), 28)
    set_page_count(page, 1)


def __put_page(page):
    atomic_dec(page._count)


__FILE__ = "include/linux/mm.h"


def page_private(page):
    return data_race(page.private)


# not here: return page.private: the value of the expression, which no caller uses
def set_page_private(page, v):
    data_race(page).private = v


def put_page_testzero(page):
    BUG_ON(atomic_read(page._count) == 0, 237)
    return atomic_dec_and_test(page._count)


def get_page_unless_zero(page):
    return atomic_inc_not_zero(page._count)


def page_count(page):
    return atomic_read(page._count)


def get_page(page):
    BUG_ON(atomic_read(page._count) == 0, 287)
    atomic_inc(page._count)


def page_to_pfn(page):
    return page.pfn


def pfn_to_page(pfn):
    return mem_map[pfn]


# only here: data_race: read without any lock: the caller knows why that will do
def page_mapping(page):
    mapping = data_race(page.mapping)

    if PageSwapCache(page):
        mapping = swapper_space
    else:
        # it has PAGE_MAPPING_ANON: no page here is of a file
        mapping = None
    return mapping


def PageAnon(page):
    """mapping & PAGE_MAPPING_ANON: no page here is of a file."""
    return data_race(page.mapping) is not None


def page_index(page):
    if PageSwapCache(page):
        return page_private(page)
    return data_race(page.index)


def reset_page_mapcount(page):
    atomic_set(page._mapcount, -1)


def page_mapcount(page):
    return atomic_read(page._mapcount) + 1


def page_mapped(page):
    return atomic_read(page._mapcount) >= 0


__FILE__ = "include/linux/gfp.h"


# not here: if 0 < MAX_ORDER: the order is 0
# not here: if nid < 0: it is one of a task
# not here: numa_node_id(): as above
# not here: node_zonelist(nid, gfp_mask): there is one zone
def alloc_pages_node(nid, gfp_mask):
    return __alloc_pages(gfp_mask)


__FILE__ = "mm/page_alloc.c"


def __alloc_pages(gfp_mask):
    return __alloc_pages_internal(gfp_mask)


def __alloc_pages_nodemask(gfp_mask):
    return __alloc_pages_internal(gfp_mask)


__FILE__ = "mm/mempolicy.c"


# No task and no vma has a policy.
# not here: get_vma_policy(current, vma, addr): of NUMA
# not here: cpuset_update_task_memory_state(): there are no cpusets
# not here: if get_vma_policy().mode == MPOL_INTERLEAVE: of NUMA
# not here: policy_zonelist(gfp, get_vma_policy()): of NUMA
# not here: mpol_needs_cond_ref(get_vma_policy()): of NUMA
# not here: if mpol_needs_cond_ref(): of NUMA
def alloc_page_vma(gfp, vma, addr):
    return __alloc_pages_nodemask(gfp)


__FILE__ = "include/linux/highmem.h"


def __alloc_zeroed_user_highpage(movableflags, vma, vaddr):
    page = alloc_page_vma(GFP_HIGHUSER | movableflags, vma, vaddr)

    if page:
        clear_new_page(page)                        # clear_user_highpage()
    return page


def alloc_zeroed_user_highpage_movable(vma, vaddr):
    return __alloc_zeroed_user_highpage(__GFP_MOVABLE, vma, vaddr)


# ---- pagemap.h ---------------------------------------------------------------------------------------------------------

__FILE__ = "include/linux/pagemap.h"


def page_cache_get(page):
    get_page(page)


def page_cache_release(page):
    put_page(page)


def linear_page_index(vma, address):
    pgoff = address - vma.vm_start >> PAGE_SHIFT
    pgoff += vma.vm_pgoff
    return pgoff


# only here: current.refused = '': the model remembers that a task has waited for the lock: do_wp_page() may do so, too
def lock_page(page):
    if TestSetPageLocked(page):
        __lock_page(page)
    current().refused = ""


def lock_page_nosync(page):
    if TestSetPageLocked(page):
        __lock_page_nosync(page)


def wait_on_page_locked(page):
    if PageLocked(page):
        wait_on_page_bit(page, PG_locked)


def wait_on_page_writeback(page):
    if PageWriteback(page):
        wait_on_page_bit(page, PG_writeback)


# ---- pagevec.h: of the stack a pagevec is a plain list --------------------------------------------------------------------

__FILE__ = "include/linux/pagevec.h"


# not here: len(pvec): the array and its number of entries are a list
# not here: len() = 0: as above
# not here: 0 = 0: the pages of a pagevec are never cold here
def pagevec_init():
    """Return an empty pagevec. Whether its pages are cold is left out: it says to which end of a per-cpu list they go."""
    return []


# not here: len(pvec): the array and its number of entries are a list
# not here: len() = 0: as above
# only here: pvec.clear(): as above
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
    """Return the number of places left."""
    pvec.append(page)
    return pagevec_space(pvec)


def pagevec_release(pvec):
    if pagevec_count(pvec):
        __pagevec_release(pvec)


def pagevec_free(pvec):
    if pagevec_count(pvec):
        __pagevec_free(pvec)


# ---- mm_inline.h: zone->lru_lock is held -----------------------------------------------------------------------------------

__FILE__ = "include/linux/mm_inline.h"


def add_page_to_active_list(zone, page):
    list_add(page.lru, zone.active_list)
    zone.nr_active += 1


def add_page_to_inactive_list(zone, page):
    list_add(page.lru, zone.inactive_list)
    zone.nr_inactive += 1


def del_page_from_active_list(zone, page):
    list_del(page.lru)
    zone.nr_active -= 1


def del_page_from_inactive_list(zone, page):
    list_del(page.lru)
    zone.nr_inactive -= 1


def del_page_from_lru(zone, page):
    list_del(page.lru)
    if PageActive(page):
        __ClearPageActive(page)
        zone.nr_active -= 1
    else:
        zone.nr_inactive -= 1


# ---- the ring of mms that swapoff walks ------------------------------------------------------------------------------------

__FILE__ = "include/linux/list.h"


def mmlist_empty(mm):
    """list_empty(&mm->mmlist), without mmlist_lock: a load. Each change of the ring conflicts with it, by its touches()."""
    point(init_mm.mmlist, READ)
    return mm.mmlist._next is mm.mmlist


# ---- ptes --------------------------------------------------------------------------------------------------------------

__FILE__ = "include/asm-x86/pgtable.h"


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


def pte_same(a, b):
    return a == b


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
    """Replace the protection. The page, the dirty and the accessed bit stay: _PAGE_CHG_MASK."""
    return (pte[0], newprot, pte[2], pte[3])


def pte_mkdirty(pte):
    return (pte[0], pte[1], 1, pte[3])


def pte_mkyoung(pte):
    return (pte[0], pte[1], pte[2], 1)


def pte_mkold(pte):
    return (pte[0], pte[1], pte[2], 0)


# only here: set_in: the model remembers the function that has mapped the page, for a title
# only here: function_here: the name of this function
# only here: last_page: the model remembers the page that the pte has mapped last, for a title
# only here: copied: the model remembers each page that was copied here, and the function that had the lock of that page, for a title
def set_pte_at(mm, addr, ptep, pte):
    """mm->page_table_lock is held."""
    ptep.val = pte
    function = function_here()
    if function == "wp_page_copy":
        ptep.copied += (ptep.last_page, current().refused),
    if pte_present(pte):
        ptep.last_page = pte_page(pte)
        if function != "change_pte_range":          # mprotect() has the page mapped as before
            ptep.set_in = function


def ptep_get_and_clear(ptep):
    """xchg; also ptep_clear_flush(), whose flush is no step (see mmu)."""
    point(ptep, RMW)
    pte = ptep._val
    ptep._val = None
    return pte


def ptep_set_wrprotect(ptep):
    """lock btr"""
    point(ptep, RMW)
    ptep._val = pte_wrprotect(ptep._val)


__FILE__ = "arch/x86/mm/pgtable.c"


def ptep_set_access_flags(vma, address, ptep, entry, dirty):
    """Store the pte only if it becomes dirty: the MMU itself sets the accessed bit."""
    changed = not pte_same(ptep.val, entry)

    if changed and dirty:
        ptep.val = entry
    return changed


def ptep_clear_flush_young(vma, address, ptep):
    """Look, then lock btr; also ptep_test_and_clear_young(). The flush is no step (see mmu)."""
    if not pte_young(ptep.val):
        return 0
    point(ptep, RMW)
    pte = ptep._val
    ptep._val = pte_mkold(pte)
    return pte_young(pte)
