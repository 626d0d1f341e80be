# SPDX-License-Identifier: MIT
"""Functions that sleep, mostly where it is forbidden."""

from vmrace.harness.kernel import (
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    add_wait_queue,
    down,
    down_read,
    down_trylock,
    down_write,
    local_irq_disable,
    local_irq_enable,
    mb,
    raise_irq,
    read_lock,
    read_unlock,
    rw_semaphore,
    rwlock_t,
    schedule,
    semaphore,
    set_current_state,
    spin_lock,
    spin_unlock,
    spinlock_t,
    up,
    up_read,
    up_write,
    wait_queue_head_t,
    yield_cpu,
)

lock = spinlock_t("lock")
tasks = rwlock_t("tasks")
sem = semaphore("sem")
other_sem = semaphore("other_sem")
rwsem = rw_semaphore("rwsem")
wait = wait_queue_head_t("wait")


def nothing():
    mb()


def wait_for_nobody():
    add_wait_queue(wait)
    set_current_state(TASK_UNINTERRUPTIBLE)
    schedule()
    set_current_state(TASK_RUNNING)


def wait_for_nobody_with_sem():
    down(sem)
    wait_for_nobody()
    up(sem)


def wait_for_nobody_reading():
    down_read(rwsem)
    wait_for_nobody()
    up_read(rwsem)


def take_sem():
    down(sem)
    up(sem)


def take_sem_with_other():
    down(other_sem)
    take_sem()
    up(other_sem)


def take_other_with_sem():
    down(sem)
    down(other_sem)
    up(other_sem)
    up(sem)


def write_rwsem():
    down_write(rwsem)
    up_write(rwsem)


def read_rwsem():
    down_read(rwsem)
    up_read(rwsem)


def down_locked():
    spin_lock(lock)
    down(sem)
    up(sem)
    spin_unlock(lock)


def down_read_locked():
    spin_lock(lock)
    down_read(rwsem)
    up_read(rwsem)
    spin_unlock(lock)


def down_write_locked():
    spin_lock(lock)
    down_write(rwsem)
    up_write(rwsem)
    spin_unlock(lock)


def schedule_locked():
    spin_lock(lock)
    schedule()
    spin_unlock(lock)


def yield_locked():
    spin_lock(lock)
    yield_cpu()
    spin_unlock(lock)


def sleep_locked():
    spin_lock(lock)
    set_current_state(TASK_UNINTERRUPTIBLE)
    schedule()
    spin_unlock(lock)


def down_reading():
    read_lock(tasks)
    down(sem)
    up(sem)
    read_unlock(tasks)


def down_trylock_locked():
    spin_lock(lock)
    if not down_trylock(sem):
        up(sem)
    spin_unlock(lock)


def down_twice():
    down(sem)
    down(other_sem)
    schedule()
    up(other_sem)
    up(sem)


def sleeping_handler():
    down(sem)
    up(sem)


def raise_sleeper():
    raise_irq(sleeping_handler)


def sleep_irqs_off():
    local_irq_disable()
    set_current_state(TASK_UNINTERRUPTIBLE)
    schedule()
    local_irq_enable()
