# SPDX-License-Identifier: MIT
"""indexer(n): n tasks each insert 4 messages into a hash table of 128 entries by compare-and-swap.

Flanagan and Godefroid, "Dynamic Partial-Order Reduction for Model Checking Software" (POPL 2005), section 5.
8, 64, 512 inequivalent schedules for n = 12, 13, 14.
"""

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel import atomic_t, cmpxchg

SIZE, MESSAGES = 128, 4


def make(n=12):
    table = [atomic_t(f"table[{i}]") for i in range(SIZE)]

    def task(tid):
        def insert():
            for message in range(1, MESSAGES + 1):
                w = message * 11 + tid
                h = w * 7 % SIZE
                while cmpxchg(table[h], 0, w) != 0:
                    h = (h + 1) % SIZE
        return insert

    return Program([task(tid) for tid in range(n)])
