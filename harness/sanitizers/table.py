# SPDX-License-Identifier: MIT
"""The sanitizers there are: one line each. `checked` ones watch in checked images (a sample of runs, and every replay)."""

SANITIZERS = {
    "bug": "the kernel's own BUG, BUG_ON, WARN_ON and printk, and null pointers",
    "lifetime": "double free, use after free, allocation of a linked object",
    "refcount": "a count below zero, or raised from zero",
    "lists": "an entry added while linked, deleted while not",
    "lockdep": "lock order cycles, interrupt-unsafe locks, recursion, release by another   (checked)",
    "lockset": "a field touched without the lock it is declared under   (checked)",
    "race": "accesses to one location that nothing orders, a store and a plain one among them   (checked, several cpus)",
    "atomic_sleep": "sleeping under a spinlock, with interrupts off or in an interrupt",
    "progress": "deadlock, livelock",
    "invariant": "at rest: counts, lists, flags and owners agree",
    "leak": "at rest, after everything was given up and reclaimed: nothing is left over   (checked)",
    "data": "the user-visible model: what loads may return",
}
