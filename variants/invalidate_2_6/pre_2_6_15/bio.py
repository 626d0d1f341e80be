# SPDX-License-Identifier: GPL-2.0-only
"""fs/bio.c: the pages of a request, and of a process that a driver does I/O on, as of SG_IO. A bio has one page here.

hardware.py has bio_alloc() and bio_put(), with the rest of the slab.
"""
from vmrace.harness.kernel import current, down_read, up_read
from vmrace.variants.invalidate_2_6.pre_2_6_15.hardware import bio_alloc, bio_put
from vmrace.variants.invalidate_2_6.pre_2_6_15.memory import get_user_pages
from vmrace.variants.invalidate_2_6.pre_2_6_15.mm_h import page_cache_release
from vmrace.variants.invalidate_2_6.pre_2_6_15.page_writeback import set_page_dirty_lock
from vmrace.variants.invalidate_2_6.types import BIO_RW, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, READ_BIO


__FILE__ = "include/linux/fs.h"


def bio_data_dir(bio):
    return bio.bi_rw & 1


__FILE__ = "fs/bio.c"


def __bio_add_page(bio, page, len, offset):
    """Put a page into a bio. Returns `len`: there is room for it."""
    # not here: if bio.bi_vcnt < bio.bi_max_vecs: bio_alloc() has made room for the page
    # not here: if q.max_sectors < ((bio.bi_size + len) >> 9): without a queue of requests there is no limit
    # not here: if bio.bi_phys_segments < q.max_phys_segments: as above
    # not here: if bio.bi_hw_segments < q.max_hw_segments: as above
    # not here: BIOVEC_VIRT_OVERSIZE(bio.bi_size): as above
    # not here: if BIOVEC_VIRT_OVERSIZE(): as above
    # not here: if q.merge_bvec_fn: as above
    # not here: if bio.bi_vcnt: the page is the first, so there is none to merge it with
    bvec = bio.bi_io_vec[bio.bi_vcnt]
    bvec.bv_page = page
    bvec.bv_len = len
    bvec.bv_offset = offset

    bio.bi_vcnt += 1
    bio.bi_phys_segments += 1
    bio.bi_hw_segments += 1
    bio.bi_size += len
    return len


def bio_add_page(bio, page, len, offset):
    return __bio_add_page(bio, page, len, offset)


def __bio_map_user_iov(slab_bio, bdev, address, write_to_vm):
    """Put the page of the caller at `address` into a bio for `bdev`. With `write_to_vm`, the device writes to it.

    Returns the bio, or an error.
    """
    nr_pages = 0
    cur_page = 0

    # not here: queue_dma_alignment(q): the buffer is aligned
    # not here: if uaddr & queue_dma_alignment(): as above
    # not here: if PAGE_SIZE & queue_dma_alignment(): as above
    # not here: uaddr = address: C has two loops over the buffers, and computes these three in both
    # not here: end = ((((uaddr + PAGE_SIZE) + PAGE_SIZE) - 1) >> PAGE_SHIFT): as above
    # not here: start = (uaddr >> PAGE_SHIFT): as above
    uaddr = address
    len = PAGE_SIZE
    end = uaddr + len + PAGE_SIZE - 1 >> PAGE_SHIFT
    start = uaddr >> PAGE_SHIFT

    nr_pages += end - start

    # not here: if nr_pages: there is one
    # not here: if bio: a mempool does not fail
    bio = bio_alloc(slab_bio, nr_pages)
    # not here: kmalloc((nr_pages * sizeof(struct page *)), GFP_KERNEL): a list of Python, for which there is memory
    # not here: pages = kmalloc(): as above
    # not here: if pages: as above
    # not here: memset(pages, 0, (nr_pages * sizeof(struct page *))): as above
    # not here: kfree(pages): as above
    pages = []

    local_nr_pages = end - start
    page_limit = cur_page + local_nr_pages

    down_read(current().mm.mmap_sem)
    ret = get_user_pages(current().mm, uaddr, local_nr_pages, write_to_vm, 0, pages)
    up_read(current().mm.mmap_sem)

    if ret < local_nr_pages:
        # out_unmap:
        # not here: if 0 < nr_pages: of one page none is pinned then
        bio_put(bio)
        return ret                                  # ERR_PTR()

    offset = uaddr & ~PAGE_MASK
    j = cur_page
    while j < page_limit:
        bytes = PAGE_SIZE - offset

        if len <= 0:
            break

        if bytes > len:
            bytes = len

        if __bio_add_page(bio, pages[j], bytes, offset) < bytes:
            break

        len -= bytes
        offset = 0
        j += 1

    cur_page = j
    # not here: page_cache_release(pages[post(j)]): Python has no post-increment
    # only here: page_cache_release(pages[0]): as above
    while j < page_limit:
        page_cache_release(pages[j])
        j += 1

    # not here: bio.bi_flags |= (1 << BIO_USER_MAPPED): only blk_rq_unmap_user() asks, and a program unmaps what it has mapped
    if not write_to_vm:
        bio.bi_rw |= 1 << BIO_RW
    bio.bi_bdev = bdev
    return bio


def __bio_unmap_user(bio):
    """Make sure that a page is dirty which the device wrote to, and release it. May sleep."""
    for i in range(bio.bi_vcnt):
        bvec = bio.bi_io_vec[i]
        if bio_data_dir(bio) == READ_BIO:
            set_page_dirty_lock(bvec.bv_page)

        page_cache_release(bvec.bv_page)

    bio_put(bio)


def bio_endio(bio, bytes_done, error):
    """A device ends I/O on `bytes_done` bytes of a bio."""
    # not here: if error: no I/O fails
    # not here: if bio.bi_size < bytes_done: a transfer is whole
    # not here: if bio.bi_end_io: each user has one
    bio.bi_size -= bytes_done
    bio.bi_sector += bytes_done >> 9

    bio.bi_end_io(bio, bytes_done, error)
