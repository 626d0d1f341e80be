# SPDX-License-Identifier: MIT
"""write(2) of 2.4.20 and of 2.6.15 that fails."""


def generic_file_write(file, index, buf, direct=0):
    return -EIO
