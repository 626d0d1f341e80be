# SPDX-License-Identifier: GPL-2.0-only
"""mm/migrate.c: move a page to another frame, under the feet of the processes that map it, as move_pages(2) does.

Every pte of the page becomes a migration entry, or a swap entry if the page is in the swap cache. The frame is copied, and each migration
entry becomes a pte again: of the new page, or of the old one if the move has failed. Which node a frame belongs to is left out: a move
is always to another node.
"""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    current,
    data_race,
    list_add_tail,
    list_del,
    list_empty,
    list_entry,
    spin_lock,
    spin_lock_irq,
    spin_unlock,
    spin_unlock_irq,
    down_read,
    up_read,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import (
    end_page_writeback,
    radix_tree_deref_slot,
    radix_tree_lookup_slot,
    radix_tree_replace_slot,
    unlock_page,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.memory import follow_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import (
    ClearPageActive,
    ClearPageLRU,
    ClearPagePrivate,
    ClearPageSwapCache,
    PageActive,
    PageAnon,
    PageDirty,
    PageLRU,
    PagePrivate,
    PageReferenced,
    PageReserved,
    PageSwapCache,
    PageUptodate,
    PageWriteback,
    SetPageActive,
    SetPageReferenced,
    SetPageSwapCache,
    SetPageUptodate,
    TestSetPageLocked,
    __put_page,
    alloc_pages_node,
    del_page_from_active_list,
    del_page_from_inactive_list,
    get_page,
    get_page_unless_zero,
    lock_page,
    mk_pte,
    page_count,
    page_index,
    page_mapcount,
    page_mapped,
    page_mapping,
    page_private,
    pte_mkold,
    pte_mkwrite,
    pte_offset,
    put_page,
    rcu_read_lock,
    rcu_read_unlock,
    set_page_private,
    set_pte_at,
    wait_on_page_locked,
    wait_on_page_writeback,
)
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mmap import find_vma
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_alloc import cond_resched
from vmrace.variants.cow_swap_2_6.pre_2_6_26.page_writeback import __set_page_dirty_nobuffers, clear_page_dirty_for_io
from vmrace.variants.cow_swap_2_6.pre_2_6_26.rmap import page_add_anon_rmap, page_address_in_vma, try_to_unmap
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swap import lru_add_drain_all, lru_cache_add, lru_cache_add_active
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import (
    is_migration_entry,
    is_swap_pte,
    is_write_migration_entry,
    migration_entry_to_page,
    pte_to_swp_entry,
)
from vmrace.variants.cow_swap_2_6.types import (
    EACCES,
    EAGAIN,
    EBUSY,
    EFAULT,
    ENOENT,
    ENOMEM,
    FOLL_GET,
    GFP_HIGHUSER_MOVABLE,
    GFP_THISNODE,
    MAX_NUMNODES,
    PF_SWAPWRITE,
    empty_zero_page,
    vm,
    zone_normal,
)
from vmrace.variants.mmu import copy_to_new_page
from vmrace.variants.spinlock_h import write_lock_irq, write_unlock_irq


__FILE__ = "include/linux/migrate.h"


def vma_migratable(vma):
    """An anonymous vma always is."""
    return 1


__FILE__ = "mm/migrate.c"


def isolate_lru_page(page, pagelist):
    """Move a page from its LRU list to `pagelist`, with one more reference. Returns 0, or -EBUSY if it is on no LRU list."""
    ret = -EBUSY

    if PageLRU(page):
        zone = zone_normal                          # page_zone()

        spin_lock_irq(zone.lru_lock)
        if PageLRU(page) and get_page_unless_zero(page):
            ret = 0
            ClearPageLRU(page)
            if PageActive(page):
                del_page_from_active_list(zone, page)
            else:
                del_page_from_inactive_list(zone, page)
            list_add_tail(page.lru, pagelist)
        spin_unlock_irq(zone.lru_lock)
    return ret


def migrate_prep():
    """Before isolate_lru_page(): so that the pages are on their LRU lists. Later ones are not, and do not migrate."""
    lru_add_drain_all()
    return 0


def move_to_lru(page):
    if PageActive(page):
        # lru_cache_add_active() checks that it is off
        ClearPageActive(page)
        lru_cache_add_active(page)
    else:
        lru_cache_add(page)
    put_page(page)


def putback_lru_pages(l):
    """Returns how many pages went back to the LRU lists."""
    count = 0

    entry = l.next
    while entry is not l:                           # list_for_each_entry_safe()
        page = list_entry(entry)
        entry = entry.next
        list_del(page.lru)
        move_to_lru(page)
        count += 1
    return count


def remove_migration_pte(vma, old, new):
    """Turn a migration entry of `old` into a pte of `new`, which may be the same page."""
    mm = vma.vm_mm
    addr = page_address_in_vma(new, vma)

    if addr == -EFAULT:
        return

    ptep = pte_offset(mm, addr)

    if not is_swap_pte(data_race(ptep.val)):
        return

    ptl = mm.page_table_lock                        # pte_lockptr()
    spin_lock(ptl)
    pte = ptep.val
    if not is_swap_pte(pte):
        spin_unlock(ptl)                            # goto out
        return

    entry = pte_to_swp_entry(pte)

    if not is_migration_entry(entry) or migration_entry_to_page(entry) is not old:
        spin_unlock(ptl)                            # goto out
        return

    # left out: mem_cgroup_charge()
    get_page(new)
    pte = pte_mkold(mk_pte(new, vma.vm_page_prot))
    if is_write_migration_entry(entry):
        pte = pte_mkwrite(pte)
    set_pte_at(mm, addr, ptep, pte)

    if PageAnon(new):
        page_add_anon_rmap(new, vma, addr)
    # left out: page_add_file_rmap()

    # out:
    spin_unlock(ptl)


def remove_anon_migration_ptes(old, new):
    """mmap_sem of one of the processes is held, so the anon_vma cannot vanish."""
    mapping = new.mapping

    if not mapping:
        return

    anon_vma = mapping                              # PAGE_MAPPING_ANON is the type of the object
    spin_lock(anon_vma.lock)
    entry = anon_vma.head.next
    while entry is not anon_vma.head:               # list_for_each_entry()
        vma = list_entry(entry)
        entry = entry.next
        remove_migration_pte(vma, old, new)
    spin_unlock(anon_vma.lock)


# not here: remove_file_migration_ptes(old, new): no page here is of a file
def remove_migration_ptes(old, new):
    if PageAnon(new):
        remove_anon_migration_ptes(old, new)


def migration_entry_wait(mm, address):
    """A fault has met a migration entry: wait for the end of the move, after which the fault is tried again."""
    ptl = mm.page_table_lock
    ptep = pte_offset(mm, address)
    spin_lock(ptl)
    pte = ptep.val
    if not is_swap_pte(pte):
        spin_unlock(ptl)                            # goto out
        return

    entry = pte_to_swp_entry(pte)
    if not is_migration_entry(entry):
        spin_unlock(ptl)                            # goto out
        return

    page = migration_entry_to_page(entry)

    get_page(page)
    spin_unlock(ptl)
    wait_on_page_locked(page)
    put_page(page)


def migrate_page_move_mapping(mapping, newpage, page):
    """Both pages are locked. Puts the new page into the place of the old one in the swap cache. Returns -EAGAIN if another user has a
    reference to the old one: 1 is without swap cache, 2 with it."""
    if not mapping:
        # anonymous page without mapping
        if page_count(page) != 1:
            return -EAGAIN
        return 0

    write_lock_irq(mapping.tree_lock)

    pslot = radix_tree_lookup_slot(mapping.page_tree, page_index(page))

    if page_count(page) != 2 + bool(PagePrivate(page)) or radix_tree_deref_slot(pslot) is not page:
        write_unlock_irq(mapping.tree_lock)
        return -EAGAIN

    # no other task looks at the page now
    get_page(newpage)                               # add cache reference
    if PageSwapCache(page):
        SetPageSwapCache(newpage)
        set_page_private(newpage, page_private(page))

    radix_tree_replace_slot(pslot, newpage)

    # the cache's reference to the old page, which is not the last
    __put_page(page)

    write_unlock_irq(mapping.tree_lock)

    return 0


# not here: PageError(page): no I/O fails
# not here: if PageError(): as above
# not here: PageChecked(page): of files
# not here: if PageChecked(): as above
# not here: PageMappedToDisk(page): of files
# not here: if PageMappedToDisk(): as above
def migrate_page_copy(newpage, page):
    """Both pages are locked, and no pte maps the old one. A device with a pin does not wait for that: its page is not moved, see above."""
    copy_to_new_page(newpage, page)                 # copy_highpage()

    if PageReferenced(page):
        SetPageReferenced(newpage)
    if PageUptodate(page):
        SetPageUptodate(newpage)
    if PageActive(page):
        SetPageActive(newpage)

    if PageDirty(page):
        clear_page_dirty_for_io(page)
        # not set_page_dirty(), which says that all of the page is dirty
        __set_page_dirty_nobuffers(newpage)

    ClearPageSwapCache(page)
    ClearPageActive(page)
    ClearPagePrivate(page)
    set_page_private(page, 0)
    page.mapping = None

    # if there are waiters on the new page, wake them
    if PageWriteback(newpage):
        end_page_writeback(newpage)


def migrate_page(mapping, newpage, page):
    BUG_ON(PageWriteback(page), 435)                # writeback must be complete

    rc = migrate_page_move_mapping(mapping, newpage, page)

    if rc:
        return rc

    migrate_page_copy(newpage, page)
    return 0


def move_to_new_page(newpage, page):
    """The page is locked and no pte is left of it. Returns 0, or -EAGAIN."""
    if TestSetPageLocked(newpage):
        BUG(590)

    # prepare mapping for the new page
    newpage.index = page.index
    newpage.mapping = page.mapping

    mapping = page_mapping(page)
    # no mapping, or swapper_space: migrate_page() is the method of both
    rc = migrate_page(mapping, newpage, page)

    if not rc:
        remove_migration_ptes(page, newpage)
    else:
        newpage.mapping = None

    unlock_page(newpage)

    return rc


def following(pm):
    """pm + 1: the array of a task has one page, and the mark of its end."""
    return current().pm_end


# not here: result = pm.status: a limit: what move_pages(2) tells the user of a page
# only here: migrated = 1: the model remembers that pages were migrated, for an invariant
def new_page_node(p, private):
    """A page of the other node, or None: nothing is reclaimed for it."""
    pm = private

    while pm.node != MAX_NUMNODES and pm.page is not p:
        pm = following(pm)

    if pm.node == MAX_NUMNODES:
        return None

    vm.migrated = 1
    return alloc_pages_node(pm.node, GFP_HIGHUSER_MOVABLE | GFP_THISNODE)


def unmap_and_move(get_new_page, private, page, force):
    """Returns 0, or -EAGAIN if the page was busy, or -ENOMEM."""
    rc = 0
    newpage = get_new_page(page, private)
    rcu_locked = 0

    if not newpage:
        return -ENOMEM

    if page_count(page) == 1:
        # page was freed from under us: done
        move_to_lru(newpage)                        # goto move_newpage
        return rc

    rc = -EAGAIN
    if TestSetPageLocked(page):
        if not force:
            move_to_lru(newpage)                    # goto move_newpage
            return rc
        lock_page(page)

    unlock = 0
    if PageWriteback(page):
        if not force:
            unlock = 1                              # goto unlock
        else:
            wait_on_page_writeback(page)
    if not unlock:
        # the anon_vma is not freed while no pte is left
        if PageAnon(page):
            rcu_read_lock()
            rcu_locked = 1

        # a page that has just been read into the swap cache has no rmap yet: try_to_unmap() would trip over it
        if not page.mapping:
            if not PageAnon(page) and PagePrivate(page):
                pass                                # left out: try_to_free_buffers(); no page here has buffers
            # goto rcu_unlock
        else:
            # establish migration ptes or remove ptes
            try_to_unmap(page, 1)

            if not page_mapped(page):
                rc = move_to_new_page(newpage, page)

            if rc:
                remove_migration_ptes(page, page)
        # rcu_unlock:
        if rcu_locked:
            rcu_read_unlock()

    # unlock:
    unlock_page(page)

    if rc != -EAGAIN:
        # moved: its last reference goes here
        list_del(page.lru)
        move_to_lru(page)

    # move_newpage: to the LRU lists; if the move has failed, this frees it
    move_to_lru(newpage)
    return rc


def migrate_pages(from_, get_new_page, private):
    """Ten passes over the list at most. From the fourth it waits for the page's lock. Returns how many pages were left, or an error."""
    retry = 1
    nr_failed = 0
    pass_ = 0
    swapwrite = current().flags & PF_SWAPWRITE
    rc = 0

    if not swapwrite:
        current().flags |= PF_SWAPWRITE

    while pass_ < 10 and retry:
        retry = 0

        entry = from_.next
        while entry is not from_:                   # list_for_each_entry_safe()
            page = list_entry(entry)
            entry = entry.next
            cond_resched()

            rc = unmap_and_move(get_new_page, private, page, pass_ > 2)

            if rc == -ENOMEM:
                break                               # goto out
            elif rc == -EAGAIN:
                retry += 1
            elif rc == 0:
                pass
            else:
                # permanent failure
                nr_failed += 1
        if rc == -ENOMEM:
            break                                   # goto out
        pass_ += 1
    if rc != -ENOMEM:
        rc = 0
    # out:
    if not swapwrite:
        current().flags &= ~PF_SWAPWRITE

    putback_lru_pages(from_)

    if rc:
        return rc

    return nr_failed + retry


# not here: PTR_ERR(page): no page is huge
# not here: err = PTR_ERR(): as above
# not here: IS_ERR(page): as above
# not here: if IS_ERR(): as above
# not here: page_to_nid(page): a move is always to another node
# not here: err = page_to_nid(): as above
# not here: if err == pp.node: as above
def do_move_pages(mm, pm, migrate_all):
    """Move one page of an address space. `pm` says which. `migrate_all`: also if other processes map it, which needs CAP_SYS_NICE.

    Returns an error, or how many pages were not moved."""
    pagelist = current().pagelist                   # LIST_HEAD(pagelist)

    down_read(mm.mmap_sem)

    # build a list of pages to migrate
    migrate_prep()
    pp = pm
    while pp.node != MAX_NUMNODES:
        # a page pointer that matches none of those that will be moved
        pp.page = empty_zero_page

        err = -EFAULT
        vma = find_vma(mm, pp.addr)
        if vma and vma_migratable(vma):
            page = follow_page(vma, pp.addr, FOLL_GET)

            err = -ENOENT
            if page:
                if not PageReserved(page):          # check for zero page
                    pp.page = page

                    err = -EACCES
                    if not (page_mapcount(page) > 1 and not migrate_all):
                        err = isolate_lru_page(page, pagelist)
                # put_and_set: one of two references, or the only one of a page that was not isolated
                put_page(page)
        # set_status:
        pp.status = err
        pp = following(pp)

    if not list_empty(pagelist):
        err = migrate_pages(pagelist, new_page_node, pm)
    else:
        err = -ENOENT

    up_read(mm.mmap_sem)
    return err
