# SPDX-License-Identifier: MIT
"""A campaign: shards on worker processes, findings shrunk and kept as they come.

The driver is the only writer. A worker that dies loses its shard and nothing else: the shard is run again. Ctrl-C or SIGTERM
asks the workers to end where they are; what they have found by then is confirmed and kept as at any other end.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pathlib
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from typing import Any

from pebble import ProcessExpired, ProcessPool

from fuzz import entry as entries
from fuzz import stopping
from fuzz.confirm import Confirmed, confirm_safely
from fuzz.entry import EntryError
from fuzz.minimize import CUT_ASKED
from fuzz.shard import RUNS_PER_SHARD, Hit, ShardResult, ShardTask, Tally, run_shard
from fuzz.words import verdict_text
from harness.finding import only_told
from variants.program import Program

SHARD_SECONDS = 2.0
RUNS_SHARED_MIN = 500       # a campaign with so few runs left gives them all to one worker
RETRIES_MAX = 3
GRACE_SECONDS = 20.0        # after Ctrl-C, for workers to hand back what they have
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


def shrink_allowance(seconds: float) -> float:
    """How long shrinking may go on after a campaign of so many seconds: a tenth of it, from 2 to 30 seconds."""
    return min(max(seconds / 10, 2.0), 30.0)


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
    errors: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


def known_titles(options: Options) -> dict[str, pathlib.Path]:
    """Titles that an entry of the corpus already expects of this variant, with the first such entry."""
    out: dict[str, pathlib.Path] = {}
    if options.corpus.is_dir():
        for path in entries.find(options.corpus):
            kept = entries.load(path)
            if kept.family == options.family and kept.expect.get(options.variant) == verdict_text(kept.title):
                out.setdefault(kept.title, path)
    return out


class Campaign:
    """`tell(kind, value)` hears of everything: "start" (Options, Status), "finding" (Confirmed, Hit, path or None), "lost" text,
    "known" (Hit, path), "tick" Status, "error" text, "stopping" Status."""

    def __init__(self, options: Options, tell: Callable[[str, Any], None]):
        self.options = options
        self.tell = tell
        self.status = Status()
        self.programs: list[Program] = []
        self.next_shard = 0
        self.shards: dict[Any, tuple[ShardTask, int]] = {}
        self.shrinking: dict[Any, Hit] = {}
        self.waiting: list[Hit] = []
        self.seen: set[str] = set()
        self.stop = stopping.new_flag()
        self.stopped_at = 0.0

    def run(self) -> Status:
        options, status = self.options, self.status
        _writable(options.corpus)
        status.known = known_titles(options)
        status.started = time.monotonic()
        self.tell("start", (options, status))
        with self._signals():
            pool = ProcessPool(max_workers=options.workers, context=multiprocessing.get_context("fork"),
                               initializer=stopping.begin, initargs=(self.stop,))
            try:
                self._drive(pool)
            except KeyboardInterrupt:           # the second one: without the workers
                status.interrupted = True
            finally:
                pool.stop()
                pool.join(timeout=10)
                self._keep_unshrunk()
        return status

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM is no exception anywhere: `_drive` ends as it does with the time. The second one is."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def asked(number: int, frame: Any) -> None:
            if self.status.interrupted:
                raise KeyboardInterrupt
            self.status.interrupted = True
            self.stop.value = 1
            self.stopped_at = time.monotonic()

        before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # ---- the loop --------------------------------------------------------------------------------------------------

    def _drive(self, pool: Any) -> None:
        told = False
        while True:
            while self._more() and len(self.shards) + len(self.shrinking) < self.options.workers:
                self._submit(pool, self._next_task(), 0)
            pending = [*self.shards, *self.shrinking]
            if not pending:
                return
            done, _ = wait(pending, timeout=0.1 if self.status.interrupted else 0.5, return_when=FIRST_COMPLETED)
            for future in done:
                if future in self.shards:
                    self._shard_done(pool, future)
                else:
                    self._shrunk(pool, future)
            self.tell("tick", self.status)
            if self.status.interrupted:
                if not told:
                    self.tell("stopping", self.status)
                    told = True
                if time.monotonic() - self.stopped_at > GRACE_SECONDS:
                    return

    def _more(self) -> bool:
        status, options = self.status, self.options
        if status.interrupted or (not options.keep_going and not all(map(only_told, status.new))):
            return False
        if options.runs and not self._runs_left():
            return False
        return status.seconds < options.seconds

    def _runs_left(self) -> int:
        """The runs that no shard has done or been given."""
        return self.options.runs - self.status.runs - sum(task.runs for task, _ in self.shards.values())

    def _next_task(self) -> ShardTask:
        options, number = self.options, self.next_shard
        self.next_shard += 1
        left = max(0.2, options.seconds - self.status.seconds)
        handed = self.programs[-HANDED_ON_MAX:]
        runs = RUNS_PER_SHARD
        if options.runs:
            idle = options.workers - len(self.shards) - len(self.shrinking)
            runs = min(runs, self._runs_left(), max(RUNS_SHARED_MIN, -(-self._runs_left() // idle)))
        return ShardTask(options.family, options.variant, options.seed, number, runs, min(SHARD_SECONDS, left),
                         frozenset(self.seen), handed, kept=None if options.keep_going else frozenset(self.status.known))

    def _submit(self, pool: Any, task: ShardTask, retries: int) -> None:
        self.shards[pool.schedule(run_shard, args=[task], timeout=task.seconds * 10 + 60)] = (task, retries)

    def _shrink(self, pool: Any, hit: Hit) -> None:
        """Have a new title confirmed and shrunk: until a little after the campaign's time, wherever in it the hit came."""
        options, status = self.options, self.status
        unshrunk = "" if options.shrink else NOT_ASKED
        deadline = status.started + options.seconds + shrink_allowance(options.seconds)
        job = pool.schedule(confirm_safely, args=[options.family, options.variant, hit, options.seed, unshrunk, deadline],
                            timeout=options.seconds + 120)
        self.shrinking[job] = hit

    def _shard_done(self, pool: Any, future: Any) -> None:
        task, retries = self.shards.pop(future)
        try:
            result = future.result()
        except (ProcessExpired, TimeoutError) as error:
            self.status.lost += 1
            again = retries < RETRIES_MAX and not self.status.interrupted
            self.tell("lost", f"shard {task.number} lost ({type(error).__name__}: {error}); {'run again' if again else 'given up'}")
            if again:
                self._submit(pool, task, retries + 1)
            else:
                self.status.given_up += 1
            return
        self._merge(pool, result)

    def _merge(self, pool: Any, result: ShardResult) -> None:
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
                    self._shrink(pool, hit)
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
        for title, count in result.titles.items():
            status.titles[title] = status.titles.get(title, 0) + count

    def _shrunk(self, pool: Any, future: Any) -> None:
        hit = self.shrinking.pop(future)
        try:
            confirmed: Confirmed | str = future.result()
        except (ProcessExpired, TimeoutError) as error:
            self.waiting.append(hit)
            self.tell("lost", f"shrinking of {hit.title!r} lost ({type(error).__name__}); kept as it was found")
            return
        self._keep(confirmed, hit)

    # ---- keeping ----------------------------------------------------------------------------------------------------

    def _keep(self, confirmed: Confirmed | str, hit: Hit) -> None:
        if isinstance(confirmed, str):          # our error: say so, keep the campaign
            self.status.errors.append(f"{hit.title}: {confirmed}")
            self.tell("error", f"{hit.title}: {confirmed} (this is our bug)")
            return
        if confirmed.cut:
            self.status.unshrunk.append(hit.title)
        try:
            path: pathlib.Path | None = entries.save(confirmed.entry, self.options.corpus)
        except EntryError as error:
            self.tell("error", str(error))
            path = None
        self.tell("finding", (confirmed, hit, path))

    def _keep_unshrunk(self) -> None:
        """What was found but not shrunk, as its worker is gone: kept as it was found."""
        left = [(hit, DIED) for hit in self.waiting] + [(hit, CUT_ASKED) for hit in self.shrinking.values()]
        self.waiting.clear()
        self.shrinking.clear()
        for hit, why in left:
            self._keep(confirm_safely(self.options.family, self.options.variant, hit, self.options.seed, why), hit)


def _writable(directory: pathlib.Path) -> None:
    """EntryError unless entries can be written there: found out before the campaign, not after."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".writable"):
            pass
    except OSError as error:
        raise EntryError(f"{directory}: cannot be written: {error.strerror or error}") from None
