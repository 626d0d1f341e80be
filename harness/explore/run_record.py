# SPDX-License-Identifier: MIT
"""The present run of an exploration: its events and their effects. The last events can be taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from vmrace.harness.explore.access import ACQUIRE, RIVALS, TRY
from vmrace.harness.explore.event import NEVER_RELEASED, Event, Hold
from vmrace.harness.explore.spinning import Read
from vmrace.harness.machine.task import Task


def _no_marks() -> list[int]:
    return [0] * len(RIVALS)


class RunRecord:
    """A run, event by event. The other attributes are indexes over `events`, state that events change, and what is
    needed to take events back (`undo`)."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all events."""
        self.events: list[Event] = []
        self.turns: list[Event] = []            # the events for which the machine needed an answer
        self.marks: defaultdict[int, list[int]] = defaultdict(_no_marks)        # location -> mode -> the bits of these events
        self.holds: defaultdict[int, list[Hold]] = defaultdict(list)            # location -> its holds, in the order of acquiring
        self.last: dict[int, Event | None] = {}                 # process -> its last event
        self.woken_by: dict[int, int] = {}                      # process -> the event that woke it last
        self.undo: list[tuple[int, dict[Any, Any], Any, Any]] = []      # event, table, key, the value before the event
        self.irqs: list[tuple[int, int]] = []                   # number of an interrupt -> its process, the event that raised it or -1
        self.raised: dict[int, int] = {}                        # process -> the number of interrupts that it has raised
        self.parks: list[tuple[int, int, list[Read]]] = []      # event after which a task is parked, step, loads of its loop

    def add(self, event: Event) -> None:
        """Append an event. Its past is known."""
        assert event.number == len(self.events), (event.number, len(self.events))
        assert event.past >> event.number == 1, (event.number, event.past)          # itself, and no later event
        self.events.append(event)
        self.last[event.process] = event
        if event.how:
            self.turns.append(event)

    def set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Set `table[key]`. The old value comes back when the event that is being made is taken back."""
        self.undo.append((len(self.events), table, key, table.get(key)))
        table[key] = value

    def take_back(self, number: int) -> None:
        """Take back the event with that number and all after it."""
        events, undo, last = self.events, self.undo, self.last
        assert 0 <= number <= len(events), (number, len(events))
        while undo and undo[-1][0] >= number:
            _, table, key, old = undo.pop()
            if old is None:
                del table[key]
            else:
                table[key] = old
        marks, before = self.marks, (1 << number) - 1
        for event in reversed(events[number:]):
            last[event.process] = event.before
            for location, mode in event.accesses:
                marks[location][mode] &= before
                if ACQUIRE <= mode <= TRY:
                    self._take_back_holds(event, location)
        del events[number:]
        while self.turns and self.turns[-1].number >= number:
            self.turns.pop()
        while self.irqs and self.irqs[-1][1] >= number:
            self.irqs.pop()
        while self.parks and self.parks[-1][0] >= number:
            self.parks.pop()

    def acquire(self, event: Event, location: int, mode: int) -> None:
        """Record that `event` acquires the lock at `location`."""
        holds = self.holds[location]
        if mode != ACQUIRE:                     # no process acquires a lock exclusively twice
            for hold in holds:
                if hold.released == NEVER_RELEASED and hold.process == event.process:
                    hold.depth += 1
                    event.reentered = [*event.reentered, (location, hold)]
                    return
        holds.append(Hold(event.number, mode, event.process))

    def release(self, event: Event, location: int, mode: int) -> None:
        """Record that `event` releases the lock at `location`. Its process need not have acquired it."""
        for hold in reversed(self.holds[location]):
            if hold.released == NEVER_RELEASED and hold.process == event.process:
                break
        else:
            hold = Hold(event.number, mode, event.process)
        hold.depth -= 1
        if not hold.depth:
            hold.released = event.number
        event.released = [*event.released, (location, hold)]

    def _take_back_holds(self, event: Event, location: int) -> None:
        """Take back the one acquire or release that `event` did there. No event does two to one location."""
        holds = self.holds[location]
        if holds and holds[-1].acquired == event.number:
            holds.pop()
        assert not holds or holds[-1].acquired < event.number, (location, holds[-1].acquired, event.number)
        for where, hold in event.released:
            if where == location:
                hold.depth += 1
                hold.released = NEVER_RELEASED
        for where, hold in event.reentered:
            if where == location:
                hold.depth -= 1
                assert hold.depth > 0, (location, hold.acquired, event.number)

    def touching(self, location: int, modes: Sequence[int]) -> int:
        """Return the bits of all events that touch the location in any of these modes."""
        bits, mark = 0, self.marks[location]
        for mode in modes:
            bits |= mark[mode]
        return bits

    def touching_any(self, locations: Iterable[int], modes: Sequence[int]) -> int:
        """Return the bits of all events that touch one of the locations in any of these modes."""
        bits = 0
        for location in locations:
            bits |= self.touching(location, modes)
        return bits

    def process_of(self, task: Task) -> int:
        """Return the process that runs on that task: the innermost interrupt that it is in, or itself."""
        return self.irqs[task.irqs[-1]][0] if task.irqs else task.id
