# SPDX-License-Identifier: MIT
"""atomic_sleep: down() or schedule() with a spinlock held, in an interrupt, or with interrupts off."""

from vmrace.harness.kernel import (
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    add_wait_queue,
    atomic_inc,
    atomic_read,
    atomic_t,
    down,
    local_irq_disable,
    local_irq_enable,
    raise_irq,
    remove_wait_queue,
    schedule,
    semaphore,
    set_current_state,
    spin_lock,
    spin_unlock,
    spinlock_t,
    up,
    wait_queue_head_t,
    wake_up,
)

__FILE__ = "mm/canary.c"

lock = spinlock_t("lock")
sem = semaphore("sem")
done = atomic_t("done")
wait = wait_queue_head_t("wait")


def write_page():
    spin_lock(lock)
    down(sem)
    up(sem)
    spin_unlock(lock)


def complete():
    down(sem)
    up(sem)


def submit():
    raise_irq(complete)


def finish():
    atomic_inc(done)
    wake_up(wait)


def wait_on_page():
    add_wait_queue(wait)
    set_current_state(TASK_UNINTERRUPTIBLE)
    local_irq_disable()
    if not atomic_read(done):
        schedule()
    local_irq_enable()
    set_current_state(TASK_RUNNING)
    remove_wait_queue(wait)


def give_up_cpu():
    spin_lock(lock)
    if atomic_read(done):
        schedule()
    spin_unlock(lock)
