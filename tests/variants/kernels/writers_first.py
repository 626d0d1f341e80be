# SPDX-License-Identifier: MIT
"""The slip that the order of write_seqschedunlock() avoids: for a moment neither counter tells of the section."""
from vmrace.harness.kernel import atomic_dec, atomic_inc


def write_seqschedunlock(sl):
    atomic_dec(sl.writers)
    atomic_inc(sl.sequence)
