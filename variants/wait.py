# SPDX-License-Identifier: GPL-2.0-only
"""kernel/wait.c: waiting for a bit, in 2.6.15 as in 2.6.26.

Each queue here is of one bit of one page (or buffer), so the key that a hashed queue compares is in the choice of the queue. A
woken sleeper stands where it stood until it has looked at the bit, where the kernel takes it off and puts it back.
"""
from vmrace.harness.kernel import (
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    __set_current_state,
    add_wait_queue,
    add_wait_queue_exclusive,
    current,
    function_here,
    remove_wait_queue,
    schedule,
    set_current_state,
    test_and_set_bit,
    test_bit,
    waitqueue_active,
    wake_up,
)

__FILE__ = "kernel/wait.c"


def __wait_on_bit(wq, nr, page, action):
    """Until the bit of page->flags is clear; it may be set again on return. action(page) sleeps once."""
    add_wait_queue(wq)                              # prepare_to_wait()
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if test_bit(nr, page.flags):
            action(page)
        if not test_bit(nr, page.flags):
            break
    __set_current_state(TASK_RUNNING)               # finish_wait()
    remove_wait_queue(wq)


def __wait_on_bit_lock(wq, nr, page, action):
    """Until it was us who set the bit. action(page) sleeps once."""
    add_wait_queue_exclusive(wq)                    # prepare_to_wait_exclusive()
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if test_bit(nr, page.flags):
            action(page)
        if not test_and_set_bit(nr, page.flags):
            page.locker = current()                 # the bit is PG_locked
            page.locked_in = function_here("__wait_on_bit_lock", "__lock_page", "__lock_page_nosync")
            break
    __set_current_state(TASK_RUNNING)               # finish_wait()
    remove_wait_queue(wq)


def __wake_up_bit(wq):
    """A sleeper that finds the bit set again goes back to sleep; whoever set it will come here too."""
    if waitqueue_active(wq):
        wake_up(wq)


__FILE__ = "kernel/sched.c"


def io_schedule():
    schedule()
