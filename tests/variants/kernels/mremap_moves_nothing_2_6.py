# SPDX-License-Identifier: MIT
"""move_page_tables() of 2.6 that leaves the ptes at the old address, which is then unmapped."""


def move_page_tables(vma, old_addr, new_vma, new_addr, len):
    return len
