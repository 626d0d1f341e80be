# SPDX-License-Identifier: MIT
"""Judge every entry on every variant, on worker processes: exact verdicts first, then those that take longest.

A verdict that rests on a recorded schedule takes twenty runs. One that rests on samples takes a thousand. A proof takes a run for each
class of schedules. A certificate beside the entry stands for a proof or a sample, if its hashes are those of now (see fuzz/verify/kept).
A few certificates, chosen at random, are checked each time by making their runs again.
"""

from __future__ import annotations

import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vmrace.fuzz.corpus.entry import Entry
from vmrace.fuzz.corpus.judge import PROVE_MAX, Judged, follow, judge_entry
from vmrace.fuzz.corpus.sample import SAMPLE, Sample
from vmrace.fuzz.corpus.verdict import Verdict, Word
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.hit import REPLAYS
from vmrace.fuzz.run.workers import Erred, Job, Lost, Worker, Workers
from vmrace.fuzz.text.terminal import clock
from vmrace.fuzz.text.wording import count
from vmrace.fuzz.verify.kept import RECHECKED_MAX, Record, certified_variants, kept, record_of
from vmrace.fuzz.verify.subject import VerifyError
from vmrace.harness import stop
from vmrace.harness.explore.exploration import Exploration
from vmrace.harness.finding import Kind, kind_of
from vmrace.harness.incomplete import Incomplete, Reason, of_error
from vmrace.variants.family import family

POLL_SECONDS = 0.2      # between two looks at whether to stop
CELL_SECONDS = 3600.0   # for one verdict of a worker, which is then given up: a proof takes seconds
TRACED, EXPLORED = 15, 4        # measured: times as long as a sampled run takes one that is traced, and one of an exploration
ENDLESS = 100           # times as long as another run takes one that ends at the limit of steps
TOLD_FROM = 0.05        # of the work has to be done before the rest is estimated from it: linking a variant takes as long as its samples
RECHECKED = 2           # certificates of proofs, and of samples, that are run again, unless another number is asked for

Cell = tuple[int, str]  # the number of an entry, and a variant


@dataclass(frozen=True)
class Options:
    """The options of a replay. `backend`: of the runs; on any but the usual one, every certificate is run again. `only`: the one variant
    to judge. `prove`: try to prove whatever has no finding, and believe no certificate. `times`: replay each schedule that number of
    times. `certified`: believe certificates, and run `recheck` of those of proofs again, and as many of those of samples. `certify`:
    write a certificate of each proof and each sample that was made, and is as expected. `workers`: processes; 1 is this process."""

    backend: str = "greenlets"
    only: str | None = None
    prove: bool = False
    times: int = 1
    certified: bool = False
    recheck: int = RECHECKED
    certify: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        assert self.times >= 1, self.times
        assert self.workers >= 1, self.workers
        assert self.recheck >= 0, self.recheck


@dataclass
class Replayed:
    """The result of one entry on one variant. `ends`: how often the schedule alone ended in which way. `error`: an error of ours, its
    trace and its text. `wrong`: lines of a certificate that do not hold. `unusable`: why a certificate cannot be read or written.
    `rechecked`: a certificate was run again. `record`: a certificate that is to be written."""

    judged: Judged
    ends: Counter[str] = field(default_factory=Counter)
    error: tuple[str, str] | None = None
    wrong: list[str] = field(default_factory=list)
    unusable: str = ""
    rechecked: bool = False
    record: Record | None = None


class Judge:
    """A judge of cells in one process, which links each variant once."""

    def __init__(self, entries: list[Entry], options: Options):
        self.entries, self.options = entries, options
        self._executors: dict[tuple[str, str], Executor] = {}

    def executor(self, family_name: str, variant: str) -> Executor:
        key = family_name, variant
        if key not in self._executors:
            self._executors[key] = Executor(family(family_name), variant, self.options.backend, checked=True)
        return self._executors[key]

    def judge(self, cell: Cell, recheck: bool) -> Replayed:
        """Judge one entry on one variant. `recheck`: run again what its certificate says. An error of ours is in the result, and says
        nothing of other cells."""
        number, variant = cell
        entry = self.entries[number]
        try:
            return self._judge(entry, self.executor(entry.family, variant), recheck)
        except Exception as error:
            self._executors.pop((entry.family, variant), None)      # its image may be in any state
            return failed(of_error(error), (traceback.format_exc(), f"{type(error).__name__}: {error}"))

    def _judge(self, entry: Entry, executor: Executor, recheck: bool) -> Replayed:
        options, believed, unusable = self.options, None, ""
        if options.certified and not options.prove:
            try:
                believed = kept(entry, executor)
            except VerifyError as error:
                unusable = str(error)
        made: list[Exploration | Sample] = []
        judged = judge_entry(entry, executor, prove=PROVE_MAX if options.prove else 0, made=made.append,
                             certified=believed.verdict if believed is not None and not recheck else None)
        ends = Counter(follow(entry, executor) for _ in range(options.times)) if options.times > 1 else Counter()
        wrong = [f"{believed.path}: {line}" for runs in made for line in believed.wrong(runs)] if believed is not None else []
        record = record_of(entry, executor, judged, made) if options.certify and believed is None and not unusable else None
        return Replayed(judged, ends, wrong=wrong, unusable=unusable, rechecked=believed is not None and bool(made), record=record)


def failed(why: Incomplete, error: tuple[str, str] | None = None) -> Replayed:
    """Return the result of a cell without a verdict."""
    return Replayed(Judged(Verdict(Word.INCONCLUSIVE, why=why), str(why)), error=error)


# ---- in a worker process -----------------------------------------------------------------------------------------------------

_judge: Judge | None = None


def _begin(entries: list[Entry], options: Options) -> None:
    global _judge
    _judge = Judge(entries, options)


def _judge_cell(cell: Cell, recheck: bool) -> Replayed:
    assert _judge is not None
    return _judge.judge(cell, recheck)


# ---- all cells ---------------------------------------------------------------------------------------------------------------

class Replay:
    """A replay of all entries on all variants of their families. `say` is called with a line of progress several times a second."""

    def __init__(self, entries: list[Entry], options: Options, say: Callable[[str], None] = lambda text: None):
        self.entries, self.options, self.say = entries, options, say
        self.cells = [(number, variant) for number, entry in enumerate(entries) for variant in variants_of(entry, options.only)]
        self.having = self._having()
        self.rechecked = self._choose(Word.PROVED) | self._choose(Word.OK)
        self.cost = {cell: self._cost(cell) for cell in self.cells}
        self.done: dict[Cell, Replayed] = {}
        self.changes: list[str] = []        # results that are others than those of the certificate that was there before
        self.started = time.monotonic()

    def run(self) -> dict[Cell, Replayed]:
        """Judge every cell, and write its certificate at once. Returns the results in the order of the table. KeyboardInterrupt if a stop
        is asked for: the certificates written so far stay. OSError if no worker process can be started."""
        self.started = time.monotonic()
        queue = sorted(self.cells, key=lambda cell: (not self._is_exact(cell), -self.cost[cell]))
        for cell, replayed in self._results(queue):
            self.done[cell] = replayed
            if replayed.record is not None:
                self._write(replayed, replayed.record)
            self.say(self.progress())
        assert self.done.keys() == set(self.cells), "a cell has no result"
        return {cell: self.done[cell] for cell in self.cells}

    def _write(self, replayed: Replayed, record: Record) -> None:
        """Write a certificate. One that cannot be written costs no verdict."""
        try:
            self.changes += [f"{record.path}: {line}" for line in record.write()]
        except VerifyError as error:
            replayed.unusable, replayed.record = str(error), None

    def progress(self) -> str:
        """Return a line such as `replay: 120 of 400 verdicts   0:21, about 0:14 left`: the time left is in proportion to the cost left."""
        made, whole = sum(self.cost[cell] for cell in self.done), sum(self.cost.values())
        seconds = time.monotonic() - self.started
        estimate = f", about {clock(seconds * (whole - made) / made)} left" if TOLD_FROM * whole <= made < whole else ""
        return f"  replay: {len(self.done):,} of {count(len(self.cells), 'verdict')}   {clock(seconds)}{estimate}"

    def _expected(self, cell: Cell) -> Verdict | None:
        return self.entries[cell[0]].expect.get(cell[1])

    def _image(self, cell: Cell) -> tuple[str, str]:
        return self.entries[cell[0]].family, cell[1]

    def _is_exact(self, cell: Cell) -> bool:
        """True if the verdict that is expected rests on the recorded schedule, or on nothing."""
        expected = self._expected(cell)
        return expected is not None and expected.word in (Word.BUG, Word.ABSENT)

    def _having(self) -> set[Cell]:
        """Return the cells that have a certificate, if certificates are believed."""
        if not self.options.certified:
            return set()
        named = [certified_variants(entry) for entry in self.entries]
        return {cell for cell in self.cells if cell[1] in named[cell[0]]}

    def _choose(self, word: Word) -> set[Cell]:
        """Choose certificates of proofs or of samples to run again: other ones each time, and none that takes minutes unless all are asked
        for."""
        having = [cell for cell in self.cells if cell in self.having and self.entries[cell[0]].expect[cell[1]].word is word]
        if self.options.recheck >= len(having) or self.options.backend != Options.backend:
            return set(having)
        short = [cell for cell in having if self.entries[cell[0]].expect[cell[1]].number <= RECHECKED_MAX]
        return set(random.Random().sample(short, min(self.options.recheck, len(short))))

    def _cost(self, cell: Cell) -> int:
        """Estimate the time of a cell, in sampled runs; at least 1."""
        expected, options = self._expected(cell), self.options
        if expected is not None and expected.word is Word.ABSENT:
            return 1
        if expected is not None and expected.word is Word.BUG:
            return REPLAYS * TRACED * (ENDLESS if kind_of(expected.title) is Kind.LIVELOCK else 1)
        if options.prove:
            return PROVE_MAX * EXPLORED
        if cell in self.having and cell not in self.rechecked:
            return TRACED
        return TRACED + (expected.number * EXPLORED if expected is not None and expected.word is Word.PROVED else SAMPLE)

    # ---- one after the other, or at the same time ----

    def _results(self, queue: list[Cell]) -> Iterator[tuple[Cell, Replayed]]:
        if self.options.workers == 1 or len(queue) == 1:
            judge = Judge(self.entries, self.options)
            for cell in queue:
                stop.look()
                yield cell, judge.judge(cell, cell in self.rechecked)
            return
        pool = Workers(self.options.workers, _begin, (self.entries, self.options))
        with stop_request.at_once(pool.kill):
            try:
                yield from self._of_workers(pool, queue[::-1])
            finally:
                pool.stop()

    def _of_workers(self, pool: Workers, queue: list[Cell]) -> Iterator[tuple[Cell, Replayed]]:
        """Judge a queue whose last cell is next. If a worker dies, its cell goes to another worker, once."""
        jobs: dict[Job, Cell] = {}
        linked: dict[tuple[str, str], Worker] = {}          # a family's variant -> the process that has judged it last
        died: set[Cell] = set()
        while queue or jobs:
            stop.look()
            while queue and len(jobs) < self.options.workers:
                cell = self._next(queue, linked, pool.idle())
                try:
                    job = pool.give(_judge_cell, (cell, cell in self.rechecked), CELL_SECONDS)
                except OSError:             # no process, or no file descriptor, is left: go on with fewer
                    if not jobs:
                        raise
                    break
                queue.remove(cell)
                jobs[job] = cell
                linked[self._image(cell)] = job.worker
            for job in pool.done(POLL_SECONDS):
                cell = jobs.pop(job)
                try:
                    yield cell, job.result()
                except Lost:
                    if cell in died:
                        yield cell, failed(Incomplete(Reason.DIED))
                    else:
                        died.add(cell)
                        queue.append(cell)
                except Erred as error:
                    yield cell, failed(Incomplete(Reason.ERROR, detail=error.message), (error.trace, error.message))
            self.say(self.progress())

    def _next(self, queue: list[Cell], linked: dict[tuple[str, str], Worker], worker: Worker | None) -> Cell:
        """Choose a cell for a worker: of those that are about as urgent as the next one, one whose variant it has linked, which takes as
        long as its samples; else one that no worker has linked."""
        next_one = queue[-1]
        if worker is None:
            return next_one
        for wanted in (worker, None):
            for cell in reversed(queue):
                if self._is_exact(cell) != self._is_exact(next_one) or 2 * self.cost[cell] < self.cost[next_one]:
                    break
                if linked.get(self._image(cell)) is wanted:
                    return cell
        return next_one


def variants_of(entry: Entry, only: str | None) -> list[str]:
    """Return the variants of an entry's family; with `only`, that one."""
    return [name for name in family(entry.family).variants if only in (None, name)]
