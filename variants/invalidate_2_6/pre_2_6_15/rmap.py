# SPDX-License-Identifier: GPL-2.0-only
"""mm/rmap.c: from a page to the ptes that map it. Of anonymous pages only the count: see types."""
from vmrace.harness.kernel import (
    BUG,
    atomic_dec,
    atomic_inc,
    atomic_inc_and_test,
    data_race,
    list_empty,
    list_entry,
    need_resched,
    schedule,
    spin_lock,
    spin_unlock,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import unlock_page
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import (
    PageAnon,
    PageLocked,
    TestClearPageReferenced,
    TestSetPageLocked,
    atomic_add_negative,
    linear_page_index,
    page_cache_release,
    page_mapcount,
    page_mapped,
    pgoff_to_pte,
    pte_dirty,
    pte_offset,
    pte_page,
    pte_present,
    ptep_get_and_clear,
    ptep_test_and_clear_young,
    set_pte_at,
)
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty
from vmrace.variants.invalidate_2_6.types import (
    CLUSTER_MASK,
    CLUSTER_SIZE,
    EFAULT,
    PAGE_MAPPING_ANON,
    PAGE_SHIFT,
    PAGE_SIZE,
    SWAP_AGAIN,
    SWAP_FAIL,
    SWAP_SUCCESS,
    VM_LOCKED,
    VM_MAYSHARE,
    nr_mapped,
)


__FILE__ = "mm/rmap.c"


def anon_vma_prepare(vma):
    """mmap_sem is held. The chain is left out: that there is one remains. No vma has a neighbour with which it could share one."""
    if not data_race(vma.anon_vma):
        mm = vma.vm_mm
        spin_lock(mm.page_table_lock)               # against threads
        if not vma.anon_vma:
            vma.anon_vma = 1
        spin_unlock(mm.page_table_lock)
    return 0


def vma_address(page, vma):
    address = vma.vm_start + (data_race(page.index) - vma.vm_pgoff << PAGE_SHIFT)
    if address < vma.vm_start or address >= vma.vm_end:
        # any vma that the prio tree shows has the page
        if not PageAnon(page):
            BUG(220)
        return -EFAULT
    return address


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
    """Returns what it has found, and how many mappings are left to find. The swap token is nobody's."""
    mm = vma.vm_mm
    referenced = 0

    address = vma_address(page, vma)
    if address == -EFAULT:
        return 0, mapcount

    pte, ptl = page_check_address(page, mm, address)
    if not pte:
        return 0, mapcount

    if ptep_test_and_clear_young(pte):              # ptep_clear_flush_young()
        referenced += 1

    mapcount -= 1
    spin_unlock(ptl)
    return referenced, mapcount


def page_referenced_file(page):
    """The page is locked, so its mapping stays."""
    mapping = page.mapping
    pgoff = page.index
    referenced = 0

    if PageAnon(page):
        BUG(370)
    if not PageLocked(page):
        BUG(378)

    spin_lock(mapping.i_mmap_lock)

    # not stable, but better after the wait for the lock
    mapcount = page_mapcount(page)

    entry = mapping.i_mmap.next
    while entry is not mapping.i_mmap:              # vma_prio_tree_foreach(), of one page
        vma = list_entry(entry)
        entry = entry.next
        if vma.vm_pgoff != pgoff:
            continue
        if vma.vm_flags & (VM_LOCKED | VM_MAYSHARE) == VM_LOCKED | VM_MAYSHARE:
            referenced += 1
            break
        found, mapcount = page_referenced_one(page, vma, mapcount)
        referenced += found
        if not mapcount:
            break

    spin_unlock(mapping.i_mmap_lock)
    return referenced


def page_referenced_anon(page):
    """The chain of the mappings is left out. Without swap, whatever it finds, the page stays on the active list or goes back to it."""
    return 0


def page_referenced(page, is_locked):
    """How many mappings have used the page since this was last asked."""
    referenced = 0

    if TestClearPageReferenced(page):
        referenced += 1

    if page_mapped(page) and data_race(page.mapping) is not None:
        if PageAnon(page):
            referenced += page_referenced_anon(page)
        elif is_locked:
            referenced += page_referenced_file(page)
        elif TestSetPageLocked(page):
            referenced += 1
        else:
            if page.mapping is not None:
                referenced += page_referenced_file(page)
            unlock_page(page)
    return referenced


def page_add_anon_rmap(page, vma, address):
    """The page table lock is held."""
    if atomic_inc_and_test(page._mapcount):
        if not vma.anon_vma:
            BUG(451)
        data_race(page).mapping = PAGE_MAPPING_ANON
        data_race(page).index = linear_page_index(vma, address)
        atomic_inc(nr_mapped)


def page_add_file_rmap(page):
    """The page table lock is held."""
    if PageAnon(page):
        BUG(470)

    if atomic_inc_and_test(page._mapcount):
        atomic_inc(nr_mapped)


__FILE__ = "include/linux/rmap.h"


def page_dup_rmap(page):
    atomic_inc(page._mapcount)


__FILE__ = "mm/rmap.c"


def page_remove_rmap(page):
    """The page table lock is held. PAGE_MAPPING_ANON stays until the page is freed."""
    if atomic_add_negative(-1, page._mapcount):
        if page_mapcount(page) < 0:
            BUG(486)
        atomic_dec(nr_mapped)


def try_to_unmap_one(page, vma):
    mm = vma.vm_mm
    ret = SWAP_AGAIN

    address = vma_address(page, vma)
    if address == -EFAULT:
        return ret

    pte, ptl = page_check_address(page, mm, address)
    if not pte:
        return ret

    # mlocked, or used since page_referenced() looked
    if vma.vm_flags & VM_LOCKED or ptep_test_and_clear_young(pte):
        ret = SWAP_FAIL
    else:
        # nuke the pte
        pteval = ptep_get_and_clear(pte)            # ptep_clear_flush()

        # the dirty bit goes to the page
        if pte_dirty(pteval):
            set_page_dirty(page)

        # left out: swap entries, of anonymous pages
        mm.file_rss -= 1

        page_remove_rmap(page)
        page_cache_release(page)

    # out_unmap:
    spin_unlock(ptl)
    return ret


def try_to_unmap_cluster(cursor, mapcount, vma):
    """i_mmap_lock is held. A cluster is one page. Returns how many mappings are left to find."""
    mm = vma.vm_mm
    address = vma.vm_start + cursor & CLUSTER_MASK
    end = address + CLUSTER_SIZE
    if address < vma.vm_start:
        address = vma.vm_start
    if end > vma.vm_end:
        end = vma.vm_end

    ptl = mm.page_table_lock
    pte = pte_offset(mm, address)
    spin_lock(ptl)
    while address < end:
        val = pte.val
        if pte_present(val):
            page = pte_page(val)
            if PageAnon(page):
                BUG(638)

            if not ptep_test_and_clear_young(pte):
                pteval = ptep_get_and_clear(pte)    # ptep_clear_flush()

                # nonlinear: leave behind which page belongs there
                if data_race(page.index) != linear_page_index(vma, address):
                    set_pte_at(mm, address, pte, pgoff_to_pte(data_race(page.index)))

                if pte_dirty(pteval):
                    set_page_dirty(page)

                page_remove_rmap(page)
                page_cache_release(page)
                mm.file_rss -= 1
                mapcount -= 1
        address += PAGE_SIZE
    spin_unlock(ptl)
    return mapcount


__FILE__ = "kernel/sched.c"


def cond_resched_lock(lock):
    if need_resched():
        spin_unlock(lock)
        schedule()
        spin_lock(lock)
        return 1
    return 0


__FILE__ = "mm/rmap.c"


def try_to_unmap_file(page):
    """The page is locked."""
    mapping = page.mapping
    pgoff = page.index
    ret = SWAP_AGAIN
    max_nl_cursor = 0
    max_nl_size = 0

    spin_lock(mapping.i_mmap_lock)
    entry = mapping.i_mmap.next
    while entry is not mapping.i_mmap:              # vma_prio_tree_foreach(), of one page
        vma = list_entry(entry)
        entry = entry.next
        if vma.vm_pgoff != pgoff:
            continue
        ret = try_to_unmap_one(page, vma)
        if ret == SWAP_FAIL or not page_mapped(page):
            spin_unlock(mapping.i_mmap_lock)        # goto out
            return ret

    if list_empty(mapping.i_mmap_nonlinear):
        spin_unlock(mapping.i_mmap_lock)            # goto out
        return ret

    entry = mapping.i_mmap_nonlinear.next
    while entry is not mapping.i_mmap_nonlinear:
        vma = list_entry(entry)
        entry = entry.next
        if vma.vm_flags & VM_LOCKED:
            continue
        cursor = vma.vm_private_data
        if cursor > max_nl_cursor:
            max_nl_cursor = cursor
        cursor = vma.vm_end - vma.vm_start
        if cursor > max_nl_size:
            max_nl_size = cursor

    if max_nl_size == 0:
        # all of them locked
        ret = SWAP_FAIL
        spin_unlock(mapping.i_mmap_lock)            # goto out
        return ret

    # The page cannot be found there, so some of what is there is unmapped; its count says how hard to try.
    mapcount = page_mapcount(page)
    if not mapcount:
        spin_unlock(mapping.i_mmap_lock)            # goto out
        return ret
    cond_resched_lock(mapping.i_mmap_lock)

    max_nl_size = max_nl_size + CLUSTER_SIZE - 1 & CLUSTER_MASK
    if max_nl_cursor == 0:
        max_nl_cursor = CLUSTER_SIZE

    while True:
        entry = mapping.i_mmap_nonlinear.next
        while entry is not mapping.i_mmap_nonlinear:
            vma = list_entry(entry)
            entry = entry.next
            if vma.vm_flags & VM_LOCKED:
                continue
            cursor = vma.vm_private_data
            while cursor < max_nl_cursor and cursor < vma.vm_end - vma.vm_start:
                mapcount = try_to_unmap_cluster(cursor, mapcount, vma)
                cursor += CLUSTER_SIZE
                vma.vm_private_data = cursor
                if mapcount <= 0:
                    spin_unlock(mapping.i_mmap_lock)    # goto out
                    return ret
            vma.vm_private_data = max_nl_cursor
        cond_resched_lock(mapping.i_mmap_lock)
        max_nl_cursor += CLUSTER_SIZE
        if max_nl_cursor > max_nl_size:
            break

    # not for ever: start from the beginning next time
    entry = mapping.i_mmap_nonlinear.next
    while entry is not mapping.i_mmap_nonlinear:
        vma = list_entry(entry)
        entry = entry.next
        vma.vm_private_data = 0

    # out:
    spin_unlock(mapping.i_mmap_lock)
    return ret


def try_to_unmap_anon(page):
    """Without swap no anonymous page comes here: shrink_list() activates it before."""
    ret = SWAP_AGAIN
    return ret


def try_to_unmap(page):
    """The page is locked. SWAP_SUCCESS if nothing maps it any more."""
    if not PageLocked(page):
        BUG(794)

    if PageAnon(page):
        ret = try_to_unmap_anon(page)
    else:
        ret = try_to_unmap_file(page)

    if not page_mapped(page):
        ret = SWAP_SUCCESS
    return ret
