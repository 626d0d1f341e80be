# SPDX-License-Identifier: MIT
"""The sanitizers there are: one line each. `checked` ones watch in checked images (a sample of runs, and every replay).

Which of them are off where is said here, and nowhere else: whoever tells a verdict takes it from `told` or `on`.
"""

SANITIZERS = {
    "bug": "the kernel's own BUG, BUG_ON, WARN_ON and printk, and null pointers",
    "lifetime": "double free, use after free, allocation of a linked object",
    "refcount": "a count below zero, or raised from zero",
    "lists": "an entry added while linked, deleted while not",
    "lockdep": "lock order cycles, interrupt-unsafe locks, recursion, release by another   (checked)",
    "lockset": "a field or a list touched without the lock it is declared under   (checked)",
    "race": "accesses to one location that nothing orders, a store and a plain one among them   (checked, several cpus)",
    "atomic_sleep": "sleeping under a spinlock, with interrupts off or in an interrupt",
    "progress": "deadlock, livelock",
    "invariant": "at rest: counts, lists, flags and owners agree",
    "leak": "at rest, after everything was given up and reclaimed: nothing is left over   (checked)",
    "data": "the user-visible model: what loads may return",
}

OFF = {
    "entry": ("race", "leak"),                                  # verify: these look at single runs; replay and campaigns have them
    "scope": ("race", "leak"),
    "functions": ("race", "invariant", "leak", "data"),         # the last three are a family's; here the program's check is in their place
}


def on(where: str) -> list[str]:
    """The sanitizers that watch there: `where` is a key of OFF."""
    return [name for name in SANITIZERS if name not in OFF[where]]


def told(where: str) -> str:
    """How many watch there, and which do not."""
    return f"{len(on(where))} of {len(SANITIZERS)} sanitizers (off: {', '.join(OFF[where])})"
