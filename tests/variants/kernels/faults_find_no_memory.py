# SPDX-License-Identifier: MIT
"""handle_mm_fault() of 2.4.20 and of 2.6.15 that says there is no memory."""


def handle_mm_fault(mm, vma, address, write_access):
    return -1


def __handle_mm_fault(mm, vma, address, write_access):
    return 0x00                 # VM_FAULT_OOM
