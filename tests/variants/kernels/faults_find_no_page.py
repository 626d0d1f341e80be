# SPDX-License-Identifier: MIT
"""handle_mm_fault() of 2.4.20 and of 2.6.15 that says the file has no such page."""


def handle_mm_fault(mm, vma, address, write_access):
    return 0


def __handle_mm_fault(mm, vma, address, write_access):
    return 0x01                 # VM_FAULT_SIGBUS
