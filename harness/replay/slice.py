# SPDX-License-Identifier: MIT
"""The steps that matter for a failure: a backward slice over the events of its trace (Weiser, ICSE 1981; dynamic: Korel and Laski, 1988).

It begins with the events of the failure, and follows these dependences backwards, up to a number of events. Those that are the fewest
dependences away come first.

    staleness   an access depends on the last load of its own task whose location another task has changed in between, and on that store:
                the task acts on a value that is not valid any more.
    value       a load depends on the last store to its location: the same object, and the same field, bit or item.
    order       an access depends on the last load of its own task from the same object, if another task changes that location in the
                run: the task would have gone another way.
    lock        an acquire depends on the last release by another task, if that has held the lock since this task last did; and an access
                under such a lock depends on that acquire.
    wake-up     the first access after a sleep depends on the access that woke the task.
    wait        a task that waits for a lock depends on the acquires of its holders; one that sleeps or yields depends on its last load
                before, of a location that some task changes in the run.

Staleness adds no distance, because it is the race itself. A read-modify-write that leaves the value as it is counts as a load.

A location is judged by its name in the trace, so the slice knows no type of the kernel. It helps a reader and proves nothing: it does not
see fields that are touched under their lock, which are no points, nor the code between two points.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from vmrace.harness import points
from vmrace.harness.finding import Finding, Kind
from vmrace.harness.watchers.trace import PREEMPTED, RUNS, SLEEPS, SPINS, Event

LOOP = 8            # the last events of a livelock, or of a run of which nothing else is known
LOADS = (points.READ, points.RMW, points.TRYLOCK)


def task_name(event: Event) -> str:
    """Return the name of the event's task as in `Finding.task`."""
    return f"task{event.task}" if event.task >= 0 else f"idle{-2 - event.task}"


class Slice:
    """The dependences between the events of one run, by their positions in `events`."""

    def __init__(self, events: Sequence[Event]):
        self.events = events
        self.stores: dict[str, list[int]] = {}          # object -> stores to it
        self.locks: dict[str, list[int]] = {}           # lock -> its acquires and releases
        self.mine: dict[tuple[int, int], list[int]] = {}        # actor -> its accesses and changes
        self._contended: dict[tuple[Any, ...], bool] = {}       # (object, location, actor) -> see contended(): a livelock has 40,000 events
        for at, event in enumerate(events):
            if event.stores:
                self.stores.setdefault(event.obj, []).append(at)
            elif event.kind in (points.ACQUIRE, points.RELEASE):
                self.locks.setdefault(event.obj, []).append(at)
            if event.change or event.kind not in (points.LOCAL, points.IRQ):
                self.mine.setdefault(self.actor(event), []).append(at)

    @staticmethod
    def actor(event: Event) -> tuple[int, int]:
        """Return the process of an event: its task, and how deep it is in interrupts."""
        return event.task, event.irq_depth

    def matter(self, first: Iterable[int], most: int) -> set[int]:
        """Return the positions of at most `most` events that the events `first`, which come before others, depend on."""
        out: set[int] = set()
        todo = [(0, -at) for at in sorted(set(first))]
        heapq.heapify(todo)
        while todo and len(out) < most:
            far, at = heapq.heappop(todo)
            if -at in out:
                continue
            out.add(-at)
            for cause in self.stale(-at):
                heapq.heappush(todo, (far, -cause))
            for cause in self.causes(-at):
                heapq.heappush(todo, (far + 1, -cause))
        return out

    def stale(self, at: int) -> Iterator[int]:
        """Yield the load by whose value the task of an access goes on although another task has changed it, and that task's store."""
        event = self.events[at]
        if event.kind in (points.LOCAL, points.IRQ):
            return
        for load in self._before(self.mine, self.actor(event), at):
            other = self.events[load]
            if other.kind != points.READ:
                continue
            between = [store for store in self._between(other.obj, load, at) if _overlap(other, self.events[store])]
            if between and all(self.actor(self.events[store]) != self.actor(event) for store in between):
                yield load
                yield between[0]
                return

    def _between(self, obj: str, first: int, last: int) -> list[int]:
        stores = self.stores.get(obj, [])
        return stores[bisect.bisect_right(stores, first):bisect.bisect_left(stores, last)]

    def causes(self, at: int) -> Iterator[int]:
        """Yield the other events that an event depends on directly."""
        event = self.events[at]
        if event.change in (SPINS, SLEEPS) or event.kind == points.WAIT:
            yield from self._of_a_wait(at, event)
        if event.change == RUNS:
            yield from self._last(range(at), lambda other: event.task in other.woke)
        if event.change:
            return
        if event.kind in LOADS:
            yield from self._last(self._before(self.stores, event.obj, at), lambda other: _overlap(event, other))
        if event.kind == points.ACQUIRE:
            yield from self._hand_over(at, event)
        yield from self._order(at, event)
        for lock in event.held:
            acquire = next(self._last(self._before(self.locks, lock, at), lambda other: other.kind == points.ACQUIRE
                                      and self.actor(other) == self.actor(event)), None)
            if acquire is not None and any(True for _ in self._hand_over(acquire, self.events[acquire])):
                yield acquire

    def holders(self, at: int) -> list[int]:
        """Return the acquires of the lock for which a task waits at `at`, by each process that has not released it."""
        held: dict[tuple[int, int], int] = {}
        for other in self.locks.get(self.events[at].obj, ()):
            if other < at:
                if self.events[other].kind == points.ACQUIRE:
                    held[self.actor(self.events[other])] = other
                else:
                    held.pop(self.actor(self.events[other]), None)
        return list(held.values())

    def acquired(self, at: int) -> list[int]:
        """Return the acquire that ends the wait for a lock at `at`, if the wait ends."""
        event = self.events[at]
        return [other for other in self.locks.get(event.obj, ()) if other > at and self.events[other].kind == points.ACQUIRE
                and self.actor(self.events[other]) == self.actor(event)][:1]

    def _of_a_wait(self, at: int, event: Event) -> Iterator[int]:
        """Yield what a task waits for: the acquires of the lock's holders; without a lock, the last load, of a location that changes if
        there is one."""
        if event.change and event.obj:
            yield from self.holders(at)
            return
        loads = [other for other in self._before(self.mine, self.actor(event), at) if self.events[other].kind in LOADS]
        yield from ([other for other in loads if any(_overlap(self.events[other], self.events[store])
                                                     for store in self.stores.get(self.events[other].obj, ()))] or loads)[:1]

    def _hand_over(self, at: int, event: Event) -> Iterator[int]:
        last = next(iter(self._before(self.locks, event.obj, at)), None)
        if last is not None and self.events[last].kind == points.RELEASE and self.actor(self.events[last]) != self.actor(event):
            yield last

    def _order(self, at: int, event: Event) -> Iterator[int]:
        before = self._before(self.mine, self.actor(event), at)
        last = next(before, None)
        if last is not None and self.events[last].change == RUNS:
            yield last
        before = self._before(self.mine, self.actor(event), at)
        yield from self._last(before, lambda other: other.kind in LOADS and other.owner == event.owner and self.contended(other))

    def contended(self, event: Event) -> bool:
        """True if another process than that of the event stores to its location in this run."""
        key = event.obj, event.arg, self.actor(event)
        if key not in self._contended:
            self._contended[key] = any(_overlap(event, self.events[other]) and self.actor(self.events[other]) != self.actor(event)
                                       for other in self.stores.get(event.obj, ()))
        return self._contended[key]

    def _before(self, where: dict[Any, list[int]], key: Any, at: int) -> Iterator[int]:
        """Yield the positions of a list that come before `at`, the last one first."""
        positions = where.get(key, [])
        return (positions[place] for place in range(bisect.bisect_left(positions, at) - 1, -1, -1))

    def _last(self, positions: Iterable[int], fits: Any) -> Iterator[int]:
        """Yield the last position that fits, if there is one. `positions` come in descending order, or are a range."""
        backwards = reversed(positions) if isinstance(positions, range) else positions
        return self._first(backwards, fits)

    def _first(self, positions: Iterable[int], fits: Any) -> Iterator[int]:
        found = next((other for other in positions if fits(self.events[other])), None)
        if found is not None:
            yield found


def _overlap(one: Event, other: Event) -> bool:
    """True if two events of one object touch the same location: the same field, bit or item, or one of them the whole object."""
    if isinstance(one.arg, tuple) or isinstance(other.arg, tuple):
        return True                                     # links: the whole list
    return one.arg is None or other.arg is None or one.arg == other.arg


def failure(events: Sequence[Event], finding: Finding, notes: Sequence[Finding], about: str) -> list[int]:
    """Return the positions of the events in which a failure shows, the first ones that a slice begins with.

    They are the last access that the finding's task made, and its last one to the object `about`; the accesses that broke an invariant
    earlier; the waits that never ended; the other side of a race. At rest, they are the last stores to each field of the object `about`,
    or else the last stores of the run.
    """
    out = [at for note in notes if note.task for at in _ends(events, note, "")]
    if finding.task and not finding.breaks:
        out += _ends(events, finding, about)
    last: dict[int, int] = {}
    for at, event in enumerate(events):
        if event.change != PREEMPTED:
            last[event.task] = at
    out += [at for at in last.values() if events[at].change in (SPINS, SLEEPS)]
    if finding.kind is Kind.LIVELOCK:
        out += [at for at in range(max(0, len(events) - LOOP), len(events)) if not events[at].change and events[at].kind != points.LOCAL]
    if finding.kind is Kind.RACE:
        out += [at for end in out for at in _other_side(events, end)]
    if not finding.task:
        stores = {(event.obj, str(event.arg)): at for at, event in enumerate(events) if event.stores and event.owner == about}
        out += stores.values()
    return list(dict.fromkeys(out)) or [at for at, event in enumerate(events) if event.stores][-LOOP:] or [len(events) - 1] * bool(events)


def _other_side(events: Sequence[Event], end: int) -> Iterator[int]:
    """Yield the last access before `end` by another process to the same location, of which one of the two is a store."""
    event = events[end]
    yield from [at for at in range(end) if events[at].obj == event.obj and _overlap(events[at], event) and Slice.actor(events[at])
                != Slice.actor(event) and (event.stores or events[at].stores)][-1:]


def _ends(events: Sequence[Event], finding: Finding, about: str) -> Iterator[int]:
    """Yield the last access of a finding's task up to its step, and the last one to `about`."""
    mine = [at for at, event in enumerate(events) if task_name(event) == finding.task and event.step <= finding.step
            and not event.change and event.kind not in (points.LOCAL, points.IRQ)]
    yield from mine[-1:]
    yield from [at for at in mine if events[at].owner == about][-1:]
