# SPDX-License-Identifier: MIT
"""Verdicts: what an entry says of a variant, and what a replay or an exploration finds.

    BUG title         the finding with that title
    proved in N       every class of schedules was run, N of them, and none has a finding (see fuzz/run/exhaustive)
    ok in N           no finding: not by the schedule, nor in N sampled schedules of the same program
    n/a               the variant lacks an operation of the program
    DIVERGED step k   the schedule names a point that this variant does not reach, though a finding was expected
    LOST              the schedule fits, and the finding that was expected is gone
    FLAKY a/b         the same decisions gave different runs: our error
    inconclusive why  not every class of schedules was run, or what was run does not count (see harness/incomplete.py)
    not run           a program of a scope that was not run
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
    """A verdict. `title` of a BUG. `number`: the classes that were proved, the schedules that were ok, the step that diverged, or the
    replays that agree, of `of` replays. `why` it is inconclusive."""

    word: Word
    title: str = ""
    number: int = 0
    of: int = 0
    why: Incomplete | None = None

    def __post_init__(self) -> None:
        assert bool(self.title) == (self.word is Word.BUG), (self.word, self.title)
        assert self.number >= 0, self.number

    @property
    def decided(self) -> bool:
        """True if it says something of the variant: no budget ran out, and we did not err."""
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
    """Return the verdict of a finding."""
    return Verdict(Word.BUG, title)


COUNTED = re.compile(r"(proved|ok) in ([1-9][0-9]{0,11})")


def parse_verdict(text: str) -> Verdict | None:
    """Read a verdict of an entry from its text. None if the text is none; an entry may have BUG, proved, ok and n/a only."""
    if text == Word.ABSENT.value:
        return Verdict(Word.ABSENT)
    if counted := COUNTED.fullmatch(text):
        return Verdict(Word(counted[1]), number=int(counted[2]))
    if text.startswith("BUG "):
        return next((bug(title) for title in (text, text.removeprefix("BUG ")) if kind_of(title)), None)
    return None
