# SPDX-License-Identifier: MIT
"""lifetime: one cpu uses an object of a slab cache while another frees it. One function for each kind of field of the object."""

from vmrace.harness.kernel import (
    LIST_HEAD,
    add_wait_queue,
    atomic_inc,
    atomic_read,
    atomic_t,
    down,
    down_read,
    embed,
    flags_t,
    guarded,
    list_add,
    list_head,
    mb,
    plain,
    racy,
    racy_array,
    read_lock,
    read_unlock,
    read_word,
    remove_wait_queue,
    rw_semaphore,
    rwlock_t,
    semaphore,
    set_bit,
    spin_lock,
    spin_trylock,
    spin_unlock,
    spinlock_t,
    struct,
    up,
    up_read,
    wait_queue_head_t,
    wake_up,
)

__FILE__ = "mm/canary.c"


class inner_t(struct):
    value = racy(0)


class entry_t(struct):
    value = racy(0)
    counted = guarded(0, "users_lock")
    constant = plain(1)
    slots = embed(racy_array, 2, 0)
    inner = embed(inner_t)
    refs = embed(atomic_t, 1, refcount=True)
    flags = embed(flags_t)
    lock = embed(spinlock_t)
    rwlock = embed(rwlock_t)
    sem = embed(semaphore)
    rwsem = embed(rw_semaphore)
    wait = embed(wait_queue_head_t)
    children = embed(list_head, guard="users_lock")
    link = embed(list_head)
    slab = embed(list_head)


class cache_t(struct):
    alive = racy(1)


cache = cache_t("cache")
cache_lock = spinlock_t("cache_lock")
cache_sem = semaphore("cache_sem")
free_entries = LIST_HEAD("free_entries", "cache_lock", freelist=True)
users_lock = spinlock_t("users_lock")
users = LIST_HEAD("users", "users_lock")
entry = entry_t("entry")


def use(what):
    if cache.alive:
        touch(what)


def release():
    cache.alive = 0
    give_back()


def give_back():
    spin_lock(cache_lock)
    list_add(entry.slab, free_entries)
    spin_unlock(cache_lock)


def touch(what):
    if what == "load":
        entry.value
    if what == "store":
        entry.value = 1
    if what == "guarded":
        spin_lock(users_lock)
        entry.counted += 1
        spin_unlock(users_lock)
    if what == "constant":
        mb()                                # a plain field is no point, so no other cpu could run in between
        entry.constant
    if what == "item":
        entry.slots[1] = 1
    if what == "inner":
        entry.inner.value
    if what == "atomic":
        atomic_read(entry.refs)
    if what == "reference":
        atomic_inc(entry.refs)
    if what == "bit":
        set_bit(0, entry.flags)
    if what == "word":
        read_word(entry.flags)
    if what == "spinlock":
        spin_lock(entry.lock)
        spin_unlock(entry.lock)
    if what == "trylock":
        if spin_trylock(entry.lock):
            spin_unlock(entry.lock)
    if what == "rwlock":
        read_lock(entry.rwlock)
        read_unlock(entry.rwlock)
    if what == "semaphore":
        down(entry.sem)
        up(entry.sem)
    if what == "rw_semaphore":
        down_read(entry.rwsem)
        up_read(entry.rwsem)
    if what == "wait":
        add_wait_queue(entry.wait)
        remove_wait_queue(entry.wait)
    if what == "wake":
        wake_up(entry.wait)
    if what == "list":
        spin_lock(users_lock)
        entry.children.next
        spin_unlock(users_lock)
    if what == "link":
        spin_lock(users_lock)
        entry.link.prev
        spin_unlock(users_lock)
