# SPDX-License-Identifier: MIT
"""`vmrace verify VARIANT --ops 3 --cpus 2`: every program of a small scope, each explored to the end. A table of verdicts.

A scope is proved if every program of it is; a program whose worker died, which took too long or met an error of ours is
inconclusive, and so is the scope. What is done is in a state file, a line a program, so that a killed proof goes on where it
was. Each line has a checksum: a damaged one is named, and its program is run again. Programs run in a random order (always the
same), so that at any time what is done is a fair sample of what is left.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import multiprocessing
import os
import pathlib
import random
import re
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Annotated, Any

import msgspec

from fuzz.campaign.report import COLUMNS, LINE_EVERY, working
from fuzz.corpus.verdict import Word
from fuzz.programs.enumerate import Form, Scope, ScopeError, program_of, text_of
from fuzz.run import stop_request as stopping
from fuzz.run.executor import Executor
from fuzz.run.exhaustive import Explorer, Reached
from fuzz.run.workers import Erred, Job, Lost, Workers
from fuzz.text import writing
from fuzz.text.exit_codes import CHANGED, COULD_NOT, INTERRUPTED, USAGE
from fuzz.text.times import GRACE_SECONDS
from fuzz.text.wording import are, count
from fuzz.verify import reasons
from fuzz.verify import scope_document as scope_table
from harness import stop
from harness.explore.exploration import EQUIVALENCE, Exploration
from harness.incomplete import Incomplete, Reason, of_error
from harness.sanitizers import table
from variants.family import OPERATIONS, Family
from variants.program import did_you_mean

FORMAT = 3                  # of a state file; 1 had no checksums, 2 had sentences for reasons
BATCH = 64                  # programs that a worker is handed at once ...
BATCH_SECONDS = 1.0         # ... of which it hands back those that it has not begun by then
UNDECIDED_TOLD = 3          # inconclusive programs that are listed for each reason

Said = Callable[[str], None]
Make = Callable[[Family, str], Any]


Count = Annotated[int, msgspec.Meta(ge=0)]
Title = Annotated[str, msgspec.Meta(min_length=1)]


class Result(msgspec.Struct, forbid_unknown_fields=True):
    """What came of one program. `budget`: the seconds and runs it was allowed."""

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
        """What of it cannot be, taken together."""
        if self.verdict not in (Word.PROVED, Word.BUG, Word.INCONCLUSIVE):
            return f"verdict: {self.verdict.value} is none of a program"
        if bool(self.titles) != (self.verdict is Word.BUG):
            return f"titles: {self.verdict.value} with {count(len(self.titles), 'title')}"
        return "why: inconclusive without a reason" if self.verdict is Word.INCONCLUSIVE and not self.why else ""


class StateError(Exception):
    """A state file that is not of this proof, or cannot be used: one line."""


class Unwritable(StateError):
    """A state file, or the directory that it is to be in, cannot be written."""


# ---- one program, in a worker process -----------------------------------------------------------------------------------

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
        if out and (time.monotonic() - start > BATCH_SECONDS or stopping.asked()):
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


# ---- the state file ---------------------------------------------------------------------------------------------------------

def header(family: Family, variant: str, scope: Scope) -> dict[str, Any]:
    """What results hold for: the kernel that was linked, the code that explores and judges, and the scope."""
    from fuzz.verify.report import vmrace_hash
    image = Executor(family, variant, checked=True).image(scope.cpus).digest
    here = pathlib.Path(__file__).resolve().parents[2]
    paths = [here / path for path in ("fuzz/programs/enumerate.py", "variants/family.py", "variants/user_model.py", "variants/program.py")]
    oracle = getattr(sys.modules.get(family.check.__module__), "__file__", None)
    if oracle:
        paths.append(pathlib.Path(oracle))
    vmrace = hashlib.blake2b("\n".join([vmrace_hash(), *(path.read_text() for path in paths)]).encode(), digest_size=8).hexdigest()
    told = asdict(scope) | {"kinds": sorted(scope.kinds)}
    head = {"scope_proof": FORMAT, "variant": f"{family.name}/{variant}", "image": image, "vmrace": vmrace, "scope": told}
    return head | {"key": hashlib.blake2b(json.dumps(head, sort_keys=True).encode(), digest_size=8).hexdigest()}


class Damaged(Exception):
    """A line of a state file that is not as it was written: why, in one line."""


class State:
    """The results so far, in memory and in a file that only grows. `damaged`: the lines that cannot be trusted, each named with
    what is wrong; no result is taken from them."""

    def __init__(self, path: pathlib.Path, head: dict[str, Any]):
        self.path, self.key = path, head["key"]
        self.results: dict[int, Result] = {}
        self.damaged: list[str] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file: IO[bytes] = path.open("a+b")
        except OSError as error:
            raise Unwritable(f"{path}: cannot be written: {writing.why(error)}") from None
        try:
            self._open(head)
        except StateError:
            self.close()
            raise

    def _open(self, head: dict[str, Any]) -> None:
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(f"{self.path}: another proof is at work on it") from None
        self.file.seek(0)
        data = self.file.read()
        whole = data[:data.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        try:
            said = json.loads(lines[0]) if lines else head if head_cut(data, head) else None
        except (ValueError, RecursionError, MemoryError):
            said = None
        if not isinstance(said, dict) or "scope_proof" not in said:
            raise StateError(f"{self.path}: not the state of a proof")
        for name in ("scope_proof", "variant", "scope", "image", "vmrace", "key"):
            if said.get(name) != head[name]:
                raise StateError(f"{self.path}: is of another {WORDS.get(name, name)} ({_short(said.get(name))}, now "
                                 f"{_short(head[name])}); remove it, or name another")
        if whole != data:                   # a line that was being written when the proof was killed
            self.file.truncate(len(whole))
        if not lines:
            self._write(json.dumps(head))
        self._read(lines)

    def _read(self, lines: list[bytes]) -> None:
        """Take the results. A damaged line is made blank, so that it is named once."""
        at = 0
        for number, line in enumerate(lines, 1):
            if number > 1 and line.strip(b" "):
                try:
                    result = result_of(line, self.key)
                except Damaged as why:
                    self.damaged.append(f"{self.path}:{number}: damaged, {why}: its program is run again")
                    self._blank(at, len(line))
                else:
                    self.results[result.number] = result
            at += len(line) + 1

    def _blank(self, at: int, size: int) -> None:
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(b" " * size)

    def add(self, result: Result) -> None:
        self.results[result.number] = result
        self._write(line_of(result, self.key))

    def _write(self, line: str) -> None:
        """One more line; or Unwritable, and the lines before it stay."""
        file, data = self.file.fileno(), line.encode("ascii") + b"\n"
        end = os.fstat(file).st_size
        try:
            while data:                         # past Python's buffer, which would try again when the file is closed
                data = data[os.write(file, data):]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(file, end)
            raise Unwritable(f"{self.path}: cannot be written: {writing.why(error)}") from None

    def close(self) -> None:
        self.file.close()


def line_of(result: Result, key: str) -> str:
    """A result as its line in the state of the proof of that key: JSON, with a checksum of all that stands before it."""
    body = json.dumps(msgspec.to_builtins(result))
    return f'{body[:-1]}, "sum": "{_checksum(body.encode("ascii"), key)}"}}'


def result_of(line: bytes, key: str) -> Result:
    """The result that `line_of` has written. Damaged if the line is not as it was written, or not of that proof."""
    found = SUMMED.fullmatch(line)
    if found is None:
        raise Damaged("it has no checksum")
    body = found[1] + b"}"
    if _checksum(body, key) != found[2].decode("ascii"):
        raise Damaged("its checksum does not fit")
    try:
        result = READER.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        what, _, place = str(error).partition(" - at `$.")
        raise Damaged(f"not a result: {f'{place[:-1]}: ' if place else ''}{what}") from None
    if wrong := result.wrong():
        raise Damaged(f"not a result: {wrong}")
    return result


def _checksum(body: bytes, key: str) -> str:
    """The checksum of one line; keyed, so that a line of another proof does not fit."""
    return hashlib.blake2b(body, digest_size=8, key=key.encode("ascii")).hexdigest()


SUMMED = re.compile(rb'(\{.*), "sum": "([0-9a-f]{16})"\}', re.DOTALL)
READER = msgspec.json.Decoder(Result)
WORDS = {"scope_proof": "format", "vmrace": "version of vmrace"}


def head_cut(data: bytes, head: dict[str, Any]) -> bool:
    """True if nothing is there yet, or a first line that was cut short."""
    return b"\n" not in data and json.dumps(head).encode("ascii").startswith(data)


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and "/" not in value else json.dumps(value) if isinstance(value, dict) else str(value)


def default_state(head: dict[str, Any]) -> pathlib.Path:
    """Where results are kept if nobody says: by key, so that it is always the state of this very proof."""
    room = pathlib.Path(".vmrace")
    writing.write(room / ".gitignore", "*\n")
    return room / f"{head['variant'].replace('/', '-')}-{head['key']}.jsonl"


# ---- the driver ---------------------------------------------------------------------------------------------------------------

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


class Proof:
    """All programs of a scope on worker processes. `tell` hears of progress, `Proof.run` ends when all is done or time is up."""

    def __init__(self, family: Family, variant: str, forms: list[Form], state: State, *, workers: int, seconds_each: float,
                 runs_each: int, seconds_max: float, tell: Callable[[Proof], None], make: Make, bound: int | None = None):
        self.family, self.variant, self.forms, self.state = family, variant, forms, state
        self.workers, self.seconds_each, self.runs_each, self.seconds_max = workers, seconds_each, runs_each, seconds_max
        self.tell, self.make, self.bound = tell, make, bound
        self.before = sum(not self._again(result) for result in state.results.values())
        order = list(range(len(forms)))
        random.Random(0).shuffle(order)
        self.queue = [number for number in reversed(order) if number not in state.results or self._again(state.results[number])]
        self.jobs: dict[Job, tuple[int, list[int]]] = {}        # -> its place, its programs
        self.died: set[int] = set()             # programs at which a worker has died
        self.at = multiprocessing.get_context("fork").RawArray("q", workers)
        self.pool = Workers(workers, begin, (self.at, family, variant, make, bound))
        self.lost = 0
        self.ours: list[float] = []
        self.started = self.last = time.monotonic()

    def _again(self, result: Result) -> bool:
        """What was inconclusive is tried again with more time or more runs, and where a worker died or we erred."""
        if result.verdict is not Word.INCONCLUSIVE:
            return False
        if reasons.broke(result.why):
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

    def run(self) -> None:
        """Run all of it, as long as there is time, and nobody asks to stop. StateError if a result cannot be written; OSError if no
        worker can be started."""
        with stopping.at_once(self.pool.kill):
            try:
                self._drive()
            finally:
                self.pool.stop()

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


# ---- what is told -------------------------------------------------------------------------------------------------------------

def clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"


def stated(scope: Scope) -> str:
    """The scope in a sentence: whatever narrows it is said."""
    parts = [f"at most {count(scope.ops, 'operation')} in tasks on {count(scope.cpus, 'cpu')}",
             f"setups of at most {count(scope.setup, 'operation')}" if scope.setup else "no setup"]
    if scope.kinds:
        parts.append(f"only {', '.join(scope.kinds)}")
    words = {"page": "page of each address space", "file": "file", "fpage": "page of each file"}
    parts += [count(number, words[kind]) if kind in words else f"{number} as the largest number" for kind, number in scope.operands.items()]
    if scope.preemptions is not None:
        parts.append(f"schedules of at most {count(scope.preemptions, 'preemption')}")
    return "; ".join(parts)


class Table:
    """The results of a scope, counted."""

    def __init__(self, name: str, scope: Scope, forms: list[Form], all_count: int, results: dict[int, Result]):
        self.name, self.scope, self.forms, self.all_count, self.results = name, scope, forms, all_count, results
        self.counts = Counter(result.verdict for result in results.values())
        self.counts[Word.NOT_RUN] = len(forms) - len(results)
        self.undecided = sorted((one for one in results.values() if one.verdict is Word.INCONCLUSIVE), key=lambda one: one.number)
        self.whys = Counter(result.why for result in self.undecided if result.why is not None)
        self.titles: dict[str, list[Result]] = {}
        for result in sorted(results.values(), key=lambda one: one.number):
            for title in result.titles:
                self.titles.setdefault(title, []).append(result)
        self.classes = sum(result.classes for result in results.values())
        self.blocked = sum(result.blocked for result in results.values())
        self.seconds = sum(result.seconds for result in results.values())

    @property
    def verdict(self) -> Word:
        if self.counts[Word.BUG]:
            return Word.BUG
        return Word.PROVED if self.forms and self.counts[Word.PROVED] == len(self.forms) else Word.INCONCLUSIVE

    @property
    def open(self) -> int:
        """The programs that are neither proved nor have a finding."""
        return self.counts[Word.INCONCLUSIVE] + self.counts[Word.NOT_RUN]

    @property
    def code(self) -> int:
        return {Word.PROVED: 0, Word.BUG: CHANGED, Word.INCONCLUSIVE: COULD_NOT}[self.verdict]

    @property
    def digest(self) -> str:
        """Of all classes of runs of all programs; of a scope of which all was run it is the same on every machine."""
        each = sorted(f"{result.program} {result.verdict.value} {result.digest}" for result in self.results.values())
        return hashlib.blake2b("\n".join(each).encode(), digest_size=12).hexdigest()

    def smallest(self, title: str) -> Result:
        """Forms are listed by size."""
        return self.titles[title][0]

    def lines(self) -> Iterator[str]:
        yield f"  {'verdict':<14} {'programs':>10}   of {len(self.forms):,}"
        for verdict in (Word.PROVED, Word.BUG, Word.INCONCLUSIVE, Word.NOT_RUN):
            if self.counts[verdict] or verdict is Word.PROVED:
                yield f"  {verdict.value:<14} {self.counts[verdict]:>10,}   {self.counts[verdict] / max(1, len(self.forms)):.1%}"
        if self.titles:
            yield ""
            yield f"  {'programs':>8}  BUG title, and the first of the smallest programs that have it"
        for title, results in sorted(self.titles.items(), key=lambda one: (-len(one[1]), one[0])):
            yield f"  {len(results):>8,}  {title}"
            yield f"            {self.smallest(title).program}"
        if self.whys:
            yield ""
            yield f"  {'programs':>8}  inconclusive, because, and the smallest of them"
        for why, number in self.whys.most_common():
            yield f"  {number:>8,}  {why}"
            if hint := reasons.hint(why):
                yield from textwrap.wrap(f"hint: {hint}", COLUMNS, initial_indent=" " * 12, subsequent_indent=" " * 18)
            those = [one.program for one in self.undecided if one.why == why]
            yield from (f"            {program}" for program in those[:UNDECIDED_TOLD])
            if number > UNDECIDED_TOLD:
                yield f"            ... and {number - UNDECIDED_TOLD:,} more (--json has them all)"
        yield ""
        yield (f"  {count(self.classes, 'execution')} ({EQUIVALENCE.partition(' (')[0]}), {self.blocked:,} blocked, "
               f"{clock(self.seconds)} of work; {table.told('scope')}")

    def last_line(self) -> str:
        total, bound = len(self.forms), self.scope.preemptions
        bounded = "" if bound is None else f" of at most {count(bound, 'preemption')}"
        if self.verdict is Word.PROVED:
            return f"vmrace: proved: all {count(total, 'program')}, every schedule{bounded}   (exit 0)"
        rest = f"{self.open:,} of {count(total, 'program')} {are(self.open)} undecided"
        if self.verdict is Word.BUG:
            return (f"vmrace: BUG: {count(len(self.titles), 'title')} in {self.counts[Word.BUG]:,} of {count(total, 'program')}"
                    + (f"; {rest}" if self.open else f"; all others proved{', for schedules' * bool(bounded)}{bounded}") + "   (exit 1)")
        return f"vmrace: inconclusive: no BUG, but {rest}   (exit 3)"

    def json_lines(self, head: dict[str, Any], interrupted: bool) -> Iterator[dict[str, Any]]:
        for title, results in sorted(self.titles.items()):
            yield {"kind": "bug", "title": title, "programs": len(results), "smallest": self.smallest(title).program}
        for one in self.undecided:
            yield {"kind": "inconclusive", "program": one.program, "why": str(one.why), "reason": reasons.reason_of(one.why)}
        yield {"kind": "scope", "verdict": self.verdict.value, **{key: head[key] for key in ("variant", "image", "vmrace", "scope", "key")},
               "programs": len(self.forms), "stand_for": self.all_count, "equivalence": EQUIVALENCE,
               "counts": {verdict.value: self.counts[verdict] for verdict in (Word.PROVED, Word.BUG, Word.INCONCLUSIVE, Word.NOT_RUN)},
               "inconclusive": {str(why): number for why, number in self.whys.items()}, "classes": self.classes, "blocked": self.blocked,
               "executions": self.classes, "seconds": round(self.seconds, 3), "digest": self.digest,
               "interrupted": interrupted}


class Meter:
    """A line of progress every ten seconds."""

    def __init__(self, echo: Said, forms: int, as_json: bool):
        self.echo, self.forms, self.as_json = echo, forms, as_json
        self.last = time.monotonic()

    def tell(self, proof: Proof) -> None:
        if self.as_json or time.monotonic() - self.last < LINE_EVERY:
            return
        self.last = time.monotonic()
        counts = Counter(result.verdict for result in proof.state.results.values())
        estimate = proof.estimate()
        rest = "nobody can say how long" if estimate is None else (
            f"left {clock(estimate.middle)} ({clock(estimate.low)} .. {clock(estimate.high)})")
        self.echo(f"  {clock(proof.seconds)}   {self.forms - proof.to_do:,} of {count(self.forms, 'program')}   "
                  f"proved {counts[Word.PROVED]:,}   BUG {counts[Word.BUG]:,}   inconclusive {counts[Word.INCONCLUSIVE]:,}   {rest}")


def _check_kinds(kinds: Sequence[str], operations: Sequence[str]) -> str:
    """What is wrong with them, or "". """
    for kind in kinds:
        if kind not in OPERATIONS:
            return f"no operation {kind!r}{did_you_mean(kind, OPERATIONS)}"
        if kind not in operations:
            return f"this variant has no operation {kind!r}"
    return ""


def prove(family: Family, variant: str, ops: int, cpus: int, *, workers: int, seconds_each: float, runs_each: int,
          state: pathlib.Path | None, echo: Said, as_json: bool, kinds: Sequence[str] | None = None, setup: int = 0,
          operands: dict[str, int] | None = None, seconds_max: float = 1e9, make: Make = Explorer, into: pathlib.Path | None = None,
          complain: Said | None = None, preemptions: int | None = None) -> int:
    """Every program of the scope. Returns the exit code: 0 all proved, 1 a BUG, 2 usage, 3 inconclusive, 130 interrupted.

    `seconds_each`, `runs_each`: what one program may take; `seconds_max`: the whole, what is left then is not run. `state`: None
    for a place in .vmrace/. `make(family, variant)`: what explores. `into`: a file whose table of scopes gets a row (see
    fuzz/verify/scope_document). `complain` hears why nothing is run, unless that is told as JSON.
    """
    def refused(why: str, code: int = USAGE) -> int:
        if as_json:
            echo(json.dumps({"kind": "error", "why": why}))
        else:
            (complain or echo)(f"vmrace: {why}")
        return code

    if into is not None and (wrong := scope_table.unfit(into)):
        return refused(wrong)
    operations = Executor(family, variant).operations()
    kinds = [kind.strip() for kind in kinds or () if kind.strip()]
    wrong = _check_kinds(kinds, operations)
    if wrong:
        return refused(wrong)
    scope = Scope(ops, cpus, setup, tuple(kind for kind in operations if kind in kinds), dict(operands or {}), preemptions)
    head = header(family, variant, scope)
    try:
        with working() as say:
            say("  listing the programs")
            forms = scope.programs(operations)
            stop.look()
        kept = State(state if state is not None else default_state(head), head)
    except Unwritable as error:
        return refused(str(error), COULD_NOT)
    except OSError as error:
        return refused(f"{error.filename}: cannot be written: {writing.why(error)}", COULD_NOT)
    except (ScopeError, StateError) as error:
        return refused(str(error))
    name = f"{family.name}/{variant}"
    all_count = scope.all_count(operations)
    meter = Meter(echo, len(forms), as_json)
    with contextlib.closing(kept):
        wrong = _not_ours(kept, forms)
        if wrong:
            return refused(wrong)
        proof = Proof(family, variant, forms, kept, workers=workers, seconds_each=seconds_each, runs_each=runs_each,
                      seconds_max=seconds_max, tell=meter.tell, make=make, bound=preemptions)
        for line in kept.damaged:
            if as_json:
                echo(json.dumps({"kind": "damaged", "why": line}))
            else:
                (complain or echo)(f"vmrace: {line}")
        if not as_json:
            echo(f"{name}: {stated(scope)}")
            echo(f"  {count(len(forms), 'program')} up to symmetry, of {all_count:,}"
                 + (f"; {proof.before:,} done before" if proof.before else "") + f"; state in {kept.path}")
            used = _used(forms)
            idle = [kind for kind in scope.kinds or operations if kind not in used]
            if idle:
                echo(f"  with nothing to work on in any of them: {', '.join(idle)}")
        broken = ""
        try:
            proof.run()
        except Unwritable as error:
            broken = str(error)
        except OSError as error:
            broken = f"no worker process can be started: {writing.why(error)}"
        interrupted = stop.asked()
        table = Table(name, scope, forms, all_count, kept.results)
        told = complain or echo
        if into is not None and not broken:
            broken = _put(into, table, interrupted, told)
        if broken:
            told(f"vmrace: {broken}")
        if as_json:
            for one in table.json_lines(head, interrupted):
                echo(json.dumps(one))
        else:
            for line in table.lines():
                echo(line)
            if proof.lost:
                echo(f"  {count(proof.lost, 'worker process')} died")
            if interrupted:
                echo(f"vmrace: interrupted; the same command goes on, from {kept.path}   (exit {INTERRUPTED})")
            else:
                echo(table.last_line())
    return INTERRUPTED if interrupted else COULD_NOT if broken and not table.code else table.code


def _put(into: pathlib.Path, table: Table, interrupted: bool, told: Said) -> str:
    """Put the result where it is asked for, if it is one: a proof that did not come to its end changes nothing that is said there.
    Why that could not be written, or nothing."""
    not_run = table.counts[Word.NOT_RUN]
    if interrupted or not_run:
        told(f"vmrace: {into}: not changed: {count(not_run, 'program')} {are(not_run)} still to be run")
        return ""
    try:
        scope_table.put(into, table)
    except OSError as error:
        return f"{into}: cannot be written: {writing.why(error)}"
    return ""


def _used(forms: list[Form]) -> set[str]:
    return {name for setup, cpus in forms for line in (setup, *(line for tasks in cpus for line in tasks)) for name, _ in line}


def _not_ours(kept: State, forms: list[Form]) -> str:
    for number, result in kept.results.items():
        here = text_of(forms[number]) if number < len(forms) else "none"
        if here != result.program:
            return f"{kept.path}: program {number} is another one here ({result.program!r}, now {here!r}); remove it, or name another"
    return ""
