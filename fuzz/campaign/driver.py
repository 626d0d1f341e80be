# SPDX-License-Identifier: MIT
"""The driver of a campaign: it gives shards to worker processes, and has each new title confirmed, shrunk and kept at once.

The driver is the only process that writes files, and makes no runs itself. If a worker dies, only its shard is lost, and is run again.
If vmrace has an error in a worker, its shard ends, and its findings so far are kept. A new title is first saved as a hit file, then
confirmed and shrunk. If that fails, hangs or dies, the hit file stays.

Ctrl-C asks the workers to stop between two runs. Their hits by then are confirmed and kept, as at any other end, for ASKED_SECONDS at
most. A campaign ends within its time, plus the time for shrinking, plus GRACE_SECONDS, even if a worker hangs.
"""

from __future__ import annotations

import pathlib
import time
from collections import deque
from dataclasses import dataclass

from vmrace.fuzz.campaign import libfuzzer_shard
from vmrace.fuzz.campaign.messages import RUNS_PER_SHARD, ShardResult, ShardTask
from vmrace.fuzz.campaign.shard import run_shard
from vmrace.fuzz.campaign.status import Status
from vmrace.fuzz.campaign.view import View
from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.entry import EntryError, load_all, save
from vmrace.fuzz.libfuzzer import exchange
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.run.workers import Erred, Job, Lost, Workers
from vmrace.fuzz.sampling.portfolio import Tally
from vmrace.fuzz.shrink.confirm import Confirmed, confirm
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.times import ASKED_SECONDS, GRACE_SECONDS, shrink_seconds
from vmrace.harness import stop
from vmrace.harness.finding import is_only_told
from vmrace.variants.family import identity
from vmrace.variants.program import Program

ENGINES = {"own": run_shard, "atheris": libfuzzer_shard.run_shard}
SHARD_SECONDS = 2.0
RUNS_SHARED_MIN = 500       # a campaign with at most 500 runs left gives them all to one worker
RETRIES_MAX = 3             # a shard whose worker died is run again at most three times
LOST_IN_A_ROW_MAX = 10      # more lost shards without a complete one between: the cause is not in a single shard, so the campaign ends
NOT_ASKED = "as --no-shrink asks"
DIED = "the process that shrank it died"
HANDED_ON_MAX = 60          # kept programs sent with a shard
PROGRAMS_MAX = 2_000        # kept programs that the driver remembers


@dataclass
class Options:
    """The options of `vmrace fuzz`. `seconds` is the time limit; `runs` is the limit of runs, 0 means none.

    `engine` makes the shards. `inputs`: a directory of inputs of fuzz/libfuzzer, to begin with and to add to.
    """

    family: str
    variant: str
    seconds: float = 60.0
    runs: int = 0
    seed: int = 0
    workers: int = 2
    keep_going: bool = False
    corpus: pathlib.Path = pathlib.Path("corpus")
    shrink: bool = True
    engine: str = "own"
    inputs: pathlib.Path | None = None


def known_titles(options: Options) -> tuple[dict[str, pathlib.Path], list[EntryError]]:
    """Map each title that an entry of the corpus expects on this variant to the first such entry. Also returns an error for each file
    of the corpus that is not an entry."""
    known: dict[str, pathlib.Path] = {}
    loaded, bad = load_all(options.corpus) if options.corpus.is_dir() else ([], [])
    for kept in loaded:
        expected = kept.expect.get(options.variant) if kept.family == options.family else None
        if kept.path is not None and expected is not None and expected.title and (
                identity(f"{options.family}/{options.variant}", expected.title) == identity(kept.found_on, kept.title)):
            known.setdefault(expected.title, kept.path)
    return known, bad


class Campaign:
    """A campaign on one variant. `run` runs it to its end, and calls the view for each event."""

    def __init__(self, options: Options, view: View):
        self.options = options
        self.view = view
        self.status = Status()
        self.programs: list[Program] = []
        self.read: list[Program] = []                           # programs of the inputs that no shard has had
        self.next_shard = 0
        self.workers = Workers(options.workers)
        self.shards: dict[Job, tuple[ShardTask, int]] = {}
        self.again: deque[tuple[ShardTask, int]] = deque()      # lost shards to run again
        self.hits: deque[tuple[Hit, str]] = deque()             # hits to confirm, and the reason not to shrink them, or ""
        self.confirming: dict[Job, tuple[Hit, str]] = {}
        self.seen: set[str] = set()
        self.lost_in_a_row = 0
        self.broken = False
        self.stopped_at = 0.0

    @property
    def found_on(self) -> str:
        return f"{self.options.family}/{self.options.variant}"

    def conduct(self) -> Status:
        """Run the campaign to its end. Raises EntryError if its corpus cannot be written."""
        options, status = self.options, self.status
        try:
            writing.check_writable(options.corpus)
        except OSError as error:
            raise EntryError(f"{options.corpus}: cannot be written: {writing.why(error)}") from None
        if options.inputs is not None:
            self.read = exchange.read(options.inputs, options.family, options.variant)
        status.known, bad = known_titles(options)
        status.unread = [str(error) for error in bad]
        status.started = time.monotonic()
        with stop_request.heard(), stop_request.at_once(self.workers.kill):
            try:
                self.view.start(status)
                for text in status.unread:
                    self.view.error(text)
                self._drive()
            finally:
                self.workers.stop()
            for task, _ in (*self.shards.values(), *self.again):
                if not status.interrupted:
                    status.given_up += 1
                    self.view.lost(f"shard {task.number} given up, as the campaign is over")
            for hit, _ in (*self.confirming.values(), *self.hits):
                self._keep_raw(hit, "interrupted" if status.interrupted else "the time was up")
        return status

    # ---- the loop --------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        status = self.status
        while True:
            if stop.asked() and not status.interrupted:
                status.interrupted, self.stopped_at = True, time.monotonic()
                self.view.stopping()
            self._fill()
            if not self.shards and not self.confirming:
                return
            for job in self.workers.done(0.1 if status.interrupted else 0.5):
                if job in self.shards:
                    self._shard_done(job)
                else:
                    self._confirmed(job)
            self.view.tick(status)
            if time.monotonic() > self._until():
                status.lost += len(self.shards)
                return

    def _until(self) -> float:
        """The time at which the driver stops waiting for workers, of time.monotonic."""
        if self.status.interrupted:
            return self.stopped_at + ASKED_SECONDS
        return self._shrunk_by() + GRACE_SECONDS

    def _shrunk_by(self) -> float:
        """The time at which all shrinking ends, of time.monotonic: `shrink_seconds` after the campaign's time."""
        return self.status.started + self.options.seconds + shrink_seconds(self.options.seconds)

    def _fill(self) -> None:
        """Give every idle worker a job: first hits to confirm, then lost shards, then new shards."""
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
            except OSError as error:            # the system has no process or no file descriptor left
                if not self.shards and not self.confirming:
                    self.broken = True
                    self._error(f"no worker process can be started: {writing.why(error)}")
                return

    def _ending(self) -> bool:
        """True if the campaign must end early: it is asked to stop, the output is closed, or workers cannot start or keep dying."""
        return self.status.interrupted or not self.view.listens() or self.broken or self.lost_in_a_row > LOST_IN_A_ROW_MAX

    def _more(self) -> bool:
        status, options = self.status, self.options
        if self._ending() or (not options.keep_going and not all(map(is_only_told, status.new))):
            return False
        if options.runs and not self._runs_left():
            return False
        return status.seconds < options.seconds

    def _runs_left(self) -> int:
        """The number of runs, out of options.runs, that no shard has made or may still make."""
        left = self.options.runs - self.status.runs - sum(task.runs for task, _ in (*self.shards.values(), *self.again))
        assert left >= 0, f"{-left} runs more than the limit of {self.options.runs}"
        return left

    def _next_task(self) -> ShardTask:
        options, number = self.options, self.next_shard
        self.next_shard += 1
        left = max(0.2, options.seconds - self.status.seconds)
        handed = self.read[-HANDED_ON_MAX:] or self.programs[-HANDED_ON_MAX:]
        del self.read[-HANDED_ON_MAX:]
        runs = RUNS_PER_SHARD
        if options.runs:
            idle = options.workers - len(self.shards) - len(self.confirming)
            runs = min(runs, self._runs_left(), max(RUNS_SHARED_MIN, -(-self._runs_left() // idle)))
        return ShardTask(options.family, options.variant, options.seed, number, runs, min(SHARD_SECONDS, left),
                         frozenset(self.seen), handed, kept=None if options.keep_going else frozenset(self.status.known))

    def _submit(self, task: ShardTask, retries: int) -> None:
        self.shards[self.workers.give(ENGINES[self.options.engine], [task], task.seconds + GRACE_SECONDS)] = task, retries

    def _confirm(self, hit: Hit, unshrunk: str) -> None:
        """Give a hit to a worker, to be confirmed and, unless `unshrunk` names a reason not to, shrunk."""
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
            self.view.lost(f"shard {task.number} lost ({error}); {'run again' if again else 'given up'}")
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
        assert status.distinct <= status.runs, f"{status.distinct} distinct runs of {status.runs}"

    def _error(self, text: str) -> None:
        self.status.errors.append(text)
        self.view.error(text)

    def _merge(self, result: ShardResult) -> None:
        status = self.status
        for hit in result.hits:
            if hit.title not in self.seen:
                self.seen.add(hit.title)
                hit.run += status.runs
                status.first_run[hit.title] = hit.run
                hit.seconds -= status.started
                if hit.title in status.known:
                    self.view.known(hit, status.known[hit.title])
                else:
                    status.new.append(hit.title)
                    self._write_down(hit)
                    self.hits.append((hit, "" if self.options.shrink else NOT_ASKED))
        status.runs += result.runs
        status.distinct += result.distinct
        status.programs += result.programs_run
        status.checked += result.checked_runs
        status.limit_runs += result.limit_runs
        status.left_open.update(result.left_open)
        status.features = max(status.features, result.features)
        status.blocks = max(status.blocks, result.blocks)
        if result.kept:
            status.last_new = status.seconds
            self.programs += result.kept
            self._write_inputs(result.kept)
            status.kept = len(self.programs)
            del self.programs[:-PROGRAMS_MAX]
        for name, tally in result.tallies.items():
            status.tallies.setdefault(name, Tally()).add(tally)
        for title, seen in result.titles.items():
            status.titles[title] = status.titles.get(title, 0) + seen

    def _write_inputs(self, programs: list[Program]) -> None:
        if self.options.inputs is not None:
            try:
                exchange.write(self.options.inputs, programs)
            except EntryError as error:
                self.options.inputs = None          # one line is enough
                self._error(str(error))

    def _write_down(self, hit: Hit) -> None:
        """Save the hit before it is confirmed."""
        try:
            hit_file.save(hit, self.found_on, self.options.corpus)
        except EntryError as error:
            self.view.error(str(error))     # no loss yet: the finding, or the raw hit, will be printed in full

    def _confirmed(self, job: Job) -> None:
        hit, unshrunk = self.confirming.pop(job)
        try:
            confirmed: Confirmed = job.result()
        except Lost as error:
            if unshrunk in ("", NOT_ASKED) and not self.status.interrupted and time.monotonic() < self._shrunk_by():
                self.view.lost(f"shrinking of {hit.title!r} lost ({error}); it will be confirmed without shrinking")
                self.hits.append((hit, DIED))
            else:
                self._keep_raw(hit, f"its worker was lost: {error}")
        except Erred as error:                  # an error of vmrace: report it, and go on with the campaign
            self._keep_raw(hit, f"{error} (this is our bug)")
        else:
            self._keep(confirmed, hit)

    # ---- keeping ----------------------------------------------------------------------------------------------------

    def _keep(self, confirmed: Confirmed, hit: Hit) -> None:
        if confirmed.cut:
            self.status.unshrunk.append(hit.title)
        path: pathlib.Path | None = None
        try:
            path = save(confirmed.entry, self.options.corpus)
            hit_file.remove(hit, self.found_on, self.options.corpus)
        except EntryError as error:
            self.status.unkept.append(hit.title)
            self.view.error(str(error))
        self.view.finding(confirmed, hit, path)

    def _keep_raw(self, hit: Hit, why: str) -> None:
        """Keep a hit that was not confirmed as a hit file. It no longer counts as a new title. `why` is the reason."""
        assert hit.title in self.status.new, f"{hit.title!r} is reported twice, or was never a new title"
        self.status.new.remove(hit.title)
        path: pathlib.Path | None = None
        try:
            path = hit_file.save(hit, self.found_on, self.options.corpus)
        except EntryError as error:
            self.view.error(str(error))
        self.status.raw[hit.title] = path
        self.view.raw(hit, why, path, hit_file.emit_hit(hit, self.found_on))
