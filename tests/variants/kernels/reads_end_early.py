# SPDX-License-Identifier: MIT
"""read(2) of 2.4.20 and of 2.6.15 that takes every page for one beyond the end of the file."""


def do_generic_file_read(filp, index):
    return None


def do_generic_mapping_read(mapping, index, filp):
    return None
