# SPDX-License-Identifier: MIT
"""`vmrace diff A B` without a program: search for programs that tell the variants apart.

The driver makes no runs. Worker processes run units (stream.py) and look into differences (decide.py); the results are merged in the order
of the units, so a search up to N runs has the same result with any number of workers. A state file has every result, so that a search
that was stopped or killed continues. A unit whose worker dies is run again once.
"""

from __future__ import annotations

import math
import pathlib
import time
from dataclasses import dataclass
from typing import Protocol

from vmrace.fuzz.compare.decide import Setting, begin, decide, run_unit
from vmrace.fuzz.compare.found import Decided, Found, Line, UnitResult
from vmrace.fuzz.compare.search_state import SearchState
from vmrace.fuzz.compare.totals import Totals
from vmrace.fuzz.corpus.entry import EntryError, parse, save
from vmrace.fuzz.run import stop_request
from vmrace.fuzz.run.state_file import Unwritable
from vmrace.fuzz.run.workers import Erred, Job, Lost, Workers
from vmrace.fuzz.text import writing
from vmrace.harness import stop

AHEAD = 64                  # units that workers may be ahead of the merge, for each worker
JOB_SECONDS = 7200.0        # a worker that does not answer for so long is killed
POLL_SECONDS = 0.3
DIED = "its worker process died twice"


@dataclass(frozen=True)
class SearchOptions:
    """The options of a search: it ends after `runs` runs, or `seconds` seconds. Minimal pairs are written into `into`."""

    runs: float = math.inf
    seconds: float = math.inf
    seed: int = 0
    workers: int = 2
    into: pathlib.Path = pathlib.Path("differences")


class SearchView(Protocol):
    """The reader of a search's events."""

    def found(self, search: Search, number: int, one: Decided, path: pathlib.Path | None) -> None:
        """Told of each difference that is kept: its number, counted from 1, and the file of its minimal pair."""

    def tick(self, search: Search) -> None:
        """Told now and then."""


class Search:
    """A search. `failed` is the error of a file that ended it early, or an empty text."""

    def __init__(self, setting: Setting, options: SearchOptions, state: SearchState, view: SearchView):
        self.setting, self.options, self.state, self.view = setting, options, state, view
        self.totals = Totals()
        self.before = len(state.units)
        self.pool = Workers(options.workers, begin, (setting,))
        self.jobs: dict[Job, UnitKey | tuple[int, int]] = {}
        self.died: set[UnitKey | tuple[int, int]] = set()
        self.next_unit = 0                              # the next unit to give to a worker
        self.merging = 0                                # the unit that is merged next, or is being merged
        self.index = -1                                 # of its differences, the one that is looked into; -1: it is not merged yet
        self.wanted: tuple[int, int] | None = None      # that difference, until it is decided
        self.paths: list[pathlib.Path | None] = []
        self.started = time.monotonic()
        self.lost = 0
        self.failed = ""

    @property
    def seconds(self) -> float:
        """The time since the start, in seconds."""
        return time.monotonic() - self.started

    @property
    def over(self) -> bool:
        """True if the runs or the time are used up, or the user asked to stop. The runs end only between two units."""
        spent = self.index < 0 and self.totals.runs >= self.options.runs
        return spent or self.seconds >= self.options.seconds or stop.asked()

    def conduct(self) -> None:
        """Search until it is over."""
        with stop_request.at_once(self.pool.kill):
            try:
                self._drive()
            except (Unwritable, EntryError) as error:
                self.failed = str(error)
            except OSError as error:
                self.failed = f"no worker process can be started: {writing.why(error)}"
            finally:
                self.pool.stop()

    def _drive(self) -> None:
        self._merge()
        while not self.over:
            self._fill()
            for job in self.pool.done(min(POLL_SECONDS, max(0.0, self.options.seconds - self.seconds))):
                self._done(job, self.jobs.pop(job))
            self._merge()
            self.view.tick(self)

    # ---- jobs ------------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        while len(self.jobs) < self.options.workers:
            key = self._next()
            if key is None:
                return
            try:
                job = self._give(key)
            except OSError:             # the system has no process or file descriptor left: go on with the workers there are
                if not self.jobs:
                    raise
                return
            self.jobs[job] = key
            if isinstance(key, int):
                self.next_unit = key + 1

    def _next(self) -> UnitKey | tuple[int, int] | None:
        """Choose the next job: the difference that the merge waits for, else the next unit without a result."""
        busy = self.jobs.values()
        if self.wanted is not None and self.wanted not in busy:
            return self.wanted
        key = next((one for one in self.died if isinstance(one, int) and one not in busy and one not in self.state.units), self.next_unit)
        while key in self.state.units or key in busy:
            key += 1
        return key if key < self.merging + AHEAD * self.options.workers else None

    def _give(self, key: UnitKey | tuple[int, int]) -> Job:
        if isinstance(key, int):
            return self.pool.give(run_unit, [key], JOB_SECONDS)
        return self.pool.give(decide, [*key, self._found(key)], JOB_SECONDS)

    def _found(self, key: tuple[int, int]) -> Found:
        return self.state.units[key[0]].found[key[1]]

    def _done(self, job: Job, key: UnitKey | tuple[int, int]) -> None:
        try:
            result: Line = job.result()
        except (Lost, Erred):
            self.lost += 1
            if key not in self.died:
                self.died.add(key)
                return
            if isinstance(key, int):
                unit = self.setting.stream.unit(key)
                result = UnitResult(key, unit.hunted, unit.program, error=DIED)
            else:
                result = Decided(*key, self._found(key).kind, error=DIED)
        self.state.add(result)

    # ---- the merge -------------------------------------------------------------------------------------------------------

    def _merge(self) -> None:
        """Add the results that are there, in order, up to the first that is missing."""
        while not self.over and (unit := self.state.units.get(self.merging)) is not None:
            if self.index < 0:
                self.totals.add(unit)
                self.index = 0
            if not self._differences(unit):
                return
            self.merging, self.index = self.merging + 1, -1

    def _differences(self, unit: UnitResult) -> bool:
        """Add the differences of a unit. Returns False if one has yet to be looked into."""
        while self.index < len(unit.found):
            key = unit.number, self.index
            if self.wanted is None and self.totals.wants(unit.found[self.index]):
                self.wanted = key
            if self.wanted is not None:
                decided = self.state.decided.get(key)
                if decided is None:
                    return False
                self.wanted = None
                if self.totals.decided(decided, unit.found[self.index]):
                    self._keep(decided)
            self.index += 1
        return True

    def _keep(self, one: Decided) -> None:
        path = save(parse(one.entry), self.options.into) if one.entry else None
        self.paths.append(path)
        self.view.found(self, len(self.totals.kept), one, path)


UnitKey = int
