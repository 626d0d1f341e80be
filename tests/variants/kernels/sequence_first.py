# SPDX-License-Identifier: MIT
"""The slip that the order of read_seqschedunlock() avoids: a section between its two loads is in neither of them."""
from vmrace.harness.kernel import atomic_read


def read_seqschedunlock(sl, prev_sequence):
    sequence = atomic_read(sl.sequence)
    writers = atomic_read(sl.writers)
    return 2 if writers else int(sequence != prev_sequence)
