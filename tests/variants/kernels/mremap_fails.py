# SPDX-License-Identifier: MIT
"""move_vma() of both families that finds no memory, and leaves the mapping where it is."""


def move_vma(vma, addr, old_len, new_len, new_addr):
    return -ENOMEM
