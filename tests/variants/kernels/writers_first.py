# SPDX-License-Identifier: MIT
"""The mistake that the order of write_seqschedunlock() avoids: for a moment neither counter shows the section."""
from vmrace.harness.kernel import atomic_dec, atomic_inc


def write_seqschedunlock(sl):
    atomic_dec(sl.writers)
    atomic_inc(sl.sequence)
