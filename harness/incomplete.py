# SPDX-License-Identifier: MIT
"""The reason why an exploration did not cover every schedule, and the sentence that a person reads.

Files keep the reason, its amount and its detail. The sentences are made here, and no code parses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reason(Enum):
    """The kinds of reason. The values are written to files."""

    RUNS = "runs"               # the budget of runs ran out
    SECONDS = "seconds"         # the budget of time ran out
    POINTS = "points"           # a run has more points than an explorer follows
    YIELDS = "yields"           # a task yields more often than an explorer follows
    REPEATS = "repeats"         # the same decisions gave different runs
    SHARES = "shares"           # tasks share plain data
    HIDDEN = "hidden"           # an object may keep something from run to run
    UNSEEN = "unseen"           # the order of actions that are no points matters
    ENDS = "ends"               # a loop that was taken for waiting ends by itself
    NOTHING = "nothing"         # no task reached a point, so there is only one schedule
    NO_RUN = "no run"           # no run reached its end
    ERROR = "error"             # vmrace itself failed
    DIED = "died"               # a worker process died

    @property
    def broke(self) -> bool:
        """True if vmrace failed or a worker process died. The schedules that were not run may then contain any finding."""
        return self in (Reason.ERROR, Reason.DIED)

    @property
    def budget(self) -> bool:
        """True if more runs or more time may be enough."""
        return self in (Reason.RUNS, Reason.SECONDS)


@dataclass(frozen=True)
class Incomplete:
    """A reason with its facts. `amount` is a number of runs, seconds, points or classes of schedules, by the reason.

    `detail` is the message of an error, the name of the data, or, for YIELDS, the number of yields.
    """

    reason: Reason
    amount: float = 0
    detail: str = ""

    def __str__(self) -> str:
        one = self.amount == 1
        return {
            Reason.RUNS: f"{self.amount:,.0f} run{' was' if one else 's were'} not enough",
            Reason.SECONDS: f"{self.amount:g} s were not enough",
            Reason.POINTS: f"a run has more than {self.amount:,.0f} points",
            Reason.YIELDS: f"{self.amount:,.0f} class{'' if one else 'es'} of schedules in which a task yields more than {self.detail} "
                           "times: not followed further",
            Reason.REPEATS: f"the program is not a function of its schedule: {self.detail}",
            Reason.SHARES: f"its tasks share plain data: {self.detail}",
            Reason.HIDDEN: f"its functions reach an object that could not be put back between runs: {self.detail}",
            Reason.UNSEEN: "it depends on the order of actions that are no points, such as a use of data that is no object of "
                           f"vmrace.harness.kernel: {self.detail}",
            Reason.ENDS: f"a loop that seemed to wait for another task ends by itself: {self.detail}",
            Reason.NOTHING: "nothing was explored: no task reaches a point, so there is only one schedule",
            Reason.NO_RUN: "no run reached its end",
            Reason.ERROR: f"an error of vmrace: {self.detail}",
            Reason.DIED: "its worker process died twice",
        }[self.reason]


def broke(why: Incomplete | None) -> bool:
    """True if `why` says that vmrace failed or a worker process died; see Reason.broke."""
    return why is not None and why.reason.broke


def of_error(error: Exception) -> Incomplete:
    """Return the reason ERROR for an exception of vmrace; the detail is its type and the first line of its message."""
    return Incomplete(Reason.ERROR, detail=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}".rstrip(": "))
