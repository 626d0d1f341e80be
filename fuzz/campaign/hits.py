# SPDX-License-Identifier: MIT
"""The hits of a campaign: a worker confirms and shrinks each new title, and it is kept. They are reported in the order of their runs.

A new title is first saved as a hit file. If confirming it fails, hangs or dies, the hit file stays.
"""

from __future__ import annotations

import pathlib
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from vmrace.fuzz.campaign.status import Options, Status
from vmrace.fuzz.campaign.view import View
from vmrace.fuzz.corpus import hit_file
from vmrace.fuzz.corpus.entry import EntryError, save
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.run.workers import Erred, Job, Lost, Workers
from vmrace.fuzz.shrink.confirm import Confirmed, confirm

NOT_ASKED = "as --no-shrink asks"
DIED = "the process that shrank it died"
CONFIRM_SECONDS_MAX = 3_600.0           # for one hit of a campaign without a time limit


class Hits:
    """The new titles that are to be confirmed (`queue`, each with the reason not to shrink it, or ""), and those that a worker has."""

    def __init__(self, options: Options, status: Status, workers: Workers, view: View):
        self.options, self.status, self.workers, self.view = options, status, workers, view
        self.queue: deque[tuple[Hit, str]] = deque()
        self.confirming: dict[Job, tuple[Hit, str]] = {}
        self.titles: deque[str] = deque()                       # to be reported, in this order
        self.reports: dict[str, Callable[[], None]] = {}        # title -> its report, if those before it are not made yet
        self.found_on = f"{options.family}/{options.variant}"

    @property
    def pending(self) -> bool:
        """True if a hit is not confirmed yet."""
        return bool(self.queue or self.confirming)

    def add(self, hit: Hit) -> None:
        """Take the first hit of a title, which an entry may know."""
        status = self.status
        self.titles.append(hit.title)
        if hit.title in status.known:
            self._report(hit.title, partial(self.view.known, hit, status.known[hit.title]))
            return
        status.new.append(hit.title)
        try:
            hit_file.save(hit, self.found_on, self.options.corpus)
        except EntryError as error:
            self.view.error(str(error))     # no loss yet: the finding, or the raw hit, will be printed in full
        self.queue.append((hit, "" if self.options.shrink else NOT_ASKED))

    def give(self, deadline: float, grace: float) -> None:
        """Give the first hit of the queue to a worker: it is shrunk until `deadline`, of time.monotonic, and `grace` seconds later the
        worker is killed. Raises OSError if no worker can be started; the hit stays in the queue then."""
        hit, unshrunk = self.queue[0]
        arguments = [self.options.family, self.options.variant, hit, self.options.seed, unshrunk, deadline]
        seconds = min(max(0.0, deadline - time.monotonic()), CONFIRM_SECONDS_MAX) + grace
        job = self.workers.give(confirm, arguments, seconds)
        self.confirming[job] = self.queue.popleft()

    def done(self, job: Job, deadline: float) -> None:
        """Keep the hit that a worker has confirmed. If the worker died before `deadline`, the hit will be confirmed without shrinking."""
        hit, unshrunk = self.confirming.pop(job)
        try:
            confirmed: Confirmed = job.result()
        except Lost as error:
            if unshrunk in ("", NOT_ASKED) and not self.status.interrupted and time.monotonic() < deadline:
                self.view.lost(f"shrinking of {hit.title!r} lost ({error}); it will be confirmed without shrinking")
                self.queue.append((hit, DIED))
            else:
                self._keep_raw(hit, f"its worker was lost: {error}")
        except Erred as error:                  # an error of vmrace: report it, and go on with the campaign
            self._keep_raw(hit, f"{error} (this is our bug)")
        else:
            self._keep(confirmed, hit)

    def end(self, why: str) -> None:
        """Keep the hits that are not confirmed, for the reason `why`."""
        for hit, _ in (*self.confirming.values(), *self.queue):
            self._keep_raw(hit, why)
        assert not self.titles, f"not reported: {list(self.titles)}"

    # ---- one hit ----------------------------------------------------------------------------------------------------

    def _keep(self, confirmed: Confirmed, hit: Hit) -> None:
        path: pathlib.Path | None = None
        try:
            path = save(confirmed.entry, self.options.corpus)
            hit_file.remove(hit, self.found_on, self.options.corpus)
        except EntryError as error:
            self.status.unkept.append(hit.title)
            self.view.error(str(error))

        def report() -> None:
            if confirmed.cut:
                self.status.unshrunk.append(hit.title)
            self.view.finding(confirmed, hit, path)
        self._report(hit.title, report)

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
        self._report(hit.title, partial(self.view.raw, hit, why, path, hit_file.emit_hit(hit, self.found_on)))

    def _report(self, title: str, report: Callable[[], None]) -> None:
        """Report a title as soon as all titles before it are reported."""
        self.reports[title] = report
        while self.titles and self.titles[0] in self.reports:
            self.reports.pop(self.titles.popleft())()
