# SPDX-License-Identifier: MIT
"""A device that writes a zero in place of the second word of the page that it was to write."""


def page_interrupt(rw, bdev, block, data, end_io, dio):
    dio.moved += (0,)
    end_io(dio)
