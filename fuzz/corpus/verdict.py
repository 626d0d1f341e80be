# SPDX-License-Identifier: MIT
"""Verdicts: what an entry says of a variant, and what a replay or an exploration comes to.

    BUG title         the finding with that title
    proved in N       no finding in any of the N classes of schedules there are (see fuzz/run/exhaustive)
    ok in N           no finding: not by the schedule, nor in N sampled schedules of the same program
    n/a               the variant lacks an operation of the program
    DIVERGED step k   the schedule names a point this variant never comes to, though a finding was expected
    LOST              the schedule fits and the finding that was expected is gone
    FLAKY a/b         the same decisions gave different runs: our error
    inconclusive why  a budget ran out, or vmrace failed
    not run           a program of a scope that was not come to
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from vmrace.harness.finding import kind_of
from vmrace.harness.incomplete import Incomplete


class Word(Enum):
    """The words that verdicts begin with, for people and in files."""

    BUG = "BUG"
    PROVED = "proved"
    OK = "ok"
    ABSENT = "n/a"
    DIVERGED = "DIVERGED"
    LOST = "LOST"
    FLAKY = "FLAKY"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Verdict:
    """`title` of a BUG; `number`: classes that were proved, schedules that were ok, the step where one diverged, replays that agree,
    `of` so many; `why` it is inconclusive."""

    word: Word
    title: str = ""
    number: int = 0
    of: int = 0
    why: Incomplete | None = None

    @property
    def decided(self) -> bool:
        """True if it says something of the variant: neither the budget ran out nor we erred."""
        return self.word is not Word.INCONCLUSIVE

    def __str__(self) -> str:
        if self.word is Word.BUG:           # which a title may begin with itself
            return self.title if self.title.startswith("BUG ") else f"BUG {self.title}"
        if self.word in (Word.PROVED, Word.OK):
            return f"{self.word.value} in {self.number}" if self.number else self.word.value
        if self.word is Word.DIVERGED:
            return f"DIVERGED step {self.number}"
        if self.word is Word.FLAKY:
            return f"FLAKY {self.number}/{self.of}"
        return f"inconclusive {self.why}" if self.word is Word.INCONCLUSIVE else self.word.value


def bug(title: str) -> Verdict:
    """The verdict that a finding is."""
    return Verdict(Word.BUG, title)


COUNTED = re.compile(r"(proved|ok) in ([1-9][0-9]{0,11})")


def parse_verdict(text: str) -> Verdict | None:
    """A verdict that an entry may have, from its text. None if it is none: a replay can come to BUG, proved, ok and n/a only."""
    if text == Word.ABSENT.value:
        return Verdict(Word.ABSENT)
    if counted := COUNTED.fullmatch(text):
        return Verdict(Word(counted[1]), number=int(counted[2]))
    if text.startswith("BUG "):
        return next((bug(title) for title in (text, text.removeprefix("BUG ")) if kind_of(title)), None)
    return None
