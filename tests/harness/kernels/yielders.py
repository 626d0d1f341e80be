# SPDX-License-Identifier: MIT
"""Readers that yield while a write section is open, as the fault of 13 Dec 2005 does, and writers that stop inside one.

The lock is Andrea Arcangeli's seqschedlock, as posted.
"""
from vmrace.harness.kernel import (
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    __set_current_state,
    add_wait_queue,
    atomic_inc,
    atomic_read,
    atomic_t,
    raise_irq,
    remove_wait_queue,
    schedule,
    set_current_state,
    wait_queue_head_t,
    wake_up,
    yield_cpu,
)
from vmrace.variants.invalidate_2_6.andrea_seqschedlock.seqschedlock_h import (
    SEQSCHEDLOCK_SUCCESS,
    SEQSCHEDLOCK_WRITER_RUNNING,
    read_seqschedlock,
    read_seqschedunlock,
    seqschedlock_t,
    write_seqschedlock,
    write_seqschedunlock,
)

__FILE__ = "kernel/yielders.c"

lock = seqschedlock_t("lock")
word = atomic_t("word")
written = atomic_t("written")
never = atomic_t("never")
disk = wait_queue_head_t("disk")


def read_until_success():
    """Read as do_no_page() does: yield to a writer that is running, and try again if one was."""
    while True:
        state, sequence = read_seqschedlock(lock)
        if state == SEQSCHEDLOCK_SUCCESS:
            atomic_read(word)
            state = read_seqschedunlock(lock, sequence)
        if state == SEQSCHEDLOCK_SUCCESS:
            return
        if state == SEQSCHEDLOCK_WRITER_RUNNING:
            yield_cpu()


def write_section():
    write_seqschedlock(lock)
    atomic_inc(word)
    write_seqschedunlock(lock)


def disk_is_done():
    atomic_inc(written)
    wake_up(disk)


def write_section_that_sleeps():
    """Wait for the disk inside the section, as an invalidate does in try_to_release_page()."""
    write_seqschedlock(lock)
    raise_irq(disk_is_done)
    wait_for(written)
    write_seqschedunlock(lock)


def write_section_that_sleeps_for_ever():
    write_seqschedlock(lock)
    wait_for(never)
    write_seqschedunlock(lock)


def write_section_that_does_not_end():
    write_seqschedlock(lock)
    while not atomic_read(never):
        pass
    write_seqschedunlock(lock)


def write_section_left_open():
    """Leave the section open, as invalidate_mapping_pages() does as posted for a mapped page."""
    write_seqschedlock(lock)


def wait_for(done):
    add_wait_queue(disk)
    while True:
        set_current_state(TASK_UNINTERRUPTIBLE)
        if atomic_read(done):
            break
        schedule()
    __set_current_state(TASK_RUNNING)
    remove_wait_queue(disk)
