# SPDX-License-Identifier: MIT
"""Hints: for each reason that an exploration is not complete, a sentence on what the user can do."""

from __future__ import annotations

from vmrace.harness.incomplete import Incomplete, Reason

WAIT = "Wait with a lock, a semaphore or a wait queue instead of a loop. The verdict is inconclusive; no failure was seen."
SHARE = ("Tasks must share objects of vmrace.harness.kernel: a cell, an atomic_t, a struct whose fields name their lock; or the value "
         "inside a cell, right after point(cell, RMW).")
BOUND = "If tasks keep making each other repeat their work, --preemptions N bounds that."
MORE = "Allow more with --for-each, --for or --runs-each."

HINTS = {
    Reason.RUNS: MORE,
    Reason.SECONDS: MORE,
    Reason.POINTS: f"A loop does not end; perhaps it waits by reading. {WAIT} {BOUND}",
    Reason.YIELDS: f"A loop that yields may never end: only its first rounds were run. {WAIT}",
    Reason.REPEATS: "The program must make the same run from the same decisions: no random numbers, no time, no ids in what it compares.",
    Reason.HIDDEN: "A later run could start where an earlier one ended. Make the object in a task, or use a list, a dict or a number.",
    Reason.UNSEEN: f"Tasks order actions that are no points, such as writes to a file or to data that vmrace does not follow. {SHARE}",
    Reason.ENDS: f"A loop counts its rounds where vmrace cannot see it. {WAIT}",
    Reason.NO_RUN: "Look for the failure that ends each run with vmrace fuzz, and mend it first.",
    Reason.SHARES: f"{SHARE} vmrace fuzz still reports the failures that it finds.",
    Reason.NOTHING: SHARE,
    Reason.DIED: "The process was killed, or memory ran out: run the command again, perhaps with fewer --workers.",
    Reason.ERROR: "This is a bug of vmrace: please report it.",
}


def hint(why: Incomplete | None) -> str:
    """Return a hint on the reason, or an empty text."""
    return HINTS.get(why.reason, "") if why is not None else ""
