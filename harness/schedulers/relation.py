# SPDX-License-Identifier: MIT
"""Learns from the runs of a program which load read from which store, and how many events each task has at a place.

Loads and stores are sites in the source, so a pair stands for all tasks that run the same functions. The acquire of a lock is a load:
it reads from the release before it. INIT stands for the store that no task has made.
"""

from __future__ import annotations

import random
from types import CodeType
from typing import Any, NamedTuple

from vmrace.harness.points import ACQUIRE, READ, RELEASE, RMW, SPAWN, TRYLOCK, WAIT, WAKE, WRITE

LOADS = frozenset((READ, RMW, ACQUIRE, TRYLOCK, WAIT, WAKE))            # what it finds there is what an earlier event left
STORES = frozenset((WRITE, RMW, ACQUIRE, TRYLOCK, RELEASE, WAIT, WAKE))

Site = tuple[CodeType, int]                     # code, instruction
INIT = None
SEVERAL = -1
Pair = tuple[Any, Site, Site | None]            # place, load, store
MISSES_WEIGH = 2            # a try of a pair that no run has shown counts as this number of tries, as the pair may be impossible


class Event(NamedTuple):
    """An event that a task is about to make."""

    kind: int
    obj: Any
    place: Any
    site: Site

    def conflicts(self, other: Event) -> bool:
        """True if the order of the two events can matter."""
        return self.place == other.place and not (self.kind == READ == other.kind)


class Place:
    """The loads and stores of one place, in the order in which they were first seen, each with its task, or SEVERAL.

    `counts`: the events of each task in the last run.
    """

    __slots__ = ("counts", "loads", "stores", "tasks")

    def __init__(self) -> None:
        self.loads: dict[Site, int] = {}
        self.stores: dict[Site | None, int] = {INIT: SEVERAL}
        self.tasks: set[int] = set()
        self.counts: dict[int, int] = {}

    @property
    def shared(self) -> bool:
        """True if several tasks use it, and one of them stores to it."""
        return len(self.tasks) > 1 and len(self.stores) > 1


class Relation:
    """The knowledge of all runs so far."""

    def __init__(self) -> None:
        self.places: dict[Any, Place] = {}
        self.shown: dict[Pair, int] = {}        # pair -> the number of runs that showed it
        self.tried: dict[Pair, int] = {}        # pair -> the number of runs that were to show it
        self.spawner: dict[int, int] = {}       # task -> the task that spawned it
        self._pairs: list[Pair] | None = None
        self.now: dict[Pair, None] = {}         # what the present run has shown
        self.counts: dict[Any, dict[int, int]] = {}     # its events, by place and task

    def begin(self) -> None:
        """Begin a run. The last one is over."""
        for pair in self.now:
            self.shown[pair] = self.shown.get(pair, 0) + 1
        for key, counts in self.counts.items():
            self.places[key].counts = counts
        self.last: dict[Any, Site | None] = {}
        self.now, self.counts = {}, {}

    def add(self, who: int, event: Event) -> None:
        """Add an event that a task has made in this run."""
        if event.kind == SPAWN:
            self.spawner[event.obj.number] = who
            return
        place = self.places.get(event.place)
        if place is None:
            place = self.places[event.place] = Place()
        if who not in place.tasks:
            place.tasks.add(who)
            self._pairs = None
        counts = self.counts.setdefault(event.place, {})
        counts[who] = counts.get(who, 0) + 1
        if event.kind in LOADS:
            self._seen(place.loads, event.site, who)
            self.now[event.place, event.site, self.last.get(event.place)] = None
        if event.kind in STORES and event.kind not in (ACQUIRE, TRYLOCK):
            self._seen(place.stores, event.site, who)
            self.last[event.place] = event.site

    def _seen(self, sites: dict[Any, int], site: Site, who: int) -> None:
        """Note that the task uses the site."""
        known = sites.get(site)
        if known != who and known != SEVERAL:
            sites[site] = who if known is None else SEVERAL
            self._pairs = None

    @property
    def pairs(self) -> list[Pair]:
        """Every load of a shared place, with every store of another task that it might read from."""
        if self._pairs is None:
            self._pairs = [(key, load, store) for key, place in self.places.items() if place.shared and not getattr(key, "sleeps", False)
                           for load, reader in place.loads.items() for store, writer in place.stores.items()
                           if reader != writer or reader == SEVERAL]
        return self._pairs

    def draw(self, rng: random.Random) -> Pair | None:
        """Draw one of the pairs that were tried least; those that no run has shown come first. None if there are no pairs."""
        best, drawn = -1, []
        for pair in self.pairs:
            shown = pair in self.shown
            score = self.tried.get(pair, 0) * (1 if shown else MISSES_WEIGH) + shown
            if best < 0 or score < best:
                best, drawn = score, [pair]
            elif score == best:
                drawn.append(pair)
        if not drawn:
            return None
        pair = drawn[int(rng.random() * len(drawn))]
        self.tried[pair] = self.tried.get(pair, 0) + 1
        return pair
