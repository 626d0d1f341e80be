# SPDX-License-Identifier: GPL-2.0-only
"""mm/rmap.c and include/linux/rmap.h: from an anonymous page to the ptes that map it.

An anon_vma lists the vmas that may map the page: the vma that had it first, and behind it those of its children.
"""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    WRITE,
    atomic_inc,
    atomic_inc_and_test,
    atomic_set,
    data_race,
    list_add,
    list_add_tail,
    list_del,
    list_empty,
    list_entry,
    printk,
    spin_lock,
    spin_unlock,
    touches,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.hardware import kmem_cache_alloc_anon_vma, kmem_cache_free_anon_vma
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    PageAnon,
    PageLocked,
    PageSwapCache,
    TestClearPageReferenced,
    atomic_add_negative,
    linear_page_index,
    mmlist_empty,
    page_cache_release,
    page_mapcount,
    page_mapped,
    page_private,
    pte_dirty,
    pte_offset,
    pte_page,
    pte_present,
    pte_write,
    ptep_clear_flush_young,
    ptep_get_and_clear,
    rcu_read_lock,
    rcu_read_unlock,
    set_pte_at,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_writeback import set_page_dirty
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import swap_duplicate
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import make_migration_entry, swp_entry_to_pte
from vmrace.variants.cow_swap_2_6.types import (
    EFAULT,
    PAGE_SHIFT,
    SWAP_AGAIN,
    SWAP_FAIL,
    SWAP_SUCCESS,
    VM_LOCKED,
    init_mm,
    mmlist_lock,
)


__FILE__ = "include/linux/rmap.h"


def anon_vma_alloc(address):
    return kmem_cache_alloc_anon_vma(address)


def anon_vma_free(anon_vma):
    kmem_cache_free_anon_vma(anon_vma)


def anon_vma_lock(vma):
    anon_vma = data_race(vma.anon_vma)
    if anon_vma:
        spin_lock(anon_vma.lock)


def anon_vma_unlock(vma):
    anon_vma = data_race(vma.anon_vma)
    if anon_vma:
        spin_unlock(anon_vma.lock)


__FILE__ = "mm/rmap.c"


# not here: find_mergeable_anon_vma: no two vmas are adjacent, so there is none
# not here: locked: no two vmas are adjacent
def anon_vma_prepare(vma):
    """mmap_sem is held, for reading at least."""
    anon_vma = data_race(vma.anon_vma)

    if not anon_vma:
        mm = vma.vm_mm

        anon_vma = anon_vma_alloc(vma.vm_start)
        allocated = anon_vma

        # page_table_lock, against threads
        spin_lock(mm.page_table_lock)
        if not vma.anon_vma:
            vma.anon_vma = anon_vma
            # a new one's lock is not held: a task that had the object before it was freed may walk the list now
            touches(WRITE, anon_vma.lock)
            data_race(list_add_tail(vma.anon_vma_node, anon_vma.head))
            allocated = None
        spin_unlock(mm.page_table_lock)

        if allocated:
            anon_vma_free(allocated)
    return 0


def __anon_vma_link(vma):
    """The anon_vma's lock is held."""
    anon_vma = data_race(vma.anon_vma)

    if anon_vma:
        list_add_tail(vma.anon_vma_node, anon_vma.head)


def anon_vma_link(vma):
    anon_vma = data_race(vma.anon_vma)

    if anon_vma:
        spin_lock(anon_vma.lock)
        list_add_tail(vma.anon_vma_node, anon_vma.head)
        spin_unlock(anon_vma.lock)


def anon_vma_unlink(vma):
    anon_vma = data_race(vma.anon_vma)

    if not anon_vma:
        return

    spin_lock(anon_vma.lock)
    list_del(vma.anon_vma_node)

    # the last vma takes it along
    empty = list_empty(anon_vma.head)
    spin_unlock(anon_vma.lock)

    if empty:
        anon_vma_free(anon_vma)


def page_lock_anon_vma(page):
    """Returns the anon_vma, locked, or None. It may have been freed, and used again, before its lock was acquired."""
    rcu_read_lock()
    anon_mapping = data_race(page.mapping)
    if anon_mapping is None:
        rcu_read_unlock()                           # goto out
        return None
    if not page_mapped(page):
        rcu_read_unlock()                           # goto out
        return None

    anon_vma = anon_mapping
    spin_lock(anon_vma.lock)
    return anon_vma


def page_unlock_anon_vma(anon_vma):
    spin_unlock(anon_vma.lock)
    rcu_read_unlock()


def vma_address(page, vma):
    pgoff = data_race(page.index)

    address = vma.vm_start + (pgoff - vma.vm_pgoff << PAGE_SHIFT)
    if address < vma.vm_start or address >= vma.vm_end:
        # the page is not of this vma
        return -EFAULT
    return address


def page_address_in_vma(page, vma):
    """For swapoff."""
    if PageAnon(page):
        if data_race(vma.anon_vma) is not data_race(page.mapping):
            return -EFAULT
    else:
        return -EFAULT
    return vma_address(page, vma)


def page_check_address(page, mm, address):
    """The pte that maps the page there and the page table lock, which is held, or (None, None)."""
    pte = pte_offset(mm, address)
    # a quick look before the lock
    if not pte_present(data_race(pte.val)):
        return None, None

    ptl = mm.page_table_lock                        # pte_lockptr()
    spin_lock(ptl)
    val = pte.val
    if pte_present(val) and pte_page(val) is page:
        return pte, ptl
    spin_unlock(ptl)
    return None, None


def page_referenced_one(page, vma, mapcount):
    """Returns what it has found, and how many mappings are left to find. No task has the swap token."""
    mm = vma.vm_mm
    referenced = 0

    address = vma_address(page, vma)
    if address == -EFAULT:
        return referenced, mapcount                 # goto out

    pte, ptl = page_check_address(page, mm, address)
    if not pte:
        return referenced, mapcount                 # goto out

    if vma.vm_flags & VM_LOCKED:
        referenced += 1
        mapcount = 1                                # leave the loop early
    elif ptep_clear_flush_young(vma, address, pte):
        referenced += 1

    mapcount -= 1
    spin_unlock(ptl)
    # out:
    return referenced, mapcount


def page_referenced_anon(page):
    referenced = 0

    anon_vma = page_lock_anon_vma(page)
    if not anon_vma:
        return referenced

    mapcount = page_mapcount(page)
    entry = anon_vma.head.next
    while entry is not anon_vma.head:               # list_for_each_entry()
        vma = list_entry(entry)
        entry = entry.next
        found, mapcount = page_referenced_one(page, vma, mapcount)
        referenced += found
        if not mapcount:
            break

    page_unlock_anon_vma(anon_vma)
    return referenced


def page_referenced(page, is_locked):
    """How many mappings have used the page since this was last asked."""
    referenced = 0

    if TestClearPageReferenced(page):
        referenced += 1

    if page_mapped(page) and data_race(page.mapping) is not None:
        if PageAnon(page):
            referenced += page_referenced_anon(page)
        # left out: pages of files
    return referenced


def __page_set_anon_rmap(page, vma, address):
    anon_vma = data_race(vma.anon_vma)

    BUG_ON(not anon_vma, 522)
    data_race(page).mapping = anon_vma

    data_race(page).index = linear_page_index(vma, address)


def __page_check_anon_rmap(page, vma, address):
    """Of CONFIG_DEBUG_VM. The page is locked, or new and its pte locked, so its mapping and index are there."""
    anon_vma = data_race(vma.anon_vma)
    BUG_ON(data_race(page.mapping) is not anon_vma, 559)
    BUG_ON(data_race(page.index) != linear_page_index(vma, address), 560)


def page_add_anon_rmap(page, vma, address):
    """The page table lock is held, and the page is locked."""
    BUG_ON(not PageLocked(page), 575)
    BUG_ON(address < vma.vm_start or address >= vma.vm_end, 576)
    if atomic_inc_and_test(page._mapcount):
        __page_set_anon_rmap(page, vma, address)
    else:
        __page_check_anon_rmap(page, vma, address)


def page_add_new_anon_rmap(page, vma, address):
    """The page table lock is held. The page is new, and need not be locked."""
    BUG_ON(address < vma.vm_start or address >= vma.vm_end, 602)
    atomic_set(page._mapcount, 0)
    __page_set_anon_rmap(page, vma, address)


def page_dup_rmap(page, vma, address):
    """The page table lock is held. Of CONFIG_DEBUG_VM."""
    BUG_ON(page_mapcount(page) == 0, 640)
    if PageAnon(page):
        __page_check_anon_rmap(page, vma, address)
    atomic_inc(page._mapcount)


def page_remove_rmap(page, vma):
    """The page table lock is held. The mapping stays until the page is freed: see page_add_anon_rmap() of another mm."""
    if atomic_add_negative(-1, page._mapcount):
        if page_mapcount(page) < 0:
            printk("Eeek! page_mapcount(page) went negative!")
            BUG(669)


def try_to_unmap_one(page, vma, migration):
    mm = vma.vm_mm
    ret = SWAP_AGAIN

    address = vma_address(page, vma)
    if address == -EFAULT:
        return ret                                  # goto out

    pte, ptl = page_check_address(page, mm, address)
    if not pte:
        return ret                                  # goto out

    # mlocked, or used since page_referenced() looked
    if not migration and (vma.vm_flags & VM_LOCKED or ptep_clear_flush_young(vma, address, pte)):
        ret = SWAP_FAIL
        spin_unlock(ptl)                            # goto out_unmap
        return ret

    # nuke the pte
    pteval = ptep_get_and_clear(pte)                # ptep_clear_flush()

    # the dirty bit goes to the page
    if pte_dirty(pteval):
        set_page_dirty(page)

    if PageAnon(page):
        entry = page_private(page)

        if PageSwapCache(page):
            # the swap location goes into the pte
            swap_duplicate(entry)
            if mmlist_empty(mm):
                spin_lock(mmlist_lock)
                if mmlist_empty(mm):
                    list_add(mm.mmlist, init_mm.mmlist)
                    touches(WRITE, init_mm.mmlist)  # for mmlist_empty(), which looks without the lock
                spin_unlock(mmlist_lock)
            mm.anon_rss -= 1
        else:
            # the page frame goes into it: do_swap_page() waits until migration has removed it
            BUG_ON(not migration, 759)
            entry = make_migration_entry(page, pte_write(pteval))
        set_pte_at(mm, address, pte, swp_entry_to_pte(entry))
    # left out: pages of files

    page_remove_rmap(page, vma)
    page_cache_release(page)

    # out_unmap:
    spin_unlock(ptl)
    # out:
    return ret


def try_to_unmap_anon(page, migration):
    ret = SWAP_AGAIN

    anon_vma = page_lock_anon_vma(page)
    if not anon_vma:
        return ret

    entry = anon_vma.head.next
    while entry is not anon_vma.head:               # list_for_each_entry()
        vma = list_entry(entry)
        entry = entry.next
        ret = try_to_unmap_one(page, vma, migration)
        if ret == SWAP_FAIL or not page_mapped(page):
            break

    page_unlock_anon_vma(anon_vma)
    return ret


def try_to_unmap(page, migration):
    """The page is locked. SWAP_SUCCESS if nothing maps it any more."""
    ret = SWAP_AGAIN

    BUG_ON(not PageLocked(page), 1009)

    if PageAnon(page):
        ret = try_to_unmap_anon(page, migration)
    # left out: pages of files

    if not page_mapped(page):
        ret = SWAP_SUCCESS
    return ret
