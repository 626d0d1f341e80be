# SPDX-License-Identifier: MIT
"""The exploration of every program of a scope on worker processes.

The programs run in a fixed random order: at any time, the finished ones are a fair sample of the others.
"""

from __future__ import annotations

import math
import multiprocessing
import pathlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import Form, text_of
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.state_file import Unwritable
from vmrace.fuzz.run.workers import Erred, Job, Lost, Workers
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.times import GRACE_SECONDS
from vmrace.fuzz.verify.scope_result import Result
from vmrace.fuzz.verify.scope_state import State
from vmrace.fuzz.verify.scope_worker import BATCH_SECONDS, Make, begin, run_batch
from vmrace.harness import stop
from vmrace.harness.incomplete import Incomplete, Reason, broke
from vmrace.variants.family import Family

BATCH = 64                  # the most programs in a worker's batch; it returns those that it has not begun after BATCH_SECONDS


@dataclass
class Left:
    """An estimate of the remaining time, in seconds, from `low` to `high`: 95 % if the times were normal, but they have a long tail."""

    low: float
    middle: float
    high: float


def left(seconds: Sequence[float], count: int, workers: int) -> Left | None:
    """Estimate the time for `count` more programs on `workers` workers, from the `seconds` that a random sample of programs took. None
    for fewer than ten."""
    if len(seconds) < 10:
        return None
    mean = sum(seconds) / len(seconds)
    variance = sum((one - mean) ** 2 for one in seconds) / (len(seconds) - 1)
    # two errors add up: that of the sample's mean, and that of the sum of the remaining times
    error = 1.96 * math.sqrt(variance * (count * count / len(seconds) + count))
    lowest = max(0.0, count * mean - error)
    return Left(lowest / workers, count * mean / workers, (count * mean + error) / workers)


@dataclass(frozen=True)
class ScopeOptions:
    """The options of a proof of a scope.

    `seconds_each` and `runs_each` limit each program, `seconds_max` the whole proof. `state` is the state file, None for one in .vmrace/.
    `into` is a document whose table of scopes gets a row (see scope_document.py).
    """

    workers: int = 2
    seconds_each: float = 60.0
    runs_each: int = 1 << 60
    seconds_max: float = 1e9
    state: pathlib.Path | None = None
    into: pathlib.Path | None = None
    as_json: bool = False


class Proof:
    """The exploration of all programs of a scope on worker processes. `tell` is called with the proof, again and again, for progress."""

    def __init__(self, family: Family, variant: str, forms: list[Form], state: State, options: ScopeOptions,
                 tell: Callable[[Proof], None], make: Make, bound: int | None = None):
        self.forms, self.state, self.tell = forms, state, tell
        self.workers, self.seconds_each, self.runs_each = options.workers, options.seconds_each, options.runs_each
        self.seconds_max = options.seconds_max
        self.before = sum(not self._again(result) for result in state.results.values())
        order = list(range(len(forms)))
        random.Random(0).shuffle(order)
        self.queue = [number for number in reversed(order) if number not in state.results or self._again(state.results[number])]
        self.jobs: dict[Job, tuple[int, list[int]]] = {}        # -> its place in `at`, its programs
        self.died: set[int] = set()             # programs during which a worker died
        self.at = multiprocessing.get_context("fork").RawArray("q", self.workers)
        self.pool = Workers(self.workers, begin, (self.at, family, variant, make, bound))
        self.lost = 0                           # worker processes that died
        self.ours: list[float] = []             # the seconds of each program explored by this process, not by an earlier one
        self.started = self.last = time.monotonic()

    def _again(self, result: Result) -> bool:
        """True if a program must be explored again: it was inconclusive, and a worker died, vmrace erred, or the budget is larger now."""
        if result.verdict is not Word.INCONCLUSIVE:
            return False
        if broke(result.why):
            return True
        now, then = (self.seconds_each, self.runs_each), result.budget
        return result.why is not None and result.why.reason.budget and now != then and now[0] >= then[0] and now[1] >= then[1]

    @property
    def seconds(self) -> float:
        """The time since the start, in seconds."""
        return time.monotonic() - self.started

    @property
    def to_do(self) -> int:
        """The number of programs without a result."""
        return len(self.queue) + sum(len(numbers) for _, numbers in self.jobs.values())

    def estimate(self) -> Left | None:
        """Estimate the remaining time. None if the current programs take longer than any before, as those are no sample of them."""
        if self.ours and time.monotonic() - self.last > max(self.ours) + BATCH_SECONDS:
            return None
        return left(self.ours, self.to_do, self.workers)

    def verify_all(self) -> str:
        """Explore all programs, until the time is up or a stop is requested. Returns the error that ended it early, or an empty text."""
        with stop_request.at_once(self.pool.kill):
            try:
                self._drive()
            except Unwritable as error:
                return str(error)
            except OSError as error:
                return f"no worker process can be started: {writing.why(error)}"
            finally:
                self.pool.stop()
        return ""

    def _drive(self) -> None:
        while self.to_do and self.seconds < self.seconds_max and not stop.asked():
            self._fill()
            for job in self.pool.done(min(0.3, max(0.0, self.seconds_max - self.seconds))):
                self._done(job, *self.jobs.pop(job))
            self.tell(self)

    def _fill(self) -> None:
        while len(self.jobs) < self.workers and self.queue:
            try:
                self._submit()
            except OSError:             # the system has no process or file descriptor left: go on with the workers there are
                if not self.jobs:
                    raise
                return

    def _submit(self) -> None:
        size = min(BATCH, max(1, len(self.queue) // (2 * self.workers)), len(self.queue))
        numbers = self.queue[-size:][::-1]
        place = next(place for place in range(self.workers) if all(place != taken for taken, _ in self.jobs.values()))
        self.at[place] = numbers[0]
        batch = [(number, self.forms[number]) for number in numbers]
        job = self.pool.give(run_batch, [batch, place, self.seconds_each, self.runs_each],
                             min(BATCH_SECONDS + self.seconds_each + GRACE_SECONDS, 1e6))
        del self.queue[-size:]
        self.jobs[job] = place, numbers

    def _done(self, job: Job, place: int, numbers: list[int]) -> None:
        try:
            results: list[Result] = job.result()
        except (Lost, Erred):
            self._died(self.at[place], numbers)
            return
        self.last = time.monotonic()
        assert results, f"a batch of {len(numbers)} programs has no result"
        for number, result in zip(numbers, results):
            assert result.number == number, f"a result of program {result.number} for program {number}"
            self.state.add(result)
            self.ours.append(result.seconds)
        self.queue += reversed(numbers[len(results):])

    def _died(self, at: int, numbers: list[int]) -> None:
        """Queue the programs of a worker that died. The program `at` which it died is run again once, then it is inconclusive."""
        assert at in numbers, f"program {at} died in a batch of {numbers}: it would be called inconclusive without being run"
        self.lost += 1
        if at in self.died:
            numbers = [number for number in numbers if number != at]
            budget = (self.seconds_each, self.runs_each)
            self.state.add(Result(at, text_of(self.forms[at]), Word.INCONCLUSIVE, why=Incomplete(Reason.DIED), budget=budget))
        self.died.add(at)
        self.queue += reversed(numbers)
