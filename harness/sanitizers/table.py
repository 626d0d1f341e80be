# SPDX-License-Identifier: MIT
"""The table of sanitizers, one line each. The list of a verdict, the count in messages, and the documents are derived from it.

The line also says where a sanitizer watches, and nothing else does. A sanitizer needs no other registration: primitives of the toolkit
(or, at rest, the executor) call the functions of its module. `tests/canaries` requires for each line a kernel that trips it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """The runs that a sanitizer watches."""

    ALWAYS = "every run"
    CHECKED = "runs of checked images: a sample of a campaign's, every replay, every exploration"
    SINGLE = "single runs: a sample of a campaign's, and every replay; no exploration"


@dataclass(frozen=True)
class Sanitizer:
    """One sanitizer: `reports` in one sentence, the `module` that makes the check, the runs that it watches.

    `by_family`: a family's own check judges the run, so programs of plain functions do not have it; their check takes its place.
    """

    reports: str
    module: str
    level: Level
    by_family: bool = False


SANITIZERS = {
    "bug": Sanitizer("the kernel's own BUG, BUG_ON, WARN_ON and printk, and null pointers", "harness.kernel.bug", Level.ALWAYS),
    "lifetime": Sanitizer("double free, use after free, allocation of a linked object", "harness.sanitizers.lifetime", Level.ALWAYS),
    "refcount": Sanitizer("a count of references below zero, or raised from zero", "harness.sanitizers.refcount", Level.ALWAYS),
    "lists": Sanitizer("an entry added while it is linked, or deleted while it is not", "harness.sanitizers.lists", Level.ALWAYS),
    "lockdep": Sanitizer("cycles in the order of locks, locks unsafe in interrupts, recursion, release by another task",
                         "harness.sanitizers.lockdep", Level.CHECKED),
    "lockset": Sanitizer("a field or a list touched without the lock it is declared under", "harness.sanitizers.lockset", Level.CHECKED),
    "race": Sanitizer("accesses to one location that nothing orders, a store and a plain one among them (several cpus)",
                      "harness.watchers.race", Level.SINGLE),
    "atomic_sleep": Sanitizer("sleep under a spinlock, with interrupts off or in an interrupt", "harness.sanitizers.atomic_sleep",
                              Level.ALWAYS),
    "progress": Sanitizer("deadlock, livelock", "harness.machine.stuck", Level.ALWAYS),
    "invariant": Sanitizer("at rest, counts, lists, flags and owners do not agree", "variants.family", Level.ALWAYS, by_family=True),
    "quiet": Sanitizer("the same, while no task is in an operation and no interrupt is pending", "variants.family", Level.SINGLE,
                       by_family=True),
    "leak": Sanitizer("at rest, an object is left over after all were released and reclaimed", "variants.family", Level.SINGLE,
                      by_family=True),
    "data": Sanitizer("a load returned a value that the user-visible model forbids", "variants.user_model", Level.ALWAYS, by_family=True),
    "user": Sanitizer("an operation failed, and its user had given no cause", "variants.user_model", Level.ALWAYS, by_family=True),
}


def on(subject: str) -> list[str]:
    """Return the sanitizers that watch an exploration of `subject`: "entry" or "scope" (of a family), or "functions"."""
    assert subject in ("entry", "scope", "functions"), subject
    return [name for name, one in SANITIZERS.items()
            if one.level is not Level.SINGLE and not (one.by_family and subject == "functions")]


def summary(subject: str) -> str:
    """Return the number of sanitizers that watch an exploration of `subject`, and the names of the others."""
    watching = on(subject)
    off = [name for name in SANITIZERS if name not in watching]
    return f"{len(watching)} of {len(SANITIZERS)} sanitizers (off: {', '.join(off)})"
