# SPDX-License-Identifier: MIT
"""Lock orders, right and wrong, one function each."""

from vmrace.harness.kernel import (
    LIST_HEAD,
    atomic_inc,
    atomic_read,
    atomic_t,
    down,
    down_read,
    down_write,
    embed,
    guarded,
    guarded_array,
    list_add,
    list_empty,
    list_head,
    local_irq_disable,
    local_irq_enable,
    plain,
    raise_irq,
    read_lock,
    read_unlock,
    rw_semaphore,
    rwlock_t,
    semaphore,
    spin_lock,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_irqrestore,
    spinlock_t,
    struct,
    up,
    up_read,
    up_write,
    write_lock,
    write_unlock,
    yield_cpu,
)

__FILE__ = "kernel/locks.c"

first = spinlock_t("first")
second = spinlock_t("second")
third = spinlock_t("third")
tasks = rwlock_t("tasks")
files = rwlock_t("files")
mmap_sem = rw_semaphore("mmap_sem")
sem = semaphore("sem")
go = atomic_t("go")
back = atomic_t("back")
beats = atomic_t("beats")


class guarded_t(struct):
    under_spinlock = guarded(0, "first")
    under_reader = guarded(0, "tasks")
    under_semaphore = guarded(0, "sem")
    under_rwsem = guarded(0, "mmap_sem")
    under_either = guarded(0, "first", "second")
    slots = embed(guarded_array, 3, 0, "first")
    free = plain(0)
    link = embed(list_head)


data = guarded_t("data")
reader_list = LIST_HEAD("reader_list", "tasks")


def forward():
    spin_lock(first)
    spin_lock(second)
    spin_unlock(second)
    spin_unlock(first)


def backward():
    spin_lock(second)
    spin_lock(first)
    spin_unlock(first)
    spin_unlock(second)


def backward_try():
    spin_lock(second)
    if spin_trylock(first):
        spin_unlock(first)
    spin_unlock(second)


def try_then_wait():
    if spin_trylock(second):
        spin_lock(first)
        spin_unlock(first)
        spin_unlock(second)


def second_third():
    spin_lock(second)
    spin_lock(third)
    spin_unlock(third)
    spin_unlock(second)


def all_forward():
    spin_lock(first)
    second_third()
    spin_unlock(first)


def all_backward():
    spin_lock(third)
    backward()
    spin_unlock(third)


def third_first():
    spin_lock(third)
    spin_lock(first)
    spin_unlock(first)
    spin_unlock(third)


def twice():
    spin_lock(first)
    spin_lock(first)


def read_twice():
    read_lock(tasks)
    read_lock(tasks)
    read_unlock(tasks)
    read_unlock(tasks)


def write_then_read():
    write_lock(tasks)
    read_lock(tasks)


def rwsem_read_twice():
    down_read(mmap_sem)
    down_read(mmap_sem)
    up_read(mmap_sem)
    up_read(mmap_sem)


def rwsem_write():
    down_write(mmap_sem)
    up_write(mmap_sem)


def read_with_irqs_on():
    read_lock(tasks)
    read_unlock(tasks)


def write_with_irqs_on():
    write_lock(tasks)
    write_unlock(tasks)


def write_with_irqs_off():
    local_irq_disable()
    write_lock(tasks)
    write_unlock(tasks)
    local_irq_enable()


def read_in_irq():
    read_lock(tasks)
    read_unlock(tasks)


def take_in_irq():
    spin_lock(first)
    spin_unlock(first)


def try_in_irq():
    if spin_trylock(first):
        spin_unlock(first)


def raise_reader():
    raise_irq(read_in_irq)


def raise_taker():
    raise_irq(take_in_irq)


def raise_trier():
    raise_irq(try_in_irq)


def take_irqs_on():
    spin_lock(first)
    spin_unlock(first)


def take_irqs_off():
    flags = spin_lock_irqsave(first)
    spin_unlock_irqrestore(first, flags)


def keep():
    spin_lock(first)


def keep_irqs_off():
    local_irq_disable()


def release_only():
    spin_unlock(first)


def irq_forward():
    spin_lock(first)
    spin_lock(second)
    spin_unlock(second)
    spin_unlock(first)


def irq_backward():
    spin_lock(second)
    spin_lock(first)
    spin_unlock(first)
    spin_unlock(second)


def raise_both():
    raise_irq(irq_forward)
    raise_irq(irq_backward)


def irq_waits_in_irq():
    spin_lock(third)
    spin_unlock(third)


def hold_third_and_spin_for_first():
    spin_lock(third)
    spin_lock(first)
    spin_unlock(first)
    spin_unlock(third)


def hold_first_and_raise():
    spin_lock(first)
    raise_irq(irq_waits_in_irq)
    atomic_inc(go)
    spin_lock(third)
    spin_unlock(third)
    spin_unlock(first)


def hold_first_raise_and_wait_for_second():
    spin_lock(first)
    raise_irq(irq_waits_in_irq)
    spin_lock(second)
    spin_unlock(second)
    spin_unlock(first)


def third_only():
    spin_lock(third)
    spin_unlock(third)


# Waiting for each other in loops

def set_go():
    atomic_inc(go)


def wait_for_go():
    while not atomic_read(go):
        yield_cpu()


def wait_for_go_without_yielding():
    while not atomic_read(go):
        pass


def beat_until_go():
    while not atomic_read(go):
        atomic_inc(beats)


def beat_twice():
    atomic_inc(beats)
    atomic_inc(beats)


def beat_and_look_until_go():
    """A loop that is mostly in other functions."""
    while not has_gone():
        beat_twice()


def has_gone():
    return atomic_read(go)


def wait_for_back_then_go():
    while not atomic_read(back):
        yield_cpu()
    atomic_inc(go)


def wait_for_go_then_back():
    while not atomic_read(go):
        yield_cpu()
    atomic_inc(back)


# Guarded fields

def touch_locked():
    spin_lock(first)
    data.under_spinlock += 1
    data.slots[2] = data.under_spinlock
    spin_unlock(first)


def touch_unlocked():
    data.under_spinlock = 1


def read_unlocked():
    return data.under_spinlock


def read_slot_unlocked():
    return data.slots[0]


def touch_reading():
    read_lock(tasks)
    data.under_reader += 1
    read_unlock(tasks)


def look_reading():
    read_lock(tasks)
    saw = data.under_reader
    read_unlock(tasks)
    return saw


def touch_writing():
    write_lock(tasks)
    data.under_reader += 1
    write_unlock(tasks)


def touch_sem_reading():
    down_read(mmap_sem)
    data.under_rwsem += 1
    up_read(mmap_sem)


def look_sem_reading():
    down_read(mmap_sem)
    saw = data.under_rwsem
    up_read(mmap_sem)
    return saw


def touch_sem_writing():
    down_write(mmap_sem)
    data.under_rwsem += 1
    up_write(mmap_sem)


def add_reading():
    read_lock(tasks)
    list_add(data.link, reader_list)
    read_unlock(tasks)


def empty_reading():
    read_lock(tasks)
    empty = list_empty(reader_list)
    read_unlock(tasks)
    return empty


def add_writing():
    write_lock(tasks)
    list_add(data.link, reader_list)
    write_unlock(tasks)


def read_then_other():
    read_lock(tasks)
    read_lock(files)
    read_unlock(files)
    read_unlock(tasks)


def other_then_read():
    read_lock(files)
    read_lock(tasks)
    read_unlock(tasks)
    read_unlock(files)


def other_then_write():
    read_lock(files)
    write_lock(tasks)
    write_unlock(tasks)
    read_unlock(files)


def write_other_then_read():
    write_lock(files)
    read_lock(tasks)
    read_unlock(tasks)
    write_unlock(files)


def first_then_read():
    spin_lock(first)
    read_lock(tasks)
    read_unlock(tasks)
    spin_unlock(first)


def read_then_first():
    read_lock(tasks)
    spin_lock(first)
    spin_unlock(first)
    read_unlock(tasks)


def first_then_write():
    spin_lock(first)
    write_lock(tasks)
    write_unlock(tasks)
    spin_unlock(first)


def read_then_write():
    read_lock(tasks)
    write_lock(tasks)
    write_unlock(tasks)
    read_unlock(tasks)


def touch_with_semaphore():
    down(sem)
    data.under_semaphore += 1
    up(sem)


def touch_without_semaphore():
    data.under_semaphore += 1


def touch_under_the_other():
    spin_lock(second)
    data.under_either += 1
    spin_unlock(second)


def touch_under_the_wrong_one():
    spin_lock(second)
    data.under_spinlock += 1
    spin_unlock(second)
