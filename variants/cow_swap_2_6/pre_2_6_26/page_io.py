# SPDX-License-Identifier: GPL-2.0-only
"""mm/page_io.c: reading and writing a page of the swap cache.

A bio is the tuple (slot, device, page, end_io): it has one page, and no I/O here fails, so nothing of it changes. bio_alloc() takes from
a pool and may sleep for it; here it never has to.
"""
from vmrace.harness.kernel import BUG_ON
from vmrace.variants.cow_swap_2_6.pre_2_6_26.filemap import end_page_writeback, unlock_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.hardware import submit_bio
from vmrace.variants.cow_swap_2_6.pre_2_6_26.mm_h import PageLocked, PageUptodate, SetPageUptodate, page_private, set_page_writeback
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapfile import get_swap_info_struct, remove_exclusive_swap_page
from vmrace.variants.cow_swap_2_6.pre_2_6_26.swapops_h import swp_offset, swp_type
from vmrace.variants.cow_swap_2_6.types import GFP_KERNEL, GFP_NOIO, READ_BIO, WRITE_BIO


__FILE__ = "mm/page_io.c"


# not here: bio_alloc(gfp_flags, 1): a bio is a tuple
# not here: if bio_alloc(): it may sleep, and then returns a bio
# not here: map_swap_page(sis, swp_offset()): extents are left out
# not here: bio_alloc().bi_sector = (map_swap_page() * (PAGE_SIZE >> 9)): a bio is a tuple
# not here: bio_alloc().bi_bdev = sis.bdev: as above
# not here: bio_alloc()[2] = page: as above
# not here: bio_alloc().bi_io_vec[0].bv_len = PAGE_SIZE: as above
# not here: bio_alloc().bi_io_vec[0].bv_offset = 0: as above
# not here: bio_alloc().bi_vcnt = 1: as above
# not here: bio_alloc().bi_idx = 0: as above
# not here: bio_alloc().bi_size = PAGE_SIZE: as above
# not here: bio_alloc().bi_end_io = end_io: as above
# not here: return bio_alloc(): as above
def get_swap_bio(gfp_flags, index, page, end_io):
    """Return the bio of a page and its slot, which `index`, the page's private field, names. end_io(bio, error) is called at its end."""
    sis = get_swap_info_struct(swp_type(index))
    return swp_offset(index), sis.bdev, page, end_io


def end_swap_bio_write(bio, err):
    """The interrupt of a write."""
    page = bio[2]
    end_page_writeback(page)


def end_swap_bio_read(bio, err):
    """The interrupt of a read: it unlocks the page that its reader has locked."""
    page = bio[2]
    SetPageUptodate(page)
    unlock_page(page)


def swap_writepage(page, wbc):
    """The page is locked, and its caller has cleared PG_dirty. Unlocks it. A page that needs no slot any more is not written."""
    ret = 0
    rw = WRITE_BIO

    if remove_exclusive_swap_page(page):
        unlock_page(page)
        return ret                                  # goto out
    bio = get_swap_bio(GFP_NOIO, page_private(page), page, end_swap_bio_write)
    # left out: no bio; BIO_RW_SYNC
    set_page_writeback(page)
    unlock_page(page)
    submit_bio(rw, bio)
    # out:
    return ret


def swap_readpage(file, page):
    """The page is locked until the read is over."""
    ret = 0

    BUG_ON(not PageLocked(page), 128)
    BUG_ON(PageUptodate(page), 129)
    bio = get_swap_bio(GFP_KERNEL, page_private(page), page, end_swap_bio_read)
    # left out: no bio
    submit_bio(READ_BIO, bio)
    # out:
    return ret
