# SPDX-License-Identifier: GPL-2.0-only
"""Daniel Phillips, 17 Sep 2002, against 2.4.20-pre7: a page on the LRU is counted for being there.

Read beside seed 000: same hunks, same order, same names; `&x` is x, `->` is a dot.

Line numbers of BUG() are those of the patched file: the hunks were applied to 2.4.20, where each mm/*.c hunk fits at offset 0
and gives the new position its header states. The same holds for mm.h and pagemap.h; include/linux/swap.h fits one line earlier,
kernel/ksyms.c one line later, and neither has the line of a BUG. The lines of checks in functions that the patch does not touch
move with it, in mm/page_alloc.c behind __free_pages_ok and in mm/vmscan.c behind shrink_cache: see `lines` in family.py.
"""
from vmrace.harness.kernel import (
    BUG,
    BUG_ON,
    TASK_RUNNING,
    __set_current_state,
    atomic_dec,
    atomic_dec_and_test,
    atomic_inc,
    clear_bit,
    current,
    data_race,
    in_interrupt,
    likely,
    list_add,
    list_add_tail,
    list_del,
    list_entry,
    need_resched,
    read_word,
    schedule,
    set_bit,
    spin_lock,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
    unlikely,
    write_word,
)
from vmrace.variants.lru_free_2_4.pre_patch.buffer import block_flushpage, block_invalidate_page, try_to_free_buffers, try_to_release_page
from vmrace.variants.lru_free_2_4.pre_patch.filemap import (
    __remove_inode_page,
    a_ops_writepage,
    find_trylock_page,
    mark_page_accessed,
    set_page_dirty,
    truncate_complete_page,
)
from vmrace.variants.lru_free_2_4.pre_patch.hardware import ptep_get_and_clear, ptep_test_and_clear_young
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import (
    ClearPageActive,
    ClearPageDirty,
    ClearPageUptodate,
    PageActive,
    PageDirty,
    PageLRU,
    PageLaunder,
    PageLocked,
    PageReserved,
    PageSwapCache,
    SWP_OFFSET,
    SetPageActive,
    SetPageDirty,
    SetPageLaunder,
    SetPageUptodate,
    TryLockPage,
    UnlockPage,
    VALID_PAGE,
    __free_page,
    memclass,
    page_count,
    page_zone,
    pte_dirty,
    set_pte,
    swp_entry_to_pte,
)
from vmrace.variants.lru_free_2_4.pre_patch.pagemap_h import page_cache_get, wait_on_page
from vmrace.variants.lru_free_2_4.pre_patch.swap_h import del_page_from_inactive_list, vm_swap_full
from vmrace.variants.lru_free_2_4.pre_patch.swap_state import __delete_from_swap_cache, add_to_swap_cache, delete_from_swap_cache
from vmrace.variants.lru_free_2_4.pre_patch.swapfile import get_swap_page, swap_duplicate, swap_entry_free
from vmrace.variants.lru_free_2_4.pre_patch.swapfile import swap_free, swap_info_get, swap_info_put
from vmrace.variants.lru_free_2_4.pre_patch.vmscan import swap_out
from vmrace.variants.lru_free_2_4.types import (
    MAPPED_RATIO,
    PF_FREE_PAGES,
    PG_dirty,
    PG_lru,
    PG_referenced,
    VM_LOCKED,
    __GFP_FS,
    active_list,
    inactive_list,
    pagecache_lock,
    pagemap_lru_lock,
    swapper_space,
    vm,
)

# ---- include/linux/mm.h, @@ -180,6 +180,15 @@ and @@ -451,15 +481,6 @@ -----------------------------------------------
# Left out: declarations of __free_pages() and free_pages() move up; nothing changes for the linker.


# ---- include/linux/mm.h, @@ -191,12 +200,33 @@ -----------------------------------------------------------------------
# get_page(), put_page() and put_page_testzero() were macros, without the check.
__FILE__ = "include/linux/mm.h"


def get_page(page):
    atomic_inc(page.count)


def put_page_nofree(page):
    """Drop a reference that is known not to be the last. Never frees."""
    BUG_ON(not page_count(page), 215)
    atomic_dec(page.count)


def put_page_testzero(page):
    BUG_ON(not page_count(page), 221)
    return atomic_dec_and_test(page.count)


def put_page(page):
    __free_page(page)


# ---- include/linux/mm.h, @@ -394,8 +424,8 @@ -------------------------------------------------------------------------
# TestSetPageLRU() and TestClearPageLRU() go; nobody calls them any more.
def SetPageLRU(page):
    set_bit(PG_lru, page.flags)


def ClearPageLRU(page):
    clear_bit(PG_lru, page.flags)


# ---- include/linux/mm.h, @@ -519,11 +540,6 @@ ------------------------------------------------------------------------
# is_page_cache_freeable() moves to pagemap.h.


# ---- include/linux/pagemap.h, @@ -27,9 +27,32 @@ ---------------------------------------------------------------------
__FILE__ = "include/linux/pagemap.h"

LRU_PLUS_CACHE = 2


def page_cache_release(page):
    """Drop a reference; if only the LRU's would be left, take the page off the LRU first, so that this frees it."""
    if page_count(page) == 2:
        spin_lock(pagemap_lru_lock)
        if PageLRU(page) and page_count(page) == 2:
            __lru_cache_del(page)
        spin_unlock(pagemap_lru_lock)
    put_page(page)


def has_buffers(page):
    return bool(page.buffers)


def is_page_cache_freeable(page):
    return page_count(page) - has_buffers(page) == LRU_PLUS_CACHE


# Left out: the declaration of show_stack(), which nothing calls.


# ---- include/linux/swap.h, @@ -169,17 +169,9 @@ and @@ -187,13 +179,13 @@ --------------------------------------------
# DEBUG_LRU_PAGE() goes. The callers of the next three hold pagemap_lru_lock.
__FILE__ = "include/linux/swap.h"


def add_page_to_active_list(page, __LINE__):
    if PageActive(page):
        BUG(__LINE__)
    SetPageActive(page)
    list_add(page.lru, active_list)
    vm.nr_active_pages += 1


def add_page_to_inactive_list(page, __LINE__):
    list_add(page.lru, inactive_list)
    vm.nr_inactive_pages += 1


def del_page_from_active_list(page, __LINE__):
    if not PageActive(page):
        BUG(__LINE__)
    list_del(page.lru)
    ClearPageActive(page)
    vm.nr_active_pages -= 1


# ---- kernel/ksyms.c, @@ -96,6 +96,7 @@ -------------------------------------------------------------------------------
# Left out: __lru_cache_del is exported, since page_cache_release() is expanded in modules. There are no modules here.


# ---- mm/filemap.c, @@ -201,13 +201,13 @@ -----------------------------------------------------------------------------
__FILE__ = "mm/filemap.c"


def invalidate_inode_pages(inode):
    """Drop the file's clean pages that nobody uses. Locked pages stay."""
    head = inode.i_mapping.clean_pages

    spin_lock(pagemap_lru_lock)
    spin_lock(pagecache_lock)
    curr = head.next

    while curr is not head:
        page = list_entry(curr)
        curr = curr.next

        # nothing that is dirty
        if PageDirty(page):
            continue

        # nor locked
        if TryLockPage(page):
            continue

        unlock = page.buffers and not try_to_free_buffers(page, 0)
        if not unlock:
            unlock = page_count(page) != LRU_PLUS_CACHE
        if unlock:
            # unlock:
            UnlockPage(page)
            continue

        __lru_cache_del(page)
        __remove_inode_page(page)
        UnlockPage(page)
        put_page(page)

    spin_unlock(pagecache_lock)
    spin_unlock(pagemap_lru_lock)


# ---- mm/filemap.c, @@ -348,7 +348,7 @@ -------------------------------------------------------------------------------
def invalidate_this_page2(page, curr, head):
    """pagecache_lock is held and the page locked, so that neither its count nor its buffers change.

    Returns whether pagecache_lock was dropped; then the caller has a reference to drop too.
    """
    unlocked = 1

    if is_page_cache_freeable(page):
        # go on behind this page
        list_del(head)
        list_add_tail(head, curr)

        page_cache_get(page)
        spin_unlock(pagecache_lock)
        truncate_complete_page(page)
    else:
        if page.buffers:
            # go on behind this page
            list_del(head)
            list_add_tail(head, curr)

            page_cache_get(page)
            spin_unlock(pagecache_lock)
            block_invalidate_page(page)
        else:
            unlocked = 0

        ClearPageDirty(page)
        ClearPageUptodate(page)

    return unlocked


# ---- mm/page_alloc.c, @@ -86,16 +86,7 @@ -----------------------------------------------------------------------------
__FILE__ = "mm/page_alloc.c"


def __free_pages_ok(page, order):
    """The last reference is gone. Any context; the page goes to the free list, or to the list of pages current keeps."""
    BUG_ON(PageLRU(page), 89)
    if page.buffers:
        BUG(91)
    if page.mapping:
        BUG(93)
    if not VALID_PAGE(page):
        BUG(95)
    if PageLocked(page):
        BUG(97)
    if PageActive(page):
        BUG(99)
    # not atomic: a load and a store of the whole word
    write_word(page.flags, read_word(page.flags) & ~(1 << PG_referenced | 1 << PG_dirty))

    if current().flags & PF_FREE_PAGES:
        # local_freelist:
        if not current().nr_local_pages and not in_interrupt():
            list_add(page.list, current().local_pages)
            page.index = order
            current().nr_local_pages += 1
            return
    # back_local_freelist:

    zone = page_zone(page)
    flags = spin_lock_irqsave(zone.lock)
    zone.free_pages += 1 << order
    # left out: the pair bits, which at order 0 never let two pages merge
    list_add(page.list, zone.free_list)
    spin_unlock_irqrestore(zone.lock, flags)


# ---- mm/swap.c, @@ -57,12 +57,13 @@ ----------------------------------------------------------------------------------
__FILE__ = "mm/swap.c"


def lru_cache_add(page):
    """PG_lru changes under pagemap_lru_lock only, and the count with it."""
    spin_lock(pagemap_lru_lock)
    if likely(not PageLRU(page)):
        add_page_to_inactive_list(page, 62)
        SetPageLRU(page)
        get_page(page)
    spin_unlock(pagemap_lru_lock)


# ---- mm/swap.c, @@ -74,13 +75,13 @@ ----------------------------------------------------------------------------------
def __lru_cache_del(page):
    """pagemap_lru_lock is held. The caller has a reference of its own, so the LRU's is not the last."""
    BUG_ON(not PageLRU(page), 78)
    if PageActive(page):
        del_page_from_active_list(page, 80)
    else:
        del_page_from_inactive_list(page, 82)
    ClearPageLRU(page)
    put_page_nofree(page)


# ---- mm/swapfile.c, @@ -239,7 +239,7 @@ ------------------------------------------------------------------------------
__FILE__ = "mm/swapfile.c"


def exclusive_swap_page(page):
    """Is the swap cache the slot's only user, and the page nobody's but ours, the cache's and the LRU's? The page is locked."""
    retval = 0

    entry = page.index
    p = swap_info_get(entry)
    if p:
        # is the cache the only user of the slot?
        if p.swap_map[SWP_OFFSET(entry)] == 1:
            # look at the count again with pagecache_lock held
            spin_lock(pagecache_lock)
            if page_count(page) - has_buffers(page) == LRU_PLUS_CACHE + 1:
                retval = 1
            spin_unlock(pagecache_lock)
        swap_info_put(p)
    return retval


# ---- mm/swapfile.c, @@ -263,16 +263,16 @@ ----------------------------------------------------------------------------
def can_share_swap_page(page):
    """May the pte's owner write to the page in place? The page is locked. A quick look first, then with all the locks."""
    retval = 0

    if not PageLocked(page):
        BUG(264)
    count = page_count(page)
    if count == LRU_PLUS_CACHE + 2 and not has_buffers(page):
        pass                                        # break
    elif count in (LRU_PLUS_CACHE + 2, LRU_PLUS_CACHE + 1):     # fallthrough
        if PageSwapCache(page):
            retval = exclusive_swap_page(page)
    elif count == LRU_PLUS_CACHE:
        if not PageReserved(page):
            retval = 1
    return retval


# ---- mm/swapfile.c, @@ -280,6 +280,11 @@ -----------------------------------------------------------------------------
def only_cached(page):
    return page_count(page) - has_buffers(page) == LRU_PLUS_CACHE + 1


# ---- mm/swapfile.c, @@ -294,7 +299,7 @@ and @@ -307,7 +312,7 @@ ------------------------------------------------------
def remove_exclusive_swap_page(page):
    """Take the page out of the swap cache if nobody else uses the slot or the page. The page is locked. Returns success."""
    if not PageLocked(page):
        BUG(299)
    if not PageSwapCache(page):
        return 0
    if not only_cached(page):
        return 0

    entry = page.index
    p = swap_info_get(entry)
    if not p:
        return 0

    # is the cache the only user of the slot?
    retval = 0
    if p.swap_map[SWP_OFFSET(entry)] == 1:
        # look at the count again with pagecache_lock held
        spin_lock(pagecache_lock)
        if only_cached(page):
            __delete_from_swap_cache(page)
            SetPageDirty(page)
            retval = 1
        spin_unlock(pagecache_lock)
    swap_info_put(p)

    if retval:
        block_flushpage(page, 0)
        swap_free(entry)
        page_cache_release(page)

    return retval


# ---- mm/swapfile.c, @@ -343,7 +348,7 @@ ------------------------------------------------------------------------------
def free_swap_and_cache(entry):
    """Drop a swap pte's use of the slot, and the cached page if that leaves only the cache."""
    page = None

    p = swap_info_get(entry)
    if p:
        if swap_entry_free(p, SWP_OFFSET(entry)) == 1:
            page = find_trylock_page(swapper_space, entry)
        swap_info_put(p)
    if page:
        page_cache_get(page)
        # only the cache and us, or swap space is short
        if only_cached(page) or vm_swap_full():
            delete_from_swap_cache(page)
            SetPageDirty(page)
        UnlockPage(page)
        page_cache_release(page)


# ---- mm/vmscan.c, @@ -92,7 +92,7 @@ ----------------------------------------------------------------------------------
__FILE__ = "mm/vmscan.c"


def try_to_swap_out(mm, vma, address, page_table, page, classzone):
    """mm->page_table_lock is held. Returns 1 if the page is freeable now, so far as a count can tell."""
    # not if it was used since we came by last
    if vma.vm_flags & VM_LOCKED or ptep_test_and_clear_young(page_table):
        mark_page_accessed(page)
        return 0

    # not if it is active
    if PageActive(page):
        return 0

    # not if its zone has enough
    if not memclass(page_zone(page), classzone):
        return 0

    if TryLockPage(page):
        return 0

    # From here on the pte will most likely go: take it out and see what the MMU has left in it.
    pte = ptep_get_and_clear(page_table)            # flush_tlb_page(vma, address)

    if pte_dirty(pte):
        set_page_dirty(page)

    goto = "preserve"
    if PageSwapCache(page):
        # It has a place on disk already; another user for that.
        entry = page.index
        swap_duplicate(entry)
        goto = "set_swap_pte"
    elif page.mapping:
        # A fault will find it in the page cache.
        goto = "drop_pte"
    elif not PageDirty(page):
        goto = "drop_pte"
    elif not page.buffers:                          # else goto preserve: truncate and a fault left an anonymous buffer page
        while True:
            entry = get_swap_page()
            if not entry:
                break                               # no swap space left
            # going into the page cache clears dirty and uptodate
            if add_to_swap_cache(page, entry) == 0:
                SetPageUptodate(page)
                set_page_dirty(page)
                goto = "set_swap_pte"
                break
            # a speculative read_swap_cache_async() was first
            swap_free(entry)

    if goto == "set_swap_pte":
        set_pte(page_table, swp_entry_to_pte(entry))
        goto = "drop_pte"
    if goto == "drop_pte":
        mm.rss -= 1
        UnlockPage(page)
        freeable = page_count(page) - data_race(has_buffers(page)) <= LRU_PLUS_CACHE + 1     # a guess: the page lock is gone
        page_cache_release(page)
        return freeable
    # preserve:
    set_pte(page_table, pte)
    UnlockPage(page)
    return 0


# ---- mm/vmscan.c, @@ -357,22 +357,26 @@, @@ -422,10 +426,10 @@, @@ -438,9 +442,7 @@, ---------------------------------
# ----              @@ -451,15 +453,13 @@ and @@ -510,9 +510,7 @@
def shrink_cache(nr_pages, classzone, gfp_mask, priority):
    """Free up to nr_pages from the tail of the inactive list. Returns how many are still wanted."""
    max_scan = data_race(vm.nr_inactive_pages) // priority
    max_mapped = min(nr_pages << 10 - priority, max_scan // MAPPED_RATIO)

    spin_lock(pagemap_lru_lock)
    while True:
        max_scan -= 1
        if max_scan < 0:
            break
        entry = inactive_list.prev
        if entry is inactive_list:
            break

        if unlikely(need_resched()):
            spin_unlock(pagemap_lru_lock)
            __set_current_state(TASK_RUNNING)
            schedule()
            spin_lock(pagemap_lru_lock)
            continue

        page = list_entry(entry)

        BUG_ON(not PageLRU(page), 358)
        BUG_ON(PageActive(page), 359)
        BUG_ON(not page_count(page), 360)

        list_del(entry)

        # Only the LRU's own reference is left. (nr_inactive_pages stays as it is, in the patch too.)
        if unlikely(page_count(page) == 1):
            BUG_ON(not PageLRU(page), 365)
            ClearPageLRU(page)
            put_page(page)
            nr_pages -= 1
            if nr_pages:
                continue
            break

        list_add(entry, inactive_list)

        if not memclass(page_zone(page), classzone):
            continue

        # a racy look: is it worth a trylock?
        page_mapped = not data_race(page.buffers) and (page_count(page) != LRU_PLUS_CACHE or not data_race(page.mapping))
        if not page_mapped:
            # Locked: is it being written for us? Then wait for it, else leave it at the other end of the list.
            if unlikely(TryLockPage(page)):
                if PageLaunder(page) and gfp_mask & __GFP_FS:
                    page_cache_get(page)
                    spin_unlock(pagemap_lru_lock)
                    wait_on_page(page)
                    page_cache_release(page)
                    spin_lock(pagemap_lru_lock)
                continue

            if PageDirty(page) and is_page_cache_freeable(page) and page.mapping:
                # Written only if it is unmapped. Whoever writes to it by another way, a pin say, dirties it again afterwards.
                writepage = a_ops_writepage(page.mapping.a_ops)
                if gfp_mask & __GFP_FS and writepage:
                    ClearPageDirty(page)
                    SetPageLaunder(page)
                    page_cache_get(page)
                    spin_unlock(pagemap_lru_lock)

                    writepage(page)
                    page_cache_release(page)

                    spin_lock(pagemap_lru_lock)
                    continue

            # Drop its buffers; if that works, go on to free the page.
            if page.buffers:
                # a locked page must not be freed
                get_page(page)

                spin_unlock(pagemap_lru_lock)

                if try_to_release_page(page, gfp_mask):
                    if not page.mapping:
                        # An anonymous page without buffers must not be seen on the LRU: unlock it under the LRU lock.
                        spin_lock(pagemap_lru_lock)
                        UnlockPage(page)
                        __lru_cache_del(page)
                        put_page(page)

                        nr_pages -= 1
                        if nr_pages:
                            continue
                        break
                    else:
                        # still in the page cache: undo, and take the next step
                        spin_lock(pagemap_lru_lock)
                        put_page_nofree(page)
                else:
                    # busy buffers: no more to be done
                    UnlockPage(page)
                    page_cache_release(page)
                    spin_lock(pagemap_lru_lock)
                    continue

            spin_lock(pagecache_lock)

            # the look that counts: is anybody using the page?
            page_mapped = not page.mapping or not is_page_cache_freeable(page)
            if page_mapped:
                spin_unlock(pagecache_lock)
                UnlockPage(page)
        if page_mapped:
            # page_mapped:
            max_mapped -= 1
            if max_mapped >= 0:
                continue

            # too many mapped pages on this list: unmap some
            spin_unlock(pagemap_lru_lock)
            swap_out(priority, gfp_mask, classzone)
            return nr_pages

        # dirty must be looked at only now that nobody else can use the page
        if PageDirty(page):
            spin_unlock(pagecache_lock)
            UnlockPage(page)
            continue

        # point of no return
        if likely(not PageSwapCache(page)):
            __remove_inode_page(page)
            spin_unlock(pagecache_lock)
        else:
            swap = page.index
            __delete_from_swap_cache(page)
            spin_unlock(pagecache_lock)
            swap_free(swap)

        __lru_cache_del(page)
        UnlockPage(page)
        put_page(page)

        nr_pages -= 1
        if nr_pages:
            continue
        break
    spin_unlock(pagemap_lru_lock)

    return nr_pages
