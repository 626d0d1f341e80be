# SPDX-License-Identifier: MIT
"""filesystem(n): n tasks each allocate a block for an inode; 32 inodes, 26 blocks, a lock for each.

Flanagan and Godefroid, "Dynamic Partial-Order Reduction for Model Checking Software" (POPL 2005), figure 1.
2, 8, 32, 64 inequivalent schedules for n = 14, 16, 18, 19.
"""

from vmrace.harness.functions.program import Program
from vmrace.harness.kernel import embed, guarded, spin_lock, spin_unlock, spinlock_t, struct

INODES, BLOCKS = 32, 26


class inode_t(struct):
    lock = embed(spinlock_t)
    block = guarded(0, ".lock")


class block_t(struct):
    lock = embed(spinlock_t)
    busy = guarded(False, ".lock")


def make(n=14):
    inode = [inode_t(f"inode[{i}]") for i in range(INODES)]
    block = [block_t(f"block[{b}]") for b in range(BLOCKS)]

    def task(tid):
        def allocate():
            i = tid % INODES
            spin_lock(inode[i].lock)
            if inode[i].block == 0:
                b = i * 2 % BLOCKS
                while True:
                    spin_lock(block[b].lock)
                    if not block[b].busy:
                        block[b].busy = True
                        inode[i].block = b + 1
                        spin_unlock(block[b].lock)
                        break
                    spin_unlock(block[b].lock)
                    b = (b + 1) % BLOCKS
            spin_unlock(inode[i].lock)
        return allocate

    return Program([task(tid) for tid in range(n)])
