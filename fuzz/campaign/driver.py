# SPDX-License-Identifier: MIT
"""A campaign: shards on worker processes, findings shrunk and kept as they come.

The driver is the only writer, and runs nothing itself. A worker that dies loses its shard and nothing else: the shard is run
again. An error of ours in a worker costs its shard, too, and what the shard had found by then is kept. A new title is written down
as it was found (see raw) before it is confirmed and shrunk; if that fails, hangs or dies, this is what is kept.

Ctrl-C asks the workers to end where they are; what they have found by then is confirmed and kept as at any other end. A campaign
ends within its time, the time of shrinking and GRACE_SECONDS, even if a worker hangs.
"""

from __future__ import annotations

import pathlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vmrace.fuzz.campaign.messages import RUNS_PER_SHARD, ShardResult, ShardTask
from vmrace.fuzz.campaign.shard import run_shard
from vmrace.fuzz.corpus import entry as entries
from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.entry import EntryError
from vmrace.fuzz.corpus.verdict import bug
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.run.workers import Erred, Job, Lost, Workers
from vmrace.fuzz.sampling.portfolio import Tally
from vmrace.fuzz.shrink.confirm import Confirmed, confirm
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.times import ASKED_SECONDS, GRACE_SECONDS, shrink_seconds
from vmrace.harness import stop
from vmrace.harness.finding import is_only_told
from vmrace.variants.program import Program

SHARD_SECONDS = 2.0
RUNS_SHARED_MIN = 500       # a campaign with so few runs left gives them all to one worker
RETRIES_MAX = 3
LOST_IN_A_ROW_MAX = 10      # shards, with none between that came to its end: then something is wrong with more than one
NOT_ASKED = "as --no-shrink asks"
DIED = "the process that shrank it died"
HANDED_ON_MAX = 60          # kept programs that go along with a shard


@dataclass
class Options:
    """What `vmrace fuzz` was asked for. Times in seconds; `runs` 0 means no limit."""

    family: str
    variant: str
    seconds: float = 60.0
    runs: int = 0
    seed: int = 0
    workers: int = 2
    keep_going: bool = False
    corpus: pathlib.Path = pathlib.Path("corpus")
    shrink: bool = True


@dataclass
class Status:
    """Where a campaign is."""

    started: float = 0.0
    runs: int = 0
    distinct: int = 0
    programs: int = 0
    checked: int = 0
    limit_runs: int = 0
    features: int = 0
    blocks: int = 0
    kept: int = 0
    last_new: float = 0.0
    lost: int = 0
    given_up: int = 0                                                   # of these, the ones that were not run again
    tallies: dict[str, Tally] = field(default_factory=dict)
    titles: dict[str, int] = field(default_factory=dict)
    first_run: dict[str, int] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    known: dict[str, pathlib.Path] = field(default_factory=dict)       # title -> the entry that has it
    unshrunk: list[str] = field(default_factory=list)                   # new titles whose shrinking was cut
    raw: dict[str, pathlib.Path | None] = field(default_factory=dict)   # titles that were not confirmed, and where their runs are
    unkept: list[str] = field(default_factory=list)                     # new titles whose entries could not be written
    unread: list[str] = field(default_factory=list)                     # files of the corpus that are no entries
    errors: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def whole(self) -> bool:
        """True if nothing was lost on the way: neither a shard, nor a hit, nor an entry, be it one of the corpus."""
        return not (self.given_up or self.raw or self.unkept or self.unread or self.errors)


def known_titles(options: Options) -> tuple[dict[str, pathlib.Path], list[EntryError]]:
    """Titles that an entry of the corpus already expects of this variant, with the first such entry; and what is wrong with files there
    that are none."""
    known: dict[str, pathlib.Path] = {}
    loaded, bad = entries.load_all(options.corpus) if options.corpus.is_dir() else ([], [])
    for kept in loaded:
        if kept.path is not None and kept.family == options.family and kept.expect.get(options.variant) == bug(kept.title):
            known.setdefault(kept.title, kept.path)
    return known, bad


class Campaign:
    """`tell(kind, value)` hears of everything: "start" (Options, Status), "finding" (Confirmed, Hit, path or None), "lost" text,
    "known" (Hit, path), "raw" (Hit, why, path or None, text), "tick" Status, "error" text, "stopping" Status.
    When nobody `listens` any more it comes to its end, as if the time were up."""

    def __init__(self, options: Options, tell: Callable[[str, Any], None], listens: Callable[[], bool] = lambda: True):
        self.options = options
        self.tell = tell
        self.listens = listens
        self.status = Status()
        self.programs: list[Program] = []
        self.next_shard = 0
        self.workers = Workers(options.workers)
        self.shards: dict[Job, tuple[ShardTask, int]] = {}
        self.again: deque[tuple[ShardTask, int]] = deque()      # shards that were lost, and are to be run again
        self.hits: deque[tuple[Hit, str]] = deque()             # to be confirmed, and why they are not to be shrunk
        self.confirming: dict[Job, tuple[Hit, str]] = {}
        self.seen: set[str] = set()
        self.lost_in_a_row = 0
        self.broken = False
        self.stopped_at = 0.0

    @property
    def found_on(self) -> str:
        return f"{self.options.family}/{self.options.variant}"

    def run(self) -> Status:
        options, status = self.options, self.status
        _writable(options.corpus)
        status.known, bad = known_titles(options)
        status.unread = [str(error) for error in bad]
        status.started = time.monotonic()
        with stop_request.heard(), stop_request.at_once(self.workers.kill):
            try:
                self.tell("start", (options, status))
                for text in status.unread:
                    self.tell("error", text)
                self._drive()
            finally:
                self.workers.stop()
            for task, _ in (*self.shards.values(), *self.again):
                if not status.interrupted:
                    status.given_up += 1
                    self.tell("lost", f"shard {task.number} given up, as the campaign is over")
            for hit, _ in (*self.confirming.values(), *self.hits):
                self._keep_raw(hit, "interrupted" if status.interrupted else "the time was up")
        return status

    # ---- the loop --------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        status = self.status
        while True:
            if stop.asked() and not status.interrupted:
                status.interrupted, self.stopped_at = True, time.monotonic()
                self.tell("stopping", status)
            self._fill()
            if not self.shards and not self.confirming:
                return
            for job in self.workers.done(0.1 if status.interrupted else 0.5):
                if job in self.shards:
                    self._shard_done(job)
                else:
                    self._confirmed(job)
            self.tell("tick", status)
            if time.monotonic() > self._until():
                status.lost += len(self.shards)
                return

    def _until(self) -> float:
        """When the driver waits no longer."""
        if self.status.interrupted:
            return self.stopped_at + ASKED_SECONDS
        return self._shrunk_by() + GRACE_SECONDS

    def _shrunk_by(self) -> float:
        """Until when shrinking may go on: a little after the campaign's time, wherever in it the hit came."""
        return self.status.started + self.options.seconds + shrink_seconds(self.options.seconds)

    def _fill(self) -> None:
        """Give every worker something to do: first what was found."""
        while len(self.shards) + len(self.confirming) < self.options.workers:
            try:
                if self.hits:
                    self._confirm(*self.hits[0])
                    self.hits.popleft()
                elif self.again and not self._ending():
                    self._submit(*self.again[0])
                    self.again.popleft()
                elif self._more():
                    self._submit(self._next_task(), 0)
                else:
                    return
            except OSError as error:            # no process, or no file descriptor, is left
                if not self.shards and not self.confirming:
                    self.broken = True
                    self._error(f"no worker process can be started: {writing.why(error)}")
                return

    def _ending(self) -> bool:
        """True if it is to end as soon as it can: somebody asks, nobody listens, or nothing works."""
        return self.status.interrupted or not self.listens() or self.broken or self.lost_in_a_row > LOST_IN_A_ROW_MAX

    def _more(self) -> bool:
        status, options = self.status, self.options
        if self._ending() or (not options.keep_going and not all(map(is_only_told, status.new))):
            return False
        if options.runs and not self._runs_left():
            return False
        return status.seconds < options.seconds

    def _runs_left(self) -> int:
        """The runs that no shard has done or been given."""
        return self.options.runs - self.status.runs - sum(task.runs for task, _ in (*self.shards.values(), *self.again))

    def _next_task(self) -> ShardTask:
        options, number = self.options, self.next_shard
        self.next_shard += 1
        left = max(0.2, options.seconds - self.status.seconds)
        handed = self.programs[-HANDED_ON_MAX:]
        runs = RUNS_PER_SHARD
        if options.runs:
            idle = options.workers - len(self.shards) - len(self.confirming)
            runs = min(runs, self._runs_left(), max(RUNS_SHARED_MIN, -(-self._runs_left() // idle)))
        return ShardTask(options.family, options.variant, options.seed, number, runs, min(SHARD_SECONDS, left),
                         frozenset(self.seen), handed, kept=None if options.keep_going else frozenset(self.status.known))

    def _submit(self, task: ShardTask, retries: int) -> None:
        self.shards[self.workers.give(run_shard, [task], task.seconds + GRACE_SECONDS)] = task, retries

    def _confirm(self, hit: Hit, unshrunk: str) -> None:
        """Have a new title confirmed and shrunk."""
        deadline = self._shrunk_by()
        arguments = [self.options.family, self.options.variant, hit, self.options.seed, unshrunk, deadline]
        seconds = max(0.0, deadline - time.monotonic()) + GRACE_SECONDS
        self.confirming[self.workers.give(confirm, arguments, seconds)] = hit, unshrunk

    def _shard_done(self, job: Job) -> None:
        status = self.status
        task, retries = self.shards.pop(job)
        try:
            result: ShardResult = job.result()
        except (Lost, Erred) as error:
            status.lost += 1
            self.lost_in_a_row += 1
            again = isinstance(error, Lost) and retries < RETRIES_MAX and not status.interrupted
            self.tell("lost", f"shard {task.number} lost ({error}); {'run again' if again else 'given up'}")
            if again:
                self.again.append((task, retries + 1))
            else:
                status.given_up += 1
            return
        if result.error:
            status.lost += 1
            status.given_up += 1
            self.lost_in_a_row += 1
            self._error(f"shard {task.number} was not run to its end: {result.error}")
        else:
            self.lost_in_a_row = 0
        self._merge(result)

    def _error(self, text: str) -> None:
        self.status.errors.append(text)
        self.tell("error", text)

    def _merge(self, result: ShardResult) -> None:
        status = self.status
        for hit in result.hits:
            if hit.title not in self.seen:
                self.seen.add(hit.title)
                hit.run += status.runs
                status.first_run[hit.title] = hit.run
                hit.seconds -= status.started
                if hit.title in status.known:
                    self.tell("known", (hit, status.known[hit.title]))
                else:
                    status.new.append(hit.title)
                    self._write_down(hit)
                    self.hits.append((hit, "" if self.options.shrink else NOT_ASKED))
        status.runs += result.runs
        status.distinct += result.distinct
        status.programs += result.programs_run
        status.checked += result.checked_runs
        status.limit_runs += result.limit_runs
        status.features = max(status.features, result.features)
        status.blocks = max(status.blocks, result.blocks)
        if result.kept:
            status.last_new = status.seconds
            self.programs += result.kept
            status.kept = len(self.programs)
            del self.programs[:-2000]
        for name, tally in result.tallies.items():
            mine = status.tallies.setdefault(name, Tally())
            mine.runs += tally.runs
            mine.distinct += tally.distinct
            mine.features += tally.features
            mine.findings += tally.findings
        for title, seen in result.titles.items():
            status.titles[title] = status.titles.get(title, 0) + seen

    def _write_down(self, hit: Hit) -> None:
        """Keep the hit as it was found, before it is confirmed."""
        try:
            hit_file.save(hit, self.found_on, self.options.corpus)
        except EntryError as error:
            self.tell("error", str(error))     # it is told in full, whatever becomes of it

    def _confirmed(self, job: Job) -> None:
        hit, unshrunk = self.confirming.pop(job)
        try:
            confirmed: Confirmed = job.result()
        except Lost as error:
            if unshrunk in ("", NOT_ASKED) and not self.status.interrupted and time.monotonic() < self._shrunk_by():
                self.tell("lost", f"shrinking of {hit.title!r} lost ({error}); it is to be confirmed as it was found")
                self.hits.append((hit, DIED))
            else:
                self._keep_raw(hit, f"its worker was lost: {error}")
        except Erred as error:                  # our error: say so, keep the campaign
            self._keep_raw(hit, f"{error} (this is our bug)")
        else:
            self._keep(confirmed, hit)

    # ---- keeping ----------------------------------------------------------------------------------------------------

    def _keep(self, confirmed: Confirmed, hit: Hit) -> None:
        if confirmed.cut:
            self.status.unshrunk.append(hit.title)
        path: pathlib.Path | None = None
        try:
            path = entries.save(confirmed.entry, self.options.corpus)
            hit_file.remove(hit, self.found_on, self.options.corpus)
        except EntryError as error:
            self.status.unkept.append(hit.title)
            self.tell("error", str(error))
        self.tell("finding", (confirmed, hit, path))

    def _keep_raw(self, hit: Hit, why: str) -> None:
        """A hit that was not confirmed is no finding. It stays as it was found."""
        self.status.new.remove(hit.title)
        path: pathlib.Path | None = None
        try:
            path = hit_file.save(hit, self.found_on, self.options.corpus)
        except EntryError as error:
            self.tell("error", str(error))
        self.status.raw[hit.title] = path
        self.tell("raw", (hit, why, path, hit_file.emit(hit, self.found_on)))


def _writable(directory: pathlib.Path) -> None:
    """EntryError unless entries can be written there: found out before the campaign, not after."""
    trial = directory / f".writable{writing.PARTIAL}"
    try:
        with writing.alone(directory):
            writing.write(trial, "")
            trial.unlink()
    except OSError as error:
        raise EntryError(f"{directory}: cannot be written: {writing.why(error)}") from None
