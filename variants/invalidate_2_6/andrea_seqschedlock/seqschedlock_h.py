# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/seqschedlock.h, new in the patch of 13 Dec 2005: a seqlock inside whose write sections one may sleep.

`writers` counts the write sections that are open, `sequence` those that are over. Writers do not exclude each other and never
wait. A reader stores nothing: it looks at both counters when its section begins and when it ends, and is told whether to trust
what it has read in between. What SUCCESS at both ends says is that no write section overlapped the time from the end of
read_seqschedlock() to the start of read_seqschedunlock(); of what comes after, it says nothing.

Without CONFIG_SMP there is no lock and every read section succeeds.
"""
from vmrace.harness.kernel import CONFIG_SMP, atomic_dec, atomic_inc, atomic_read, atomic_t, embed, smp_rmb, smp_wmb, struct, unlikely

# ---- include/linux/seqschedlock.h, @@ -0,0 +1,129 @@ -------------------------------------------------------------------------
__FILE__ = "include/linux/seqschedlock.h"

SEQSCHEDLOCK_WRITER_RUNNING = 2
SEQSCHEDLOCK_WRITER_RACE = 1
SEQSCHEDLOCK_SUCCESS = 0


class seqschedlock_t(struct):
    """Both start at 0: SEQSCHEDLOCK_UNLOCKED."""
    writers = embed(atomic_t, 0)
    sequence = embed(atomic_t, 0)


# only here: if CONFIG_SMP: C has empty functions without it
def write_seqschedlock(sl):
    if not CONFIG_SMP:
        return
    atomic_inc(sl.writers)
    smp_wmb()


# only here: if CONFIG_SMP: C has empty functions without it
def write_seqschedunlock(sl):
    """`sequence` first: a section that is over is seen in one counter or the other at any time."""
    if not CONFIG_SMP:
        return
    smp_wmb()
    atomic_inc(sl.sequence)
    smp_wmb()
    atomic_dec(sl.writers)


# only here: if CONFIG_SMP: C has empty functions without it
def read_seqschedlock(sl):
    """Returns how it went, and for SUCCESS what read_seqschedunlock() wants to know (in C, through a pointer)."""
    if not CONFIG_SMP:
        return SEQSCHEDLOCK_SUCCESS, None

    sequence1 = atomic_read(sl.sequence)
    smp_rmb()
    writers = atomic_read(sl.writers)
    smp_rmb()
    sequence2 = atomic_read(sl.sequence)
    smp_rmb()

    if unlikely(writers):
        return SEQSCHEDLOCK_WRITER_RUNNING, None
    elif unlikely(sequence1 != sequence2):
        return SEQSCHEDLOCK_WRITER_RACE, None
    else:
        return SEQSCHEDLOCK_SUCCESS, sequence1


# only here: if CONFIG_SMP: C has empty functions without it
def read_seqschedunlock(sl, prev_sequence):
    """Returns how it went."""
    if not CONFIG_SMP:
        return SEQSCHEDLOCK_SUCCESS

    smp_rmb()
    writers = atomic_read(sl.writers)
    smp_rmb()
    sequence = atomic_read(sl.sequence)

    if unlikely(writers):
        return SEQSCHEDLOCK_WRITER_RUNNING
    elif unlikely(sequence != prev_sequence):
        return SEQSCHEDLOCK_WRITER_RACE
    else:
        return SEQSCHEDLOCK_SUCCESS
