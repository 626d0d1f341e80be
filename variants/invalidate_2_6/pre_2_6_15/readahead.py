# SPDX-License-Identifier: GPL-2.0-only
"""mm/readahead.c: what is read although the device has its readahead switched off."""
from vmrace.harness.kernel import BUG_ON, current, data_race, list_add, list_empty
from vmrace.variants.invalidate_2_6.pre_2_6_15.filemap import radix_tree_lookup
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import i_size_read, page_cache_alloc_cold
from vmrace.variants.invalidate_2_6.pre_2_6_15.mpage import mpage_readpages
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_alloc import __get_zone_counts
from vmrace.variants.invalidate_2_6.types import PAGE_CACHE_SHIFT, PAGE_CACHE_SIZE
from vmrace.variants.spinlock_h import read_lock_irq, read_unlock_irq


__FILE__ = "mm/readahead.c"


def read_pages(mapping, filp, pages, nr_pages):
    ret = mpage_readpages(mapping, pages, nr_pages)     # mapping->a_ops->readpages
    return ret


def __do_page_cache_readahead(mapping, filp, offset, nr_to_read):
    """Start to read the pages of a range that are not cached, as far as the file goes."""
    inode = mapping.host
    page_pool = current().page_pool
    ret = 0
    isize = i_size_read(inode)

    if isize == 0:
        return 0

    end_index = isize - 1 >> PAGE_CACHE_SHIFT

    # as many pages as will be needed
    read_lock_irq(mapping.tree_lock)
    for page_idx in range(nr_to_read):
        page_offset = offset + page_idx

        if page_offset > end_index:
            break

        page = radix_tree_lookup(mapping, page_offset)
        if page:
            continue

        read_unlock_irq(mapping.tree_lock)
        page = page_cache_alloc_cold(mapping)
        read_lock_irq(mapping.tree_lock)
        if not page:
            break
        data_race(page).index = page_offset
        list_add(page.lru, page_pool)
        ret += 1
    read_unlock_irq(mapping.tree_lock)

    # now start the I/O
    if ret:
        read_pages(mapping, filp, page_pool, ret)
    BUG_ON(not list_empty(page_pool), 307)
    return ret


def force_page_cache_readahead(mapping, filp, offset, nr_to_read):
    """Read ahead although the device has it switched off, in chunks of two megabytes. Returns the number of pages, or an error."""
    ret = 0

    while nr_to_read:
        this_chunk = 2 * 1024 * 1024 // PAGE_CACHE_SIZE

        if this_chunk > nr_to_read:
            this_chunk = nr_to_read
        err = __do_page_cache_readahead(mapping, filp, offset, this_chunk)
        if err < 0:
            ret = err
            break
        ret += err
        offset += this_chunk
        nr_to_read -= this_chunk
    return ret


def max_sane_readahead(nr):
    """At most half of the memory that is free or easy to reclaim."""
    active, inactive, free = __get_zone_counts()
    return min(nr, (inactive + free) // 2)
