# SPDX-License-Identifier: MIT
"""filesystem(n): n tasks each allocate a block for an inode; 32 inodes, 26 blocks, a lock for each.

Flanagan and Godefroid, "Dynamic Partial-Order Reduction for Model Checking Software" (POPL 2005), figure 1.
2, 8, 32, 64 inequivalent schedules for n = 14, 16, 18, 19.
"""

from harness.kernel import spin_lock, spin_unlock, spinlock_t
from harness.program import Program

INODES, BLOCKS = 32, 26


def make(n=14):
    locki = [spinlock_t(f"locki[{i}]", cls="locki") for i in range(INODES)]
    lockb = [spinlock_t(f"lockb[{b}]", cls="lockb") for b in range(BLOCKS)]
    inode = [0] * INODES
    busy = [False] * BLOCKS

    def task(tid):
        def allocate():
            i = tid % INODES
            spin_lock(locki[i])
            if inode[i] == 0:
                b = i * 2 % BLOCKS
                while True:
                    spin_lock(lockb[b])
                    if not busy[b]:
                        busy[b] = True
                        inode[i] = b + 1
                        spin_unlock(lockb[b])
                        break
                    spin_unlock(lockb[b])
                    b = (b + 1) % BLOCKS
            spin_unlock(locki[i])
        return allocate

    return Program([task(tid) for tid in range(n)])
