# SPDX-License-Identifier: MIT
"""lifetime: kfree() of an object that another cpu uses, frees too, or reaches by the list that it is still on."""

from vmrace.harness.kernel import (
    LIST_HEAD,
    embed,
    kfree,
    list_add,
    list_del,
    list_entry,
    list_head,
    racy,
    spin_lock,
    spin_unlock,
    spinlock_t,
    struct,
)

__FILE__ = "mm/canary.c"


class entry_t(struct):
    value = racy(0)
    link = embed(list_head)


class lookup_t(struct):
    found = racy(1)


lock = spinlock_t("lock")
entries = LIST_HEAD("entries", "lock")
lookup = lookup_t("lookup")
entry = entry_t("entry")
other = entry_t("other")


def boot():
    spin_lock(lock)
    list_add(entry.link, entries)
    list_add(other.link, entries)
    spin_unlock(lock)


def load():
    if lookup.found:
        entry.value


def drop():
    if lookup.found:
        lookup.found = 0
        kfree(entry)


def walk():
    spin_lock(lock)
    curr = entries.next
    while curr is not entries:
        list_entry(curr).value
        curr = curr.next
    spin_unlock(lock)


def unlink():
    spin_lock(lock)
    list_del(other.link)
    list_add(other.link, entries)
    spin_unlock(lock)
