# SPDX-License-Identifier: MIT
"""No lock is held where a task may sleep; the interrupt only tries the semaphore."""

from vmrace.harness.kernel import (
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    add_wait_queue,
    atomic_read,
    down,
    down_trylock,
    remove_wait_queue,
    schedule,
    set_current_state,
    spin_lock,
    spin_unlock,
    up,
)

__FILE__ = "mm/canary.c"


def write_page():
    down(sem)
    spin_lock(lock)
    spin_unlock(lock)
    up(sem)


def complete():
    if not down_trylock(sem):
        up(sem)


def wait_on_page():
    add_wait_queue(wait)
    set_current_state(TASK_UNINTERRUPTIBLE)
    if not atomic_read(done):
        schedule()
    set_current_state(TASK_RUNNING)
    remove_wait_queue(wait)


def give_up_cpu():
    spin_lock(lock)
    resched = atomic_read(done)
    spin_unlock(lock)
    if resched:
        schedule()
