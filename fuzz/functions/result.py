# SPDX-License-Identifier: MIT
"""The result of sampling a program of plain functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vmrace.fuzz.sampling.portfolio import Tally
from vmrace.harness.incomplete import Incomplete
from vmrace.harness.printable import printable
from vmrace.harness.replay.named_schedule import Line


@dataclass
class Failure:
    """A failure: the run that showed its title first, and its schedule with the fewest preemptions. `minimal` says what is proved."""

    title: str
    run: int
    seconds: float
    scheduler: str
    before: int
    switches: Sequence[int]
    forced: Sequence[int]
    shrink_runs: int = 0
    least_proved: bool = False
    minimal: str = ""
    schedule: tuple[Line, ...] = ()
    digest: str = ""
    story: list[str] = field(default_factory=list)

    @property
    def preemptions(self) -> int:
        return len(self.switches) // 2


@dataclass
class Sampled:
    """The result of sampling.

    With `why`, the program does not repeat its runs, and none of the failures counts. With `unseen`, some accesses were no points, so
    the absence of findings shows nothing. `unconfirmed` has failures that an error of vmrace kept from being confirmed, each with that
    error.
    """

    program: str
    seed: int
    runs: int = 0
    distinct: int = 0
    limit_runs: int = 0
    seconds: float = 0.0
    titles: dict[str, int] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    unconfirmed: list[tuple[Failure, str]] = field(default_factory=list)
    why: Incomplete | None = None
    unseen: Incomplete | None = None
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """True if schedules were sampled, and nothing was found."""
        return bool(self.runs) and not (self.titles or self.why or self.unseen)

    @property
    def story(self) -> str:
        """Everything that is known of the failures, as text for people."""
        lines = [*(str(one) for one in (self.why, self.unseen) if one),
                 *(line for failure in self.failures for line in ("", failure.title, *failure.story))]
        return "\n".join(map(printable, lines)).strip()
