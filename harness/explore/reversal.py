# SPDX-License-Identifier: MIT
"""Reverses the races of a run: for each race, plans a run in which the later event comes first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmrace.harness import points
from vmrace.harness.explore.access import (
    ACQUIRE,
    ACQUIRE_SHARED,
    ACQUIRES,
    ASK,
    BEGIN,
    CONFLICTS,
    END,
    PASS,
    PASS_ALONE,
    RIVALS,
    TAKE,
    TRY,
    WRITE,
    Access,
    Locations,
    Point,
    conflict,
)
from vmrace.harness.explore.bits import bits_of, numbers_in
from vmrace.harness.explore.cpus import Cpus
from vmrace.harness.explore.event import NEVER_RELEASED, Event
from vmrace.harness.explore.run_record import RunRecord
from vmrace.harness.explore.runnable import NEEDS_ANOTHER, NO_POINT, Runnable
from vmrace.harness.explore.search_tree import SearchTree
from vmrace.harness.explore.tokens import wait
from vmrace.harness.explore.wakeup import Plan, Step
from vmrace.harness.machine.machine import Machine, m
from vmrace.harness.machine.stacks import idle_of
from vmrace.harness.machine.task import IRQ_DEPTH_MAX, Task

# Locations that decide whether an event can come at its place, not what the event does.
_CONTEXTS = frozenset(("gate", "level", "cpu", "ready", "current"))

_Unannounced = tuple[tuple[Access, ...], list[tuple[int, tuple[int, ...]]]]


class Reversal:
    """Plans runs for the races of the run in `record`. `waiting` has an event for each process that waits at the end of the run."""

    def __init__(self, record: RunRecord, tree: SearchTree, locations: Locations, cpus: Cpus, runnable: Runnable):
        self.record = record
        self.tree = tree
        self.locations = locations
        self.cpus = cpus
        self.runnable = runnable
        self.tokens = tree.tokens
        self.waiting: list[Event] = []
        self.swaps: list[tuple[Event, Event]] = []      # waits of which the second might come first in the same class, if nothing changes
        self.short: list[tuple[int, Event]] = []        # races that could not be reversed for want of tokens: a later run may have them
        self.unannounced: dict[tuple[int, int, int, bool], _Unannounced] = {}

    def reverse_races(self, since: int) -> None:
        """Plan the runs that reverse the races of the events from number `since` on, and of the processes that wait."""
        events = self.record.events
        self.short = [(there, event) for there, event in self.short if event.number < since and events[event.number] is event
                      and not self._reverse(events[there], event, self._sections(event))]
        self.swaps = [(first, later) for first, later in self.swaps if later.number < since and events[later.number] is later
                      and not self._overtake(first, later)]
        for event in events[since:] if self.tokens.first else ():
            location = wait(event)
            if location is not None:
                so_far = events[:event.number + 1]
                for first in map(events.__getitem__, numbers_in(
                        self.record.touching(location, (TAKE,)) & ~event.past & (1 << event.number) - 1)):
                    if not self.tokens.may_swap(first, event, so_far) and not self._overtake(first, event):
                        self.swaps.append((first, event))
        for event in events[since:] + self.waiting:
            if event.races:
                sections = self._sections(event)
                for there in event.races:
                    if not self._reverse(events[there], event, sections) and event.number < len(events):
                        self.short.append((there, event))

    def _overtake(self, first: Event, later: Event) -> bool:
        """Plan a run in which the wait `later` takes the token of the wait `first`.

        False if all events of this run are possible then, too: it is of the same class.
        """
        if self.tokens.may_swap(first, later, self.record.events):
            return False
        self._reverse(first, later, self._sections(later))
        return True

    # ---- processes that wait -------------------------------------------------------------------------------------

    def find_waiting(self, m: Machine) -> None:
        """Set `waiting`: a process that waits at the end of a run races with the holder of the lock, gate or cpu it waits for."""
        self.waiting = list(self._waiting(m))

    def _waiting(self, m: Machine) -> Iterator[Event]:
        record, number = self.record, self.locations.number
        for task in [*m.tasks, *(idle_of(m, cpu) for cpu in m.cpus if cpu.running is not None and cpu.running is cpu.idle)]:
            if task.waiting in NEEDS_ANOTHER or task.finished:
                continue
            process, cpu = record.process_of(task), task.cpu.number
            pending = self.runnable.pending(process, task)
            wants = self._wants(process, pending, task, IRQ_DEPTH_MAX if task.held.irqs_off else task.irq_depth)
            if cpu in self.cpus.shared and task.cpu.running is not task and not task.irqs:
                wants += ((number(("cpu", cpu)), ACQUIRE),)
            event = self._never_came(process, cpu, pending, wants)
            # It waits for what its own process has acquired at a quiet point.
            event.asleep = all(hold.released != NEVER_RELEASED for location, _ in wants for hold in record.holds[location])
            yield event
        handled = {record.irqs[raised][0] for cpu in m.cpus for task in (cpu.running,) if task is not None for raised in task.irqs}
        for event in record.events:
            if event.interrupted is not None and event.process in handled:
                assert event.entered_over is not None
                task, pending, depth = event.interrupted
                yield self._never_came(event.entered_over, event.cpu, pending, self._wants(event.entered_over, pending, task, depth))
        for irq in m.pending:
            process = record.irqs[irq.number][0]
            target = self.cpus.of(process)
            wants = tuple((number(("gate", target, depth)), ACQUIRE) for depth in range(1, IRQ_DEPTH_MAX + 1))
            yield self._never_came(process, target, NO_POINT, wants, enters=True)

    def _wants(self, process: int, pending: Point, task: Task, depth: int) -> tuple[Access, ...]:
        """Return the accesses for which a process at that point may have to wait.

        An interrupt may enter on top of it if `depth` is not the deepest. If the task has the lock, an interrupt on top of the process may
        have acquired it. If the process has it, the process goes on, and hangs.
        """
        self.locations.visible(process, pending)
        wants = self.locations.announced(pending)
        if pending[0] == points.ACQUIRE and wants:
            location = wants[0][0]
            if any(hold.process == process and hold.released == NEVER_RELEASED and hold.mode != ACQUIRE_SHARED
                   for hold in self.record.holds[location]):
                wants = ((location, TRY),)
        if depth < self.cpus.depths.get(task.cpu.number, 0):
            wants += ((self.locations.number(("gate", task.cpu.number, 1 + depth)), PASS),)
        return wants

    def _never_came(self, process: int, cpu: int, pending: Point, wants: tuple[Access, ...], enters: bool = False) -> Event:
        """Return the event that a waiting process would have made. It races with the acquires that are never released."""
        record = self.record
        event = Event(len(record.events), process, cpu, 0, pending, wants, None)
        event.enters = enters
        event.races = races = []
        past = 1 << event.number
        last, woken_by = record.last.get(process), record.woken_by.get(process)
        if last is not None:
            past |= last.past
        if woken_by is not None:
            past |= record.events[woken_by].past
        event.past = event.direct = event.base = past
        for location, mode in wants:
            if mode in (TAKE, ASK):             # each of these took what it waits for
                races += [there for there in numbers_in(record.touching(location, (TAKE, ASK)) & ~past)
                          if mode == TAKE or record.events[there].got_token == location]
            for hold in record.holds[location]:
                there = hold.acquired
                if hold.released == NEVER_RELEASED and not past >> there & 1 and conflict(
                        ((location, mode),), record.events[there].accesses):
                    races.append(there)
        return event

    # ---- plans ---------------------------------------------------------------------------------------------------

    def _sections(self, event: Event) -> list[tuple[int, int]]:
        """Return the earlier holds, by other processes, of what `event` acquires: (event that acquired it, event that released it).

        An interrupt may enter on top of another one, unless that one has interrupts off, but not on top of two.
        """
        sections = []
        accesses = event.accesses
        if event.enters:
            accesses = tuple((self.locations.number(("gate", event.cpu, depth)), ACQUIRE) for depth in range(1, IRQ_DEPTH_MAX + 1))
        for location, mode in accesses:
            if ACQUIRES >> mode & 1:
                for hold in self.record.holds[location]:
                    there = hold.acquired
                    if there >= event.number:
                        break
                    if event.enters and self.record.events[there].enters and self.locations.keys[location][2] < IRQ_DEPTH_MAX:
                        continue
                    if CONFLICTS[mode] >> hold.mode & 1 and hold.process != event.process:
                        sections.append((there, hold.released))
        return sections

    def _reverse(self, first: Event, later: Event, sections: list[tuple[int, int]], without: Sequence[Event] = ()) -> bool:
        """Plan a run in which `later` comes before `first`, and put it into the wakeup tree of the place of `first`.

        The events `without` come after `later` as well. False if this run has too few tokens for any such plan.
        """
        events, bit = self.record.events, first.number
        same = later.number < len(events) and all(self._touches_the_same(one, later) for one in (first, *without))
        accesses, before = self._touches(later, same)
        if self._sleeps(bit, later.process, before):
            return True
        left_out = bits_of((first, *without))
        rest = [event for event in events[bit + 1:] if not event.past & left_out]
        among = bits_of(rest)
        dropped = True
        while dropped:                          # drop each acquire of the lock whose release is not in the plan: it would stop `later`
            dropped = False
            for acquired, released in sections:
                if acquired < bit:
                    if not among >> released & 1 and released >= bit:       # the race can only be reversed together with that hold
                        if later.enters and not later.base >> acquired & 1:
                            self._reverse(events[acquired], later, sections)
                        return True
                elif among >> acquired & 1 and not among >> released & 1:
                    dropped = True
                    if same and later.direct >> acquired & 1:               # `later` may have read what that event wrote
                        same = False
                        accesses, before = self._touches(later, same)
                    rest = [event for event in rest if not event.past >> acquired & 1]
                    among = bits_of(rest)
        planned = Step(later.process, accesses, before, later.number)
        order, short = self.tokens.in_order(bit, rest, planned)
        if order is not None:
            self.tree.plan_at(bit, Plan([*order, planned], bits_of(order), [planned], self.record.marks,
                                        self.tokens.at(bit)))
            return True
        if not short:
            self.tree.plan_at(bit, None)
            return True
        earlier = [there for there in numbers_in(self.record.touching_any(short, (TAKE, ASK)) & ~before & (1 << bit) - 1)
                   if events[there].process != later.process]       # the race can only be reversed together with one of these
        planned_some = False
        for there in earlier:
            planned_some = self._reverse(events[there], later, sections, (first, *without)) or planned_some
        return planned_some

    def _touches(self, later: Event, same: bool) -> tuple[tuple[Access, ...], int]:
        """Return the accesses that an event may make in another place, at most, and the bits of the events that depend on them or come
        before it anyway. With `same`, it makes the same accesses there as here."""
        accesses = later.accesses if same or later.accesses_elsewhere is None else later.accesses_elsewhere
        if later.pending[0] == points.WAKE and not same:            # it may wake any task that sleeps there
            accesses += tuple((self.locations.number(task), WRITE) for task in m.tasks)
        unannounced, rivals = self._unannounced(later.cpu, not same, later.enters)
        before = later.direct
        for location, mode in accesses:
            before |= self.record.touching(location, RIVALS[mode])
        for location, modes in rivals:
            before |= self.record.touching(location, modes)
        return accesses + unannounced, before & ~(1 << later.number)

    def _sleeps(self, number: int, process: int, before: int) -> bool:
        """True if `process` sleeps at that place, and the plan has nothing that must come before its event."""
        if process not in self.tree.sleep_at(number).processes:
            return False
        events = self.record.events
        return all(events[there].past >> number & 1 for there in numbers_in(before >> number + 1 << number + 1))

    def _touches_the_same(self, first: Event, later: Event) -> bool:
        """True if `later` makes the same accesses without `first` before it: it reads nothing at its point that `first` may change."""
        keys = self.locations.keys
        for location, mode in later.accesses:
            for there, rival in first.accesses:
                if location == there and CONFLICTS[mode] >> rival & 1:
                    key = keys[location]
                    if not (isinstance(key, tuple) and key[0] in _CONTEXTS) and not (
                            _reads_nothing(later.pending) and mode != ASK and (location, mode) in self.locations.announced(later.pending)):
                        return False
        return True

    def _unannounced(self, cpu: int, reads: bool, enters: bool) -> _Unannounced:
        """Return the accesses that an event on that cpu may make without announcing them, and the conflicting modes of each location.

        `reads`: the values that the event reads decide which accesses it makes. `enters`: an interrupt enters with it.
        """
        cpus = self.cpus
        deepest = cpus.depths.get(cpu, 0) if reads or enters else 0
        key = cpu, len(self.locations.unannounced) if reads else -1, deepest, cpu in cpus.shared
        known = self.unannounced.get(key)
        if known is None:
            accesses: list[Access] = []
            number = self.locations.number
            if deepest:
                accesses += [(number(("gate", cpu, depth)), PASS_ALONE) for depth in range(1, deepest + 1)]
                accesses.append((number(("level", cpu)), WRITE))
            if cpu in cpus.shared:
                accesses += [(number((name, cpu)), mode) for name, mode in (("cpu", PASS_ALONE), ("ready", WRITE), ("current", WRITE))]
            if reads:
                accesses += [(number(("ready", other)), WRITE) for other in sorted(cpus.shared - {cpu})]    # it may wake a task there
                for location in sorted(self.locations.unannounced):
                    accesses += [(location, WRITE), (location, BEGIN), (location, END)]
            rivals: dict[int, set[int]] = {}
            for location, mode in accesses:
                rivals.setdefault(location, set()).update(RIVALS[mode])
            known = self.unannounced[key] = tuple(accesses), [(location, tuple(modes)) for location, modes in rivals.items()]
        return known


def _reads_nothing(at: Point) -> bool:
    """True if the work at that point is the same whatever other processes did. A lock for which tasks sleep may make its task wait, or
    wake a task."""
    kind, obj, _ = at
    return kind in (points.LOCAL, points.WRITE, points.BARRIER, points.MASK) or (kind in (points.ACQUIRE, points.RELEASE) and obj.spins)
