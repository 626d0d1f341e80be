# SPDX-License-Identifier: MIT
"""The driver of a campaign: it gives shards to worker processes, and has each new title confirmed, shrunk and kept at once.

A campaign up to N runs is a function of its seed: order.py says what each shard knows, and the driver merges their results by number. It
drops what a shard has found after the run that ends the campaign. A hit is confirmed beside the search, and changes nothing in it.

The driver is the only process that writes files, and makes no runs itself. If a worker dies, only its shard is lost, and is run again.
If vmrace has an error in a worker, its shard ends, and its findings so far are kept. A new title is first saved as a hit file, then
confirmed and shrunk. If that fails, hangs or dies, the hit file stays.

Ctrl-C asks the workers to stop between two runs. Their hits by then are confirmed and kept, as at any other end, for ASKED_SECONDS at
most. A campaign ends within its time, plus the time for shrinking, plus GRACE_SECONDS, even if a worker hangs.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import replace

from vmrace.fuzz.campaign import libfuzzer_shard
from vmrace.fuzz.campaign.hits import Hits
from vmrace.fuzz.campaign.messages import RUNS_ENOUGH, RUNS_PER_SHARD, ShardResult, ShardTask
from vmrace.fuzz.campaign.order import Order
from vmrace.fuzz.campaign.shard import run_shard
from vmrace.fuzz.campaign.status import Options, Status, known_titles
from vmrace.fuzz.campaign.sweeps import Sweeps
from vmrace.fuzz.campaign.view import View
from vmrace.fuzz.corpus.entry import EntryError
from vmrace.fuzz.libfuzzer import exchange
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.workers import Erred, Job, Lost, Workers
from vmrace.fuzz.sampling.portfolio import Tally
from vmrace.fuzz.text import writing
from vmrace.fuzz.text.times import ASKED_SECONDS, GRACE_SECONDS, shrink_seconds
from vmrace.harness import stop
from vmrace.harness.finding import is_only_told
from vmrace.variants.program import Program

ENGINES = {"own": run_shard, "atheris": libfuzzer_shard.run_shard}
SHARD_SECONDS = 60.0        # a shard that takes so long is cut off; it mostly takes a fraction of a second
HIT_SECONDS = 10.0          # a hit can be shrunk for so long while the search goes on, or for as long as all hits can be after it
RETRIES_MAX = 3             # a shard whose worker died is run again at most three times
LOST_IN_A_ROW_MAX = 10      # more lost shards without a complete one between: the cause is not in a single shard, so the campaign ends
HANDED_ON_MAX = 60          # programs of the inputs sent with a shard


class Campaign:
    """A campaign on one variant. `run` runs it to its end, and calls the view for each event."""

    def __init__(self, options: Options, view: View):
        self.options = options
        self.view = view
        self.status = Status()
        self.read: list[Program] = []                           # programs of the inputs that no shard has had
        self.order = Order()
        self.workers = Workers(options.workers)
        self.shards: dict[Job, tuple[ShardTask, int]] = {}
        self.again: deque[tuple[ShardTask, int]] = deque()      # shards to run again: lost ones, and one with too many runs
        self.hits = Hits(options, self.status, self.workers, view)
        self.seen: set[str] = set()
        self.pairs: set[int] = set()
        self.blocks: set[int] = set()
        self.sweeps = Sweeps()
        self.lost_in_a_row = 0
        self.broken = False
        self.stopped_at = 0.0

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
                if not status.interrupted and not self._complete():
                    status.given_up += 1
                    self.view.lost(f"shard {task.number} given up, as the campaign is over")
            self.hits.end("interrupted" if status.interrupted else "the time was up")
            status.ended_by = self._ended_by()
        return status

    # ---- the loop --------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        status = self.status
        while True:
            if stop.asked() and not status.interrupted:
                status.interrupted, self.stopped_at = True, time.monotonic()
                self.view.stopping()
            self._fill()
            if not self.shards and not (self.again and self.hits.confirming):
                self._merge(anyhow=True)            # there may be results after a lost shard
            if not self.hits.pending and (not self.shards or self._complete()):
                return
            for job in self.workers.done(0.1 if status.interrupted else 0.5):
                if job in self.shards:
                    self._shard_done(job)
                else:
                    self.hits.done(job, self._shrunk_by())
            self._merge(anyhow=status.interrupted or self._time_is_up())
            self.view.tick(status)
            if time.monotonic() > self._until():
                status.lost += len(self.shards)
                return

    def _time_is_up(self) -> bool:
        return self.status.seconds >= self.options.seconds

    def _complete(self) -> bool:
        """True if the campaign has all its runs, or a title that ends it. Shards that are still running are then of no use."""
        options, status = self.options, self.status
        return 0 < options.runs <= status.runs or (not options.keep_going and not all(map(is_only_told, status.new)))

    def _ended_by(self) -> str:
        """Return what ended the campaign: `interrupt`, `runs`, `title`, `time` or `fault`. After `runs` and `title` it can be repeated."""
        if self.status.interrupted:
            return "interrupt"
        if self._complete():
            return "runs" if 0 < self.options.runs <= self.status.runs else "title"
        return "time" if self._time_is_up() else "fault"

    def _until(self) -> float:
        """The time at which the driver stops waiting for workers, of time.monotonic."""
        if self.status.interrupted:
            return self.stopped_at + ASKED_SECONDS
        return self._shrunk_by() + GRACE_SECONDS

    def _shrunk_by(self) -> float:
        """The time at which all shrinking ends, of time.monotonic: `shrink_seconds` after the campaign's time."""
        return self.status.started + self.options.seconds + shrink_seconds(self.options.seconds)

    def _shrunk_next_by(self) -> float:
        """The time at which shrinking of the next hit ends, of time.monotonic. A hit with long runs would take a worker from the search
        until the end of the campaign. Without a time limit, the result must not depend on the machine."""
        options = self.options
        if options.keep_going and options.seconds < math.inf:
            return min(self._shrunk_by(), time.monotonic() + max(HIT_SECONDS, shrink_seconds(options.seconds)))
        return self._shrunk_by()

    def _fill(self) -> None:
        """Give every idle worker a job: first hits to confirm, then lost shards, then new shards."""
        while len(self.shards) + len(self.hits.confirming) < self.options.workers:
            try:
                if self.hits.queue:
                    self.hits.give(self._shrunk_next_by(), GRACE_SECONDS)
                elif self.again and not self._ending():
                    self._submit(*self.again[0])
                    self.again.popleft()
                elif self._more():
                    task = self._task(self.order.next)
                    self._submit(task, 0)
                    assert self.order.begin() == task.number
                else:
                    return
            except OSError as error:            # the system has no process or no file descriptor left
                if not self.shards and not self.hits.confirming:
                    self.broken = True
                    self._error(f"no worker process can be started: {writing.why(error)}")
                return

    def _ending(self) -> bool:
        """True if the campaign must end early: it is asked to stop, the output is closed, or workers cannot start or keep dying."""
        return self.status.interrupted or not self.view.listens() or self.broken or self.lost_in_a_row > LOST_IN_A_ROW_MAX

    def _more(self) -> bool:
        """True if another shard may begin now."""
        options = self.options
        if self._ending() or self._complete() or self._time_is_up() or not self.order.ready:
            return False
        return not options.runs or self._runs_at_least() < options.runs

    def _runs_at_least(self) -> int:
        """Return the number of runs after all shards that have begun: a shard makes at least `enough` runs."""
        begun = sum(task.enough for task, _ in (*self.shards.values(), *self.again))
        return self.status.runs + begun + sum(result.runs for _, result in self.order.waiting.values() if result is not None)

    def _task(self, number: int) -> ShardTask:
        options = self.options
        runs = RUNS_PER_SHARD
        if options.runs:
            left = options.runs - number * RUNS_ENOUGH          # if no shard was lost
            runs = min(runs, left if left > 0 else options.runs)
        handed = self.read[number * HANDED_ON_MAX:(number + 1) * HANDED_ON_MAX]
        return ShardTask(options.family, options.variant, options.seed, number, runs, programs=handed, enough=min(RUNS_ENOUGH, runs),
                         kept=None if options.keep_going else frozenset(self.status.known))

    def _submit(self, task: ShardTask, retries: int) -> None:
        seconds = min(SHARD_SECONDS, max(0.2, self.options.seconds - self.status.seconds))
        given = replace(task, seconds=seconds, lesson=self.order.lesson(task.number, self.workers.idle()))
        job = self.workers.give(ENGINES[self.options.engine], [given], seconds + GRACE_SECONDS)
        self.order.learns(job.worker, task.number)
        self.shards[job] = task, retries

    def _shard_done(self, job: Job) -> None:
        status = self.status
        task, retries = self.shards.pop(job)
        try:
            self.order.done(task, job.result())
        except (Lost, Erred) as error:
            self.order.forget(job.worker)
            status.lost += 1
            self.lost_in_a_row += 1
            again = isinstance(error, Lost) and retries < RETRIES_MAX and not status.interrupted
            self.view.lost(f"shard {task.number} lost ({error}); {'run again' if again else 'given up'}")
            if again:
                self.again.append((task, retries + 1))
            else:
                status.given_up += 1
                self.order.done(task, None)

    def _error(self, text: str) -> None:
        self.status.errors.append(text)
        self.view.error(text)

    # ---- results ----------------------------------------------------------------------------------------------------

    def _merge(self, anyhow: bool) -> None:
        """Merge the shards that are done, in the order of their numbers; with `anyhow`, also those after one that is not done.

        If the last one makes more runs than the campaign has left, it is made again with so many.
        """
        while not self._complete() and (first := self.order.first(anyhow)) is not None:
            task, result = first
            left = self.options.runs - self.status.runs
            if result is not None and self.options.runs and result.runs > left and not anyhow:
                self.order.again(task)
                self.again.append((replace(task, runs=left, enough=min(task.enough, left)), 0))
                return
            self.order.merge(task)
            if result is not None:
                self._add(task, result)

    def _add(self, task: ShardTask, result: ShardResult) -> None:
        status = self.status
        if result.error:
            status.lost += 1
            status.given_up += 1
            self.lost_in_a_row += 1
            self._error(f"shard {task.number} was not run to its end: {result.error}")
        else:
            self.lost_in_a_row = 0
        for hit in result.hits:
            if hit.title in self.seen:              # a shard before saw it, too
                result.tallies[hit.scheduler].findings -= 1
                continue
            self.seen.add(hit.title)
            hit.run += status.runs
            status.first_run[hit.title] = hit.run
            hit.seconds -= status.started
            self.hits.add(hit)
        status.runs += result.runs
        status.distinct += result.distinct
        status.replays += result.replays
        status.programs += result.programs_run
        status.checked += result.checked_runs
        status.late += result.late
        status.limit_runs += result.limit_runs
        status.left_open.update(result.left_open)
        self.pairs.update(result.learnt.pairs)
        self.blocks.update(result.learnt.reached)
        self.sweeps.add(result.learnt.sweeps)
        status.swept, status.unswept, status.states = self.sweeps.ran, self.sweeps.waiting, len(self.sweeps.left)
        status.features = len(self.pairs) + len(self.blocks)
        if result.kept:
            status.last_new = status.seconds
            status.kept += len(result.kept)
            self._write_inputs(result.kept)
        for name, tally in result.tallies.items():
            status.tallies.setdefault(name, Tally()).add(tally)
        for title, seen in result.titles.items():
            status.titles[title] = status.titles.get(title, 0) + seen
        assert status.distinct <= status.runs, f"{status.distinct} distinct runs of {status.runs}"

    def _write_inputs(self, programs: list[Program]) -> None:
        if self.options.inputs is not None:
            try:
                exchange.write(self.options.inputs, programs)
            except EntryError as error:
                self.options.inputs = None          # one line is enough
                self._error(str(error))
