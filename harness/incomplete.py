# SPDX-License-Identifier: MIT
"""Why something says nothing of every schedule: a reason, which code can ask for, and the sentence that is made of it.

Files keep the reason, its amount and its detail; sentences are made here and are read by people only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """The kinds of reason. The values stand in files."""

    RUNS = "runs"               # the budget of runs ran out
    SECONDS = "seconds"         # the budget of time ran out
    POINTS = "points"           # a run was longer than an explorer follows
    YIELDS = "yields"           # tasks yield more often than an explorer follows
    REPEATS = "repeats"         # the same decisions gave different runs
    SHARES = "shares"           # tasks share plain data
    UNSEEN = "unseen"           # the order of what no point says matters
    ENDS = "ends"               # a loop that was taken to wait does not
    NOTHING = "nothing"         # there was no point, so no schedule
    NO_RUN = "no run"           # no run came to its end
    ERROR = "error"             # vmrace itself failed
    DIED = "died"               # a worker process died

    @property
    def broke(self) -> bool:
        """True if a process was lost or we erred, so that what is missing may hold anything."""
        return self in (Reason.ERROR, Reason.DIED)

    @property
    def budget(self) -> bool:
        """True if more runs or more time may decide it."""
        return self in (Reason.RUNS, Reason.SECONDS)


@dataclass(frozen=True)
class Incomplete:
    """A reason. `amount`: of runs, seconds, points, classes, or yields; `detail`: what an error says, or which data it is."""

    reason: Reason
    amount: float = 0
    detail: str = ""

    def __str__(self) -> str:
        one = self.amount == 1
        return {
            Reason.RUNS: f"{self.amount:,.0f} run{' was' if one else 's were'} not enough",
            Reason.SECONDS: f"{self.amount:g} s were not enough",
            Reason.POINTS: f"a run of more than {self.amount:,.0f} points",
            Reason.YIELDS: f"{self.amount:,.0f} class{'' if one else 'es'} of runs in which a task yields more than {self.detail} times: "
                           "not followed further",
            Reason.REPEATS: f"the program is not a function of its schedule: {self.detail}",
            Reason.SHARES: f"its tasks share plain data: {self.detail}",
            Reason.UNSEEN: f"its tasks share what is no object of vmrace.harness.kernel, or change what they only read: {self.detail}",
            Reason.ENDS: f"a loop that seems to wait by reading ends by itself: {self.detail}",
            Reason.NOTHING: "nothing was explored: no task comes to a point, so nothing of it can be seen",
            Reason.NO_RUN: "no run came to its end",
            Reason.ERROR: f"an error of ours: {self.detail}",
            Reason.DIED: "its worker process died twice",
        }[self.reason]


def broke(why: Incomplete | None) -> bool:
    """True if a process was lost or we erred: the rest may hold anything."""
    return why is not None and why.reason.broke


def of_error(error: Exception) -> Incomplete:
    """An error of ours, in one line."""
    return Incomplete(Reason.ERROR, detail=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}".rstrip(": "))
