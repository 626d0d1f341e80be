# SPDX-License-Identifier: MIT
"""The object is found and used under the lock under which it is freed."""

from vmrace.harness.kernel import spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def find():
    spin_lock(lock)
    found = mm.mmap_cache
    if found:
        found.vm_end
    spin_unlock(lock)
