# SPDX-License-Identifier: MIT
"""The mistake that the order of read_seqschedunlock() avoids: neither of its two loads sees a section between them."""
from vmrace.harness.kernel import atomic_read


def read_seqschedunlock(sl, prev_sequence):
    sequence = atomic_read(sl.sequence)
    writers = atomic_read(sl.writers)
    return 2 if writers else int(sequence != prev_sequence)
