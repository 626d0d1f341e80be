# SPDX-License-Identifier: MIT
"""progress: a lost wake-up. The condition is checked before the task is on the queue."""

from vmrace.harness.kernel import (
    TASK_UNINTERRUPTIBLE,
    add_wait_queue,
    atomic_inc,
    atomic_read,
    atomic_t,
    remove_wait_queue,
    schedule,
    set_current_state,
    wait_queue_head_t,
    wake_up,
)

__FILE__ = "mm/canary.c"

done = atomic_t("done")
wait = wait_queue_head_t("wait")


def finish():
    atomic_inc(done)
    wake_up(wait)


def wait_on_page():
    if not atomic_read(done):
        add_wait_queue(wait)
        set_current_state(TASK_UNINTERRUPTIBLE)
        schedule()
        remove_wait_queue(wait)
