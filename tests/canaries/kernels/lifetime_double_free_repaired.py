# SPDX-License-Identifier: MIT
"""Only the cpu that dropped the count to zero frees."""

from vmrace.harness.kernel import atomic_dec_and_test, list_add, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def put_page():
    if atomic_dec_and_test(page.count):
        spin_lock(lock)
        list_add(page.list, free_list)
        spin_unlock(lock)
