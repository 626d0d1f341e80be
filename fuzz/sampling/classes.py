# SPDX-License-Identifier: MIT
"""The classes of schedules that the runs of one program had so far. Runs of one class order all dependent accesses in the same way."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from vmrace.fuzz.sampling.portfolio import Ran
from vmrace.harness.explore.run_class import Entries, RunClasses
from vmrace.harness.link.image import Image
from vmrace.harness.machine.machine import m

_KEY = "entries of logs"            # in the cache of an image: the entries, after the times that `forget` was called before
_times = itertools.count()
_forgotten = next(_times)


def forget() -> None:
    """Forget what runs have taught of the images. It changes how often a class is counted, so each shard of a campaign begins without."""
    global _forgotten
    _forgotten = next(_times)


class Classes:
    """The classes of the runs of one program: `with classes.logged(): run it`, then `classes.is_new(the result)`.

    `on`: the cpu of each task; `up`: the image is for one cpu; `preempt`: tasks of one cpu can preempt each other.
    """

    def __init__(self, image: Image, on: Sequence[int], up: bool, preempt: bool):
        since, entries = image.cache.get(_KEY, (-1, None))
        if since != _forgotten:
            entries = Entries(up)
            image.cache[_KEY] = _forgotten, entries
        self.run_classes = RunClasses(entries, on, preempt)
        self.log: list[Any] = []
        self.unread: tuple[list[Any], set[int]] | None = None       # of the first run: many programs have only one
        self.decided: set[int] = set()
        self.seen: set[int] = set()

    def logged(self) -> _Logged:
        """Return a block in which the machine logs a run."""
        return _Logged(self.log)

    def shared(self) -> list[Any]:
        """List the objects, or parts of them, that several processes have touched, in whichever runs, since the last call."""
        self._read_first()
        news, self.run_classes.news = self.run_classes.news, []
        keys = self.run_classes.entries.locations.keys
        return [keys[location] for location in news]

    def is_new(self, ran: Ran) -> bool:
        """True if no earlier run had the class of the run just made. Runs with the same decisions are of one class."""
        decisions = hash((tuple(ran.switches), tuple(ran.forced)))
        if decisions in self.decided:
            return False
        first = not self.decided
        self.decided.add(decisions)
        if first:
            self.unread = [*self.log], {*m.looked}
            return True
        self._read_first()
        number = self.run_classes.of(self.log, m.looked)
        if number in self.seen:
            return False
        self.seen.add(number)
        return True

    def _read_first(self) -> None:
        """Work out the class of the first run, if that was not done yet."""
        if self.unread is not None:
            self.seen.add(self.run_classes.of(*self.unread))
            self.unread = None


class _Logged:
    """Has the machine keep a log for a block."""

    __slots__ = ("log",)

    def __init__(self, log: list[Any]):
        self.log = log

    def __enter__(self) -> None:
        m.run_log = self.log

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        m.run_log = None
