# SPDX-License-Identifier: MIT
"""Pairs of functions for every edge of happens-before: one pair has the edge, and one lacks it by exactly one difference."""

from vmrace.harness.kernel import (
    TASK_UNINTERRUPTIBLE,
    __clear_bit,
    __set_bit,
    add_wait_queue,
    atomic_dec,
    atomic_dec_and_test,
    atomic_read,
    atomic_set,
    atomic_t,
    clear_bit,
    cmpxchg,
    data_race,
    down,
    down_read,
    down_trylock,
    down_write,
    embed,
    flags_t,
    happens_after,
    happens_before,
    local_irq_disable,
    local_irq_enable,
    mb,
    racy,
    racy_array,
    raise_irq,
    read_lock,
    read_unlock,
    read_word,
    remove_wait_queue,
    rmb,
    rw_semaphore,
    rwlock_t,
    schedule,
    semaphore,
    set_bit,
    set_task_state,
    smp_mb__after_clear_bit,
    smp_mb__before_clear_bit,
    spin_lock,
    spin_trylock,
    spin_unlock,
    spinlock_t,
    struct,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
    up,
    up_read,
    up_write,
    wait_queue_head_t,
    wake_up,
    wake_up_all,
    wmb,
    write_lock,
    write_unlock,
    xchg,
)

__FILE__ = "mm/races.c"


class box_t(struct):
    data = racy(0)
    slots = embed(racy_array, 2, 0)
    flags = embed(flags_t)


box = box_t("box")
count = atomic_t("count", 2)
flag = atomic_t("flag")
bits = flags_t("bits")
lock = spinlock_t("lock")
other_lock = spinlock_t("other_lock")
rwlock = rwlock_t("rwlock")
mutex = semaphore("mutex")
done = semaphore("done", 0)
rwsem = rw_semaphore("rwsem")
queue = wait_queue_head_t("queue")


def store():
    box.data = 1


def load():
    return box.data


# ---- spinlocks -------------------------------------------------------------------------------------------------------------

def store_locked():
    spin_lock(lock)
    box.data = 1
    spin_unlock(lock)


def load_locked():
    spin_lock(lock)
    box.data
    spin_unlock(lock)


def load_other_lock():
    spin_lock(other_lock)
    box.data
    spin_unlock(other_lock)


def load_after_lock():
    spin_lock(lock)
    spin_unlock(lock)
    box.data


def load_tried():
    if spin_trylock(lock):
        box.data
        spin_unlock(lock)


def load_tried_in_vain():
    if spin_trylock(lock):
        spin_unlock(lock)
    else:
        box.data


# ---- reader-writer locks ---------------------------------------------------------------------------------------------------

def store_write_locked():
    write_lock(rwlock)
    box.data = 1
    write_unlock(rwlock)


def load_read_locked():
    read_lock(rwlock)
    box.data
    read_unlock(rwlock)


def store_read_locked():
    read_lock(rwlock)
    box.data = 1
    read_unlock(rwlock)


# ---- semaphores ------------------------------------------------------------------------------------------------------------

def store_down():
    down(mutex)
    box.data = 1
    up(mutex)


def load_down():
    down(mutex)
    box.data
    up(mutex)


def load_down_tried():
    if not down_trylock(mutex):
        box.data
        up(mutex)


def load_down_tried_in_vain():
    if down_trylock(mutex):
        box.data
    else:
        up(mutex)


def store_down_write():
    down_write(rwsem)
    box.data = 1
    up_write(rwsem)


def load_down_read():
    down_read(rwsem)
    box.data
    up_read(rwsem)


def store_down_read():
    down_read(rwsem)
    box.data = 1
    up_read(rwsem)


# ---- sleeping and waking ---------------------------------------------------------------------------------------------------

def sleep_then_load():
    add_wait_queue(queue)
    set_task_state(TASK_UNINTERRUPTIBLE)
    schedule()
    box.data


def store_then_wake():
    box.data = 1
    wake_up_all(queue)


def wake_then_store():
    wake_up_all(queue)
    box.data = 1


def queue_store_flag():
    box.data = 1
    wake_up(queue)
    atomic_set(flag, 1)


def if_flag_queue_load():
    if atomic_read(flag):
        add_wait_queue(queue)
        box.data
        remove_wait_queue(queue)


def if_flag_load():
    if atomic_read(flag):
        box.data


# ---- interrupts ------------------------------------------------------------------------------------------------------------

def handler_loads():
    box.data


def store_then_raise():
    box.data = 1
    raise_irq(handler_loads)


def raise_then_store():
    raise_irq(handler_loads)
    box.data = 1


def irqs_off():
    """Keep interrupts off on this cpu, so that the other cpu must take the interrupt."""
    local_irq_disable()
    atomic_read(flag)
    local_irq_enable()


# ---- atomics ---------------------------------------------------------------------------------------------------------------

def load_then_drop():
    """Load, then drop a reference: the task that drops the last one may access the data freely."""
    box.data
    if atomic_dec_and_test(count):
        box.data = 1


def load_then_drop_unordered():
    box.data
    atomic_dec(count)
    if not atomic_read(count):
        box.data = 1


def store_then_xchg():
    box.data = 1
    xchg(flag, 1)


def store_then_set():
    box.data = 1
    atomic_set(flag, 1)


def if_xchg_load():
    if xchg(flag, 0):
        box.data


def if_cmpxchg_load():
    if cmpxchg(flag, 1, 0) == 1:
        box.data


def load_bit_locked():
    if not test_and_set_bit(0, bits):
        box.data
        test_and_clear_bit(0, bits)


def store_bit_locked():
    if not test_and_set_bit(0, bits):
        box.data = 1
        test_and_clear_bit(0, bits)


def store_bit_locked_barrier():
    if not test_and_set_bit(0, bits):
        box.data = 1
        smp_mb__before_clear_bit()
        clear_bit(0, bits)
        smp_mb__after_clear_bit()


def store_bit_locked_no_barrier():
    if not test_and_set_bit(0, bits):
        box.data = 1
        clear_bit(0, bits)


def store_then_test_and_set():
    box.data = 1
    test_and_set_bit(1, bits)


def same_bit_then_load():
    test_and_set_bit(1, bits)
    box.data


def other_bit_then_load():
    test_and_set_bit(2, bits)
    box.data


# ---- barriers --------------------------------------------------------------------------------------------------------------

def store_wmb_set():
    box.data = 1
    wmb()
    atomic_set(flag, 1)


def store_mb_set_bit():
    box.data = 1
    mb()
    set_bit(1, bits)


def store_set_bit():
    box.data = 1
    set_bit(1, bits)


def if_flag_rmb_load():
    if atomic_read(flag):
        rmb()
        box.data


def if_bit_mb_load():
    if test_bit(1, bits):
        mb()
        box.data


# ---- user space ------------------------------------------------------------------------------------------------------------

def store_happens_before():
    box.data = 1
    happens_before(box)
    atomic_set(flag, 1)


def store_happens_before_another():
    box.data = 1
    happens_before(lock)
    atomic_set(flag, 1)


def if_flag_happens_after_load():
    if atomic_read(flag):
        happens_after(box)
        box.data


# ---- data_race -------------------------------------------------------------------------------------------------------------

def load_marked():
    return data_race(box.data)


def load_marked_in_a_call():
    return data_race(load())


def load_beside_a_mark():
    return data_race(box.slots[0]) + box.data


def store_marked():
    data_race(box).data = 1


def store_a_marked_value():
    box.data = data_race(box.slots[0])


def store_slot():
    box.slots[0] = 1


def store_slot_marked():
    data_race(box.slots)[0] = 1


def load_slot():
    return box.slots[0]


def load_other_slot():
    return box.slots[1]


# ---- words of flags --------------------------------------------------------------------------------------------------------

def set_one():
    set_bit(1, box.flags)


def test_one():
    return test_bit(1, box.flags)


def plainly_set():
    __set_bit(0, box.flags)


def plainly_clear():
    __clear_bit(0, box.flags)


def whole_word():
    return read_word(box.flags)
