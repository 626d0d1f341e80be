# SPDX-License-Identifier: MIT
"""Exploration of the programs of a scope, in a worker process."""

from __future__ import annotations

import time
from collections.abc import Callable, MutableSequence
from functools import partial
from typing import Protocol

from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import Form, program_of, text_of
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.exhaustive import Reached
from vmrace.fuzz.verify.scope_result import Result
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.incomplete import Incomplete, Reason, of_error
from vmrace.variants.family import Family
from vmrace.variants.program import Program

BATCH_SECONDS = 1.0         # after that time a worker begins no further program of its batch


class Explores(Protocol):
    """An explorer of programs; see Explorer."""

    def explore(self, program: Program, *, bound: int | None, seconds_max: float, runs_max: int) -> Exploration:
        """Run one schedule of every class, within the limits."""


Make = Callable[[Family, str], Explores]
At = MutableSequence[int]       # shared with the driver: place of a batch -> the program that is being explored
_make: Callable[[], Explores]
_explorer: Explores | None = None
_bound: int | None = None
_at: At


def begin(at: At, family: Family, variant: str, make: Make, bound: int | None) -> None:
    """Set up a new worker process."""
    global _make, _bound, _explorer, _at
    _make, _bound, _explorer, _at = partial(make, family, variant), bound, None, at


def run_batch(batch: list[tuple[int, Form]], place: int, seconds_each: float, runs_each: int) -> list[Result]:
    """Explore the programs of a batch in order, at least one, until BATCH_SECONDS have passed."""
    out: list[Result] = []
    start = time.monotonic()
    for number, form in batch:
        if out and (time.monotonic() - start > BATCH_SECONDS or stop_request.asked()):
            break
        _at[place] = number
        out.append(judge(number, form, seconds_each, runs_each))
    return out


def judge(number: int, form: Form, seconds_each: float, runs_each: int) -> Result:
    """Explore one program. If vmrace has an error, the verdict is inconclusive."""
    global _explorer
    start = time.monotonic()
    result = Result(number, text_of(form), Word.INCONCLUSIVE, budget=(seconds_each, runs_each))
    try:
        if _explorer is None:
            _explorer = _make()
        found = _explorer.explore(program_of(form), bound=_bound, seconds_max=seconds_each, runs_max=runs_each)
    except Exception as error:              # an error of vmrace
        _explorer = None
        result.why = of_error(error)
    else:
        decide(result, found)
    result.seconds = round(time.monotonic() - start, 4)
    return result


def decide(result: Result, found: Exploration) -> None:
    """Decide the verdict: BUG if a title was found, complete or not; proved if the exploration is complete; else inconclusive."""
    result.classes, result.blocked, result.digest, result.why = found.classes, found.blocked, found.digest, found.why
    result.titles = sorted({title for reached in found.outcomes if isinstance(reached, Reached) for title in reached.titles})
    if result.titles:
        result.verdict = Word.BUG
    elif found.complete and found.outcomes and all(isinstance(reached, Reached) for reached in found.outcomes):
        result.verdict = Word.PROVED
    else:
        result.verdict, result.why = Word.INCONCLUSIVE, found.why or Incomplete(Reason.NO_RUN)
    wrong = result.wrong()
    assert not wrong, wrong
