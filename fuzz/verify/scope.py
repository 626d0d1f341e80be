# SPDX-License-Identifier: MIT
"""`vmrace verify VARIANT --ops 3 --cpus 2`: every program of a small scope, each explored to the end. A table of verdicts.

A scope is proved if every program of it is; a program whose worker died, which took too long or met an error of ours is
inconclusive, and so is the scope. A state file has the results so far (scope_state.py), so that a killed proof goes on where it
was. Programs run in a random order (always the
same), so that at any time what is done is a fair sample of what is left.
"""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import pathlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import Form, Scope, ScopeError, text_of
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.exhaustive import Explorer
from vmrace.fuzz.run.workers import Erred, Job, Lost, Workers
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.exit_codes import COULD_NOT, INTERRUPTED, USAGE
from vmrace.fuzz.text.terminal import working
from vmrace.fuzz.text.times import GRACE_SECONDS
from vmrace.fuzz.text.wording import are, count
from vmrace.fuzz.verify import scope_document
from vmrace.fuzz.verify.scope_report import Meter, Said, Table, stated
from vmrace.fuzz.verify.scope_result import Result
from vmrace.fuzz.verify.scope_state import State, StateError, Unwritable, default_state, header
from vmrace.fuzz.verify.scope_worker import BATCH_SECONDS, Make, begin, run_batch
from vmrace.harness import stop
from vmrace.harness.incomplete import Incomplete, Reason, broke
from vmrace.variants.family import Family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.spelling import did_you_mean

BATCH = 64                  # programs that a worker is handed at once ...


@dataclass
class Left:
    """An estimate: the seconds that what is left takes, from `low` to `high` (95 % if times were normal; they have a long tail)."""

    low: float
    middle: float
    high: float


def left(seconds: Sequence[float], count: int, workers: int) -> Left | None:
    """From the times of the programs so far, which are a random sample. None while there are too few to say."""
    if len(seconds) < 10:
        return None
    mean = sum(seconds) / len(seconds)
    variance = sum((one - mean) ** 2 for one in seconds) / (len(seconds) - 1)
    # the mean of the sample errs, and so does the sum of those to come
    error = 1.96 * math.sqrt(variance * (count * count / len(seconds) + count))
    lowest = max(0.0, count * mean - error)
    return Left(lowest / workers, count * mean / workers, (count * mean + error) / workers)


@dataclass(frozen=True)
class ScopeOptions:
    """`seconds_each`, `runs_each`: what one program may take; `seconds_max`: the whole, what is left then is not run. `state`: where
    results are kept, None for a place in .vmrace/. `into`: a file whose table of scopes gets a row (see scope_document.py)."""

    workers: int = 2
    seconds_each: float = 60.0
    runs_each: int = 1 << 60
    seconds_max: float = 1e9
    state: pathlib.Path | None = None
    into: pathlib.Path | None = None
    as_json: bool = False


class Proof:
    """All programs of a scope on worker processes. `tell` hears of progress, `Proof.run` ends when all is done or time is up."""

    def __init__(self, family: Family, variant: str, forms: list[Form], state: State, options: ScopeOptions,
                 tell: Callable[[Proof], None], make: Make, bound: int | None = None):
        self.forms, self.state, self.tell = forms, state, tell
        self.workers, self.seconds_each, self.runs_each = options.workers, options.seconds_each, options.runs_each
        self.seconds_max = options.seconds_max
        self.before = sum(not self._again(result) for result in state.results.values())
        order = list(range(len(forms)))
        random.Random(0).shuffle(order)
        self.queue = [number for number in reversed(order) if number not in state.results or self._again(state.results[number])]
        self.jobs: dict[Job, tuple[int, list[int]]] = {}        # -> its place, its programs
        self.died: set[int] = set()             # programs at which a worker has died
        self.at = multiprocessing.get_context("fork").RawArray("q", self.workers)
        self.pool = Workers(self.workers, begin, (self.at, family, variant, make, bound))
        self.lost = 0
        self.ours: list[float] = []
        self.started = self.last = time.monotonic()

    def _again(self, result: Result) -> bool:
        """What was inconclusive is tried again with more time or more runs, and where a worker died or we erred."""
        if result.verdict is not Word.INCONCLUSIVE:
            return False
        if broke(result.why):
            return True
        now, then = (self.seconds_each, self.runs_each), result.budget
        return result.why is not None and result.why.reason.budget and now != then and now[0] >= then[0] and now[1] >= then[1]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def to_do(self) -> int:
        return len(self.queue) + sum(len(numbers) for _, numbers in self.jobs.values())

    def estimate(self) -> Left | None:
        """None also while those at work take longer than any before: they are no sample of these."""
        if self.ours and time.monotonic() - self.last > max(self.ours) + BATCH_SECONDS:
            return None
        return left(self.ours, self.to_do, self.workers)

    def run(self) -> str:
        """Run all of it, as long as there is time, and nobody asks to stop. Why it ended before, or nothing."""
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
            except OSError:             # no process, or no file descriptor, is left: with fewer, if there are any
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
        for result in results:
            self.state.add(result)
            self.ours.append(result.seconds)
        self.queue += reversed(numbers[len(results):])

    def _died(self, at: int, numbers: list[int]) -> None:
        """The program it died at is run again once; what else it had, as if nothing had been."""
        self.lost += 1
        if at in self.died:
            numbers = [number for number in numbers if number != at]
            budget = (self.seconds_each, self.runs_each)
            self.state.add(Result(at, text_of(self.forms[at]), Word.INCONCLUSIVE, why=Incomplete(Reason.DIED), budget=budget))
        self.died.add(at)
        self.queue += reversed(numbers)


class _Refused(Exception):
    """Nothing is run: why, and the exit code."""

    def __init__(self, why: str, code: int = USAGE):
        super().__init__(why)
        self.code = code


def prove(family: Family, variant: str, asked: Scope, options: ScopeOptions, echo: Said, complain: Said | None = None,
          make: Make = Explorer) -> int:
    """Every program of the scope. Returns the exit code: 0 all proved, 1 a BUG, 2 usage, 3 inconclusive, 130 interrupted.

    `make(family, variant)`: what explores. `complain` hears why nothing is run, unless that is told as JSON.
    """
    complain = complain or echo
    try:
        operations = Executor(family, variant).operations()
        scope = _scope_of(asked, operations, options)
        head = header(family, variant, scope)
        forms, kept = _begin(scope, operations, head, options)
    except _Refused as error:
        if options.as_json:
            echo(json.dumps({"kind": "error", "why": str(error)}))
        else:
            complain(f"vmrace: {error}")
        return error.code
    with contextlib.closing(kept):
        proof = Proof(family, variant, forms, kept, options, Meter(echo, len(forms), options.as_json).tell, make, scope.preemptions)
        all_count = scope.all_count(operations)
        for line in kept.damaged:
            if options.as_json:
                echo(json.dumps({"kind": "damaged", "why": line}))
            else:
                complain(f"vmrace: {line}")
        if not options.as_json:
            for line in _told_before(f"{family.name}/{variant}", scope, proof, all_count, operations):
                echo(line)
        broken = proof.run()
        interrupted = stop.asked()
        table = Table(f"{family.name}/{variant}", scope, forms, all_count, kept.results)
        if options.into is not None and not broken:
            broken = _put(options.into, table, interrupted, complain)
        if broken:
            complain(f"vmrace: {broken}")
        if options.as_json:
            for one in table.json_lines(head, interrupted):
                echo(json.dumps(one))
        else:
            for line in _told_after(table, proof, interrupted):
                echo(line)
    return INTERRUPTED if interrupted else COULD_NOT if broken and not table.code else table.code


def _scope_of(asked: Scope, operations: Sequence[str], options: ScopeOptions) -> Scope:
    """The scope, with its operations in the order of the interface. _Refused if there is no such scope, or no place for its row."""
    if options.into is not None and (wrong := scope_document.unfit(options.into)):
        raise _Refused(wrong)
    for kind in asked.kinds:
        if kind not in OPERATIONS:
            raise _Refused(f"no operation {kind!r}{did_you_mean(kind, OPERATIONS)}")
        if kind not in operations:
            raise _Refused(f"this variant has no operation {kind!r}")
    return replace(asked, kinds=tuple(kind for kind in operations if kind in asked.kinds))


def _begin(scope: Scope, operations: Sequence[str], head: dict[str, Any], options: ScopeOptions) -> tuple[list[Form], State]:
    """The programs, and what is known of them."""
    try:
        with working() as say:
            say("  listing the programs")
            forms = scope.programs(operations)
            stop.look()
        kept = State(options.state if options.state is not None else default_state(head), head)
    except Unwritable as error:
        raise _Refused(str(error), COULD_NOT) from None
    except OSError as error:
        raise _Refused(f"{error.filename}: cannot be written: {writing.why(error)}", COULD_NOT) from None
    except (ScopeError, StateError) as error:
        raise _Refused(str(error)) from None
    for number, result in kept.results.items():
        here = text_of(forms[number]) if number < len(forms) else "none"
        if here != result.program:
            kept.close()
            raise _Refused(f"{kept.path}: program {number} is another one here ({result.program!r}, now {here!r}); remove it, or name "
                           "another")
    return forms, kept


def _told_before(name: str, scope: Scope, proof: Proof, all_count: int, operations: Sequence[str]) -> Iterator[str]:
    yield f"{name}: {stated(scope)}"
    yield (f"  {count(len(proof.forms), 'program')} up to symmetry, of {all_count:,}"
           + (f"; {proof.before:,} done before" if proof.before else "") + f"; state in {proof.state.path}")
    used = {name for setup, cpus in proof.forms for line in (setup, *(line for tasks in cpus for line in tasks)) for name, _ in line}
    idle = [kind for kind in scope.kinds or operations if kind not in used]
    if idle:
        yield f"  with nothing to work on in any of them: {', '.join(idle)}"


def _told_after(table: Table, proof: Proof, interrupted: bool) -> Iterator[str]:
    yield from table.lines()
    if proof.lost:
        yield f"  {count(proof.lost, 'worker process')} died"
    if interrupted:
        yield f"vmrace: interrupted; the same command goes on, from {proof.state.path}   (exit {INTERRUPTED})"
    else:
        yield table.last_line()


def _put(into: pathlib.Path, table: Table, interrupted: bool, told: Said) -> str:
    """Put the result where it is asked for, if it is one: a proof that did not come to its end changes nothing that is said there.
    Why that could not be written, or nothing."""
    not_run = table.counts[Word.NOT_RUN]
    if interrupted or not_run:
        told(f"vmrace: {into}: not changed: {count(not_run, 'program')} {are(not_run)} still to be run")
        return ""
    try:
        scope_document.put(into, table)
    except OSError as error:
        return f"{into}: cannot be written: {writing.why(error)}"
    return ""
