# SPDX-License-Identifier: MIT
"""The task is put on the queue, sets its state, then checks the condition."""

from vmrace.harness.kernel import (
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    add_wait_queue,
    atomic_read,
    remove_wait_queue,
    schedule,
    set_current_state,
)

__FILE__ = "mm/canary.c"


def wait_on_page():
    add_wait_queue(wait)
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if atomic_read(done):
            break
        schedule()
    set_current_state(TASK_RUNNING)
    remove_wait_queue(wait)
