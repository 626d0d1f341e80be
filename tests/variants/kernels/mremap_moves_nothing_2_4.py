# SPDX-License-Identifier: MIT
"""move_page_tables() of 2.4 that leaves the ptes at the old address, which is then unmapped."""


def move_page_tables(mm, new_addr, old_addr, len):
    return 0
