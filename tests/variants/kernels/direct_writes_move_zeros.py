# SPDX-License-Identifier: MIT
"""A device that writes a zero in place of the second word of the page that it was to write."""


def page_interrupt(bio, rw, bdev, block, data):
    bio.bi_private.buf.moved += (0,)
    bio_endio(bio, bio.bi_size, 0)
