# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/pagemap.h: the page cache's hash, references and lookups."""
from vmrace.variants.lru_free_2_4.pre_patch.filemap import ___wait_on_page, __find_get_page, __find_lock_page, find_or_create_page
from vmrace.variants.lru_free_2_4.pre_patch.mm_h import PageLocked, __free_page, alloc_pages, get_page
from vmrace.variants.lru_free_2_4.types import PAGE_HASH_BITS, PAGE_HASH_SIZE, page_hash_table


__FILE__ = "include/linux/pagemap.h"


def page_cache_get(page):
    get_page(page)


def page_cache_release(page):
    __free_page(page)


def page_cache_alloc(mapping):
    return alloc_pages(mapping.gfp_mask, 0)


def _page_hashfn(mapping, index):
    """`hash` stands for the mapping's address in units of an inode."""
    key = mapping.hash + index
    return key + (key >> PAGE_HASH_BITS) & PAGE_HASH_SIZE - 1


def page_hash(mapping, index):
    """The bucket; its next_hash is what `*hash` reads."""
    return page_hash_table[_page_hashfn(mapping, index)]


def find_get_page(mapping, index):
    return __find_get_page(mapping, index, page_hash(mapping, index))


def find_lock_page(mapping, index):
    return __find_lock_page(mapping, index, page_hash(mapping, index))


def wait_on_page(page):
    if PageLocked(page):
        ___wait_on_page(page)


def grab_cache_page(mapping, index):
    return find_or_create_page(mapping, index, mapping.gfp_mask)
