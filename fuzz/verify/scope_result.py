# SPDX-License-Identifier: MIT
"""The result of one program of a scope."""

from __future__ import annotations

from typing import Annotated

import msgspec
from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.text.wording import count
from vmrace.harness.incomplete import Incomplete

Count = Annotated[int, msgspec.Meta(ge=0)]
Title = Annotated[str, msgspec.Meta(min_length=1)]


class Result(msgspec.Struct, forbid_unknown_fields=True):
    """The verdict on one program of a scope, with its counts. `number` is its place in the list of programs; `budget` holds the
    seconds and the runs that it was allowed."""

    number: Count
    program: str
    verdict: Word
    titles: list[Title] = []
    why: Incomplete | None = None
    classes: Count = 0
    blocked: Count = 0
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    digest: str = ""
    budget: tuple[float, int] = (0.0, 0)

    def wrong(self) -> str:
        """Name the fields that contradict each other, in one line, or return an empty text."""
        if self.verdict not in (Word.PROVED, Word.BUG, Word.INCONCLUSIVE):
            return f"verdict: {self.verdict.value} is not a verdict on a program"
        if bool(self.titles) != (self.verdict is Word.BUG):
            return f"titles: {self.verdict.value} with {count(len(self.titles), 'title')}"
        return "why: inconclusive without a reason" if self.verdict is Word.INCONCLUSIVE and not self.why else ""
