# SPDX-License-Identifier: MIT
"""Why a program was not explored to its end: what that means, and what a reader can do about it.

Reasons are texts, told by who explores (harness/explore) or by who runs it (fuzz/scope); here is what follows from each.
"""

from __future__ import annotations

WAIT = "A lock, a semaphore or a wait queue is waited for without a loop. This is inconclusive, and no failure."
SHARE = ("What tasks share are objects of harness.kernel: a cell, an atomic_t, a struct whose fields name their lock; or what is in a "
         "cell, right after point(cell, RMW).")
BOUND = "What tasks make each other do over and over ends with --preemptions."
LOST = "It was killed, or the machine had no memory left: run it again, or with fewer --workers."
OURS = "This is our bug: please report it."

# a part of the reason -> the hint, and whether something broke: then what was found stays, but nothing counts as success
REASONS = {
    "a run of more than": (f"A loop goes on and on, perhaps one that waits by reading. {WAIT} {BOUND}", False),
    "share plain data": (f"{SHARE} vmrace fuzz tells what it finds, all the same.", False),
    "nothing was explored": (SHARE, False),
    "yields more than": (f"A loop that yields may go on for ever: its first rounds were run. {WAIT}", False),
    "not enough": ("--seconds, --for and --runs allow more.", False),
    "worker process was lost": (LOST, True),
    "worker process died": (LOST, True),
    "an error of ours": (OURS, True),
}


def of(error: Exception) -> str:
    """An error of ours as a reason, in one line."""
    return f"an error of ours: {type(error).__name__}: {str(error).partition(chr(10))[0]}".rstrip(": ")


def hint(why: str) -> str:
    """What to do about it, in a line, or nothing."""
    return next((text for part, (text, _) in REASONS.items() if part in why), "")


def broke(why: str) -> bool:
    """Whether a process was lost or we erred: the rest may hold anything."""
    return any(part in why for part, (_, broken) in REASONS.items() if broken)
