# SPDX-License-Identifier: GPL-2.0-only
"""fs/bio.c: a page of a process that a driver does I/O on, as of SG_IO. A bio has one page here, and the pin of a program is one."""
from vmrace.harness.kernel import current, down_read, up_read
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import get_user_pages
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import page_cache_release
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty_lock
from vmrace.variants.invalidate_2_6.types import READ_BIO, WRITE_BIO


__FILE__ = "fs/bio.c"


def __bio_map_user_iov(bio, uaddr, nr_pages, write_to_vm):
    """Put a page of the caller into `bio`. With `write_to_vm`, the device writes to it. Returns 0 or an error."""
    # left out: the alignment of the buffer, which is a page; allocations, which cannot fail here; __bio_add_page(), for which one page fits
    pages = []

    down_read(current().mm.mmap_sem)
    ret = get_user_pages(current().mm, uaddr, nr_pages, write_to_vm, 0, pages)
    up_read(current().mm.mmap_sem)

    if ret < nr_pages:
        return ret                                  # goto out_unmap: of one page none is pinned then

    bio.page = pages[0]
    bio.bi_rw = READ_BIO if write_to_vm else WRITE_BIO
    return 0


def __bio_unmap_user(bio):
    """Make sure that a page is dirty which the device wrote to, and release it. May sleep."""
    page, bio.page = bio.page, None                 # __bio_for_each_segment()
    if bio.bi_rw == READ_BIO:
        set_page_dirty_lock(page)

    page_cache_release(page)
