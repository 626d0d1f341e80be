# SPDX-License-Identifier: MIT
"""Hints: a reader sees what to do about each reason that a program was not explored to its end."""

from __future__ import annotations

from vmrace.harness.incomplete import Incomplete, Reason

WAIT = "A lock, a semaphore or a wait queue is waited for without a loop. This is inconclusive, and no failure."
SHARE = ("What tasks share are objects of vmrace.harness.kernel: a cell, an atomic_t, a struct whose fields name their lock; or what is "
         "in a cell, right after point(cell, RMW).")
BOUND = "What tasks make each other do over and over ends with --preemptions."
MORE = "--seconds, --for and --runs allow more."

HINTS = {
    Reason.RUNS: MORE,
    Reason.SECONDS: MORE,
    Reason.POINTS: f"A loop goes on and on, perhaps one that waits by reading. {WAIT} {BOUND}",
    Reason.YIELDS: f"A loop that yields may go on for ever: its first rounds were run. {WAIT}",
    Reason.SHARES: f"{SHARE} vmrace fuzz tells what it finds, all the same.",
    Reason.NOTHING: SHARE,
    Reason.DIED: "It was killed, or the machine had no memory left: run it again, or with fewer --workers.",
    Reason.ERROR: "This is our bug: please report it.",
}


def hint(why: Incomplete | None) -> str:
    """What to do about it, in a line, or nothing."""
    return HINTS.get(why.reason, "") if why is not None else ""


def reason_of(why: Incomplete | None) -> str | None:
    """The reason as JSON has it."""
    return why.reason.value if why is not None else None
