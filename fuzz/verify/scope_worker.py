# SPDX-License-Identifier: MIT
"""One program of a scope, explored in a worker process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import Form, program_of, text_of
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.exhaustive import Explorer, Reached
from vmrace.fuzz.verify.scope_result import Result
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.incomplete import Incomplete, Reason, of_error
from vmrace.variants.family import Family

BATCH_SECONDS = 1.0         # ... of which it hands back those that it has not begun by then
Make = Callable[[Family, str], Any]
_family: Any = None
_variant = ""
_make: Make = Explorer
_explorer: Any = None
_bound: int | None = None
_at: Any = None             # shared with the driver: place of a batch -> the program that is being explored


def begin(at: Any, family: Family, variant: str, make: Make, bound: int | None) -> None:
    """In a new worker process."""
    global _family, _variant, _make, _bound, _explorer, _at
    _family, _variant, _make, _bound, _explorer, _at = family, variant, make, bound, None, at


def run_batch(batch: list[tuple[int, Form]], place: int, seconds_each: float, runs_each: int) -> list[Result]:
    """As many of the programs as there is time for; at least one."""
    out: list[Result] = []
    start = time.monotonic()
    for number, form in batch:
        if out and (time.monotonic() - start > BATCH_SECONDS or stop_request.asked()):
            break
        _at[place] = number
        out.append(judge(number, form, seconds_each, runs_each))
    return out


def judge(number: int, form: Form, seconds_each: float, runs_each: int) -> Result:
    """Explore one program. Whatever goes wrong on the way, it is not proved."""
    global _explorer
    start = time.monotonic()
    result = Result(number, text_of(form), Word.INCONCLUSIVE, budget=(seconds_each, runs_each))
    try:
        if _explorer is None:
            _explorer = _make(_family, _variant)
        found = _explorer.explore(program_of(form), bound=_bound, seconds_max=seconds_each, runs_max=runs_each)
    except Exception as error:              # an error of ours
        _explorer = None
        result.why = of_error(error)
    else:
        decide(result, found)
    result.seconds = round(time.monotonic() - start, 4)
    return result


def decide(result: Result, found: Exploration) -> None:
    """A finding is one however many runs are missing; proved is only what is complete and without a finding."""
    result.classes, result.blocked, result.digest, result.why = found.classes, found.blocked, found.digest, found.why
    result.titles = sorted({title for reached in found.outcomes if isinstance(reached, Reached) for title in reached.titles})
    if result.titles:
        result.verdict = Word.BUG
    elif found.complete and found.outcomes and all(isinstance(reached, Reached) for reached in found.outcomes):
        result.verdict = Word.PROVED
    else:
        result.verdict, result.why = Word.INCONCLUSIVE, found.why or Incomplete(Reason.NO_RUN)
