# SPDX-License-Identifier: MIT
"""Read and write sections of one seqschedlock, with a word that each write section changes twice, to be odd in between.

Each body notes its begin and its end for the test to read after a run; notes are no points.
"""
from vmrace.harness.kernel import atomic_inc, atomic_read, atomic_t, plain, struct
from vmrace.variants.invalidate_2_6.andrea_seqschedlock.seqschedlock_h import (
    read_seqschedlock,
    read_seqschedunlock,
    seqschedlock_t,
    write_seqschedlock,
    write_seqschedunlock,
)


class notes(struct):
    seen = plain(())            # ("write", task, "begins" or "ends") and ("read", task, ..., code), in the order of the run


lock = seqschedlock_t("lock")
word = atomic_t("word")
log = notes("log")


def note(*what):
    log.seen += (what,)


def write_section(who):
    write_seqschedlock(lock)
    note("write", who, "begins")
    atomic_inc(word)
    atomic_inc(word)
    note("write", who, "ends")
    write_seqschedunlock(lock)


def empty_write_section(who):
    write_seqschedlock(lock)
    note("write", who, "begins")
    note("write", who, "ends")
    write_seqschedunlock(lock)


def read_section(who):
    """Make one try, and note its codes."""
    state, sequence = read_seqschedlock(lock)
    note("read", who, "begins", state)
    if state:
        return
    atomic_read(word)
    note("read", who, "ends", None)
    note("read", who, "result", read_seqschedunlock(lock, sequence))


def empty_read_section(who):
    state, sequence = read_seqschedlock(lock)
    note("read", who, "begins", state)
    if state:
        return
    note("read", who, "ends", None)
    note("read", who, "result", read_seqschedunlock(lock, sequence))
