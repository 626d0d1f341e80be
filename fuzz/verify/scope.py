# SPDX-License-Identifier: MIT
"""`vmrace verify VARIANT --size 3 --cpus 2`: explore every program of a small scope, and print a table of verdicts.

A scope is proved if every program of it is proved. A program is inconclusive if its worker died, its time ran out, or vmrace had an
error; the scope then is inconclusive, too. A state file has the results so far (scope_state.py), so that a killed proof can continue.
The programs run in a fixed random order: at any time, the finished ones are a fair sample of the others.
"""

from __future__ import annotations

import contextlib
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
from vmrace.fuzz.run.state_file import StateError, Unwritable, default_state
from vmrace.fuzz.run.workers import Erred, Job, Lost, Workers
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.document import document
from vmrace.fuzz.text.exit_codes import COULD_NOT, INTERRUPTED, USAGE
from vmrace.fuzz.text.terminal import working
from vmrace.fuzz.text.times import GRACE_SECONDS
from vmrace.fuzz.text.wording import are, count
from vmrace.fuzz.verify import scope_document
from vmrace.fuzz.verify.scope_report import Meter, Said, Table, stated
from vmrace.fuzz.verify.scope_result import Result
from vmrace.fuzz.verify.scope_state import State, header
from vmrace.fuzz.verify.scope_worker import BATCH_SECONDS, Make, begin, run_batch
from vmrace.harness import stop
from vmrace.harness.incomplete import Incomplete, Reason, broke
from vmrace.variants.family import Family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.spelling import did_you_mean

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


class _Refused(Exception):
    """The error of a proof that cannot begin, with the exit code."""

    def __init__(self, why: str, code: int = USAGE):
        super().__init__(why)
        self.code = code


def prove(family: Family, variant: str, asked: Scope, options: ScopeOptions, echo: Said, complain: Said | None = None,
          make: Make = Explorer) -> int:
    """Explore every program of a scope and print the report. Returns the exit code: 0 proved, 1 BUG, 2 usage, 3 inconclusive, 130
    interrupted.

    `make(family, variant)` makes the explorer. `echo` prints a line of the report, `complain` a line of error.
    """
    complain = complain or echo
    try:
        operations = Executor(family, variant).operations()
        scope = _scope_of(asked, operations, options)
        head = header(family, variant, scope)
        forms, kept = _begin(scope, operations, head, options)
    except _Refused as error:
        complain(f"vmrace: {error}")
        return error.code
    with contextlib.closing(kept):
        proof = Proof(family, variant, forms, kept, options, Meter(echo, len(forms), options.as_json).tell, make, scope.preemptions)
        all_count = scope.all_count(operations)
        for line in kept.damaged:
            complain(f"vmrace: {line}")
        if not options.as_json:
            for line in _told_before(f"{family.name}/{variant}", scope, proof, all_count, operations):
                echo(line)
        broken = proof.verify_all()
        interrupted = stop.asked()
        table = Table(f"{family.name}/{variant}", scope, forms, all_count, kept.results)
        if options.into is not None and not broken:
            broken = _put(options.into, table, interrupted, complain)
        if broken:
            complain(f"vmrace: {broken}")
        code = INTERRUPTED if interrupted else COULD_NOT if broken and not table.code else table.code
        if options.as_json:
            damaged = [{"kind": "damaged", "why": line} for line in kept.damaged]
            echo(document("verify", code, events=damaged + table.events(), scope=table.as_json(head, interrupted)))
        else:
            for line in _told_after(table, proof, interrupted):
                echo(line)
    return code


def _scope_of(asked: Scope, operations: Sequence[str], options: ScopeOptions) -> Scope:
    """Return the scope with its operations in the order of the interface. Raises _Refused for an unknown operation, or if the document
    has no table."""
    if options.into is not None and (wrong := scope_document.unfit(options.into)):
        raise _Refused(wrong)
    for kind in asked.operations:
        if kind not in OPERATIONS:
            raise _Refused(f"no operation {kind!r}{did_you_mean(kind, OPERATIONS)}")
        if kind not in operations:
            raise _Refused(f"this variant has no operation {kind!r}")
    return replace(asked, operations=tuple(kind for kind in operations if kind in asked.operations))


def _begin(scope: Scope, operations: Sequence[str], head: dict[str, Any], options: ScopeOptions) -> tuple[list[Form], State]:
    """List the programs, and open the state file. Raises _Refused."""
    try:
        with working() as say:
            say("  listing the programs")
            forms = scope.programs(operations)
            stop.look()
        kept = State(options.state if options.state is not None else default_state(head["variant"].replace("/", "-"), head["key"]), head)
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
            raise _Refused(f"{kept.path}: program {number} is {result.program!r} in this file, and {here!r} in this scope; remove the "
                           "file, or name another")
    return forms, kept


def _told_before(name: str, scope: Scope, proof: Proof, all_count: int, operations: Sequence[str]) -> Iterator[str]:
    yield f"{name}: {stated(scope)}"
    yield (f"  {count(len(proof.forms), 'program')} up to symmetry, of {all_count:,}"
           + (f"; {proof.before:,} done before" if proof.before else "") + f"; state in {proof.state.path}")
    used = {name for setup, cpus in proof.forms for line in (setup, *(line for tasks in cpus for line in tasks)) for name, _ in line}
    idle = [kind for kind in scope.operations or operations if kind not in used]
    if idle:
        yield f"  operations that would do nothing in every program: {', '.join(idle)}"


def _told_after(table: Table, proof: Proof, interrupted: bool) -> Iterator[str]:
    yield from table.lines()
    if proof.lost:
        yield f"  {count(proof.lost, 'worker process')} died"
    if interrupted:
        yield f"vmrace: interrupted; the same command continues from {proof.state.path}   (exit {INTERRUPTED})"
    else:
        yield table.last_line()


def _put(into: pathlib.Path, table: Table, interrupted: bool, complain: Said) -> str:
    """Put the row of a finished proof into a document; one of an unfinished proof changes nothing. Returns the error, or an empty text."""
    not_run = table.counts[Word.NOT_RUN]
    if interrupted or not_run:
        complain(f"vmrace: {into}: not changed: {count(not_run, 'program')} {are(not_run)} still to be run")
        return ""
    try:
        scope_document.put(into, table)
    except OSError as error:
        return f"{into}: cannot be written: {writing.why(error)}"
    return ""
