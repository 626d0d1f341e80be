# SPDX-License-Identifier: MIT
"""The object is found, removed from its list and freed under the lock."""

from vmrace.harness.kernel import kfree, list_del, spin_lock, spin_unlock

__FILE__ = "mm/canary.c"


def load():
    spin_lock(lock)
    if lookup.found:
        entry.value
    spin_unlock(lock)


def drop():
    spin_lock(lock)
    if lookup.found:
        lookup.found = 0
        list_del(entry.link)
        kfree(entry)
    spin_unlock(lock)
