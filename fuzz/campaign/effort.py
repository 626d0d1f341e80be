# SPDX-License-Identifier: MIT
"""The effort for one program: it is explored in rounds of ROUND runs, as long as a round is worth more than one on another program.

A campaign lacks the right program more often than the right schedule. Nine in ten of 4,000 runs of one program are of a class that an
earlier run had. With a fixed number of about 200 runs for each program, campaigns needed up to ten times as many runs to a known race.

The share of runs with a new class in the last two rounds estimates the share of schedules whose class is not seen yet (Good and Turing).
A program is left if this share is below LEAST, or below SHARE of what the first two rounds of programs have yielded in this campaign.
A new block of kernel source or a kept run is worth more rounds.

More rounds do not find more for each run: on programs of 26 entries, explorations of 40, 70 and 125 runs need 473, 453 and 505 runs for
each hit (geometric means, replays not counted, at the beginning of a campaign). Other schedules do: see portfolio.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ROUND = 8                   # runs
ROUNDS = 4                  # of a program that shows nothing new
ROUNDS_MAX = 12
ROUNDS_BLOCK = 2            # more rounds after a new block
ROUNDS_KEPT = 1             # more rounds after a kept run
LEAST = 0.2                 # runs with a new class, of all runs of two rounds
SHARE = 0.5                 # of the mean of the campaign
WINDOW = 2                  # rounds


@dataclass
class Yields:
    """The yield of the first rounds of programs: runs, and those of a new class. It begins with the usual yield of programs."""

    runs: int = 160
    new: int = 80

    @property
    def least(self) -> float:
        """The least share of runs with a new class for which a program is explored on."""
        return max(LEAST, SHARE * self.new / self.runs)


@dataclass
class Effort:
    """The effort for the program that is explored now. `least`: see Yields."""

    least: float
    new: list[int] = field(default_factory=list)        # of each round: its runs of a new class
    rounds: int = ROUNDS
    exhausted: bool = False                             # every class was run

    def add(self, new: int, block: bool, kept: bool) -> None:
        """Count a round with `new` runs of a new class. `block`: it reached a new block; `kept`: a run of it is kept."""
        self.new.append(new)
        more = ROUNDS_BLOCK if block else ROUNDS_KEPT if kept else 0
        self.rounds = min(ROUNDS_MAX, max(self.rounds, len(self.new) + more))

    @property
    def spent(self) -> bool:
        """True if few of the program's classes are left to be seen."""
        last = self.new[-WINDOW:]
        return self.exhausted or sum(last) < self.least * ROUND * len(last)

    @property
    def over(self) -> bool:
        """True if the program is to be left."""
        return len(self.new) >= self.rounds or self.spent

    def first(self) -> tuple[int, int]:
        """Return the runs of the first rounds, and those of a new class."""
        return (0, 0) if self.exhausted else (ROUND * len(self.new[:WINDOW]), sum(self.new[:WINDOW]))
