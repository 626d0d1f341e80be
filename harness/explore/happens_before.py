# SPDX-License-Identifier: MIT
"""Puts a new event into happens-before, and finds the races that end with it. Sets of events are bits of an int."""

from __future__ import annotations

from collections.abc import Sequence

from vmrace.harness.explore.access import (
    ACQUIRE,
    ACQUIRE_SHARED,
    ACQUIRES,
    FINISH,
    JOIN,
    LEAVE_SHARED,
    PART_READ,
    PART_WRITE,
    PASS,
    PASS_ALONE,
    READ,
    RELEASE,
    RELEASE_SHARED,
    RELEASES,
    RIVALS,
    TRY,
    WRITE,
    Access,
)
from vmrace.harness.explore.bits import numbers_in
from vmrace.harness.explore.event import IRQS_FROM, Event
from vmrace.harness.explore.run_record import RunRecord

# mode -> the modes of earlier events that an event of this mode comes after: its rivals. An acquire comes after a release only if it
# acquires what that one released (`_hand_over`). A join comes after the end of the thread, and cannot come before it: that is no race.
MEETS = [tuple(rival for rival in rivals if not (ACQUIRES >> mode & 1 and RELEASES >> rival & 1) and (mode, rival) not in (
    (JOIN, FINISH), (FINISH, JOIN))) for mode, rivals in enumerate(RIVALS)]


def base_of(record: RunRecord, event: Event) -> int:
    """Return the bits of `event` and of the events without which it could not be there, whatever it touches."""
    past, before = 1 << event.number, event.before
    if before is not None:
        past |= before.past
    elif event.process >= IRQS_FROM:
        raiser = next(raiser for process, raiser in record.irqs if process == event.process)
        if raiser >= 0:
            past |= record.events[raiser].past
    if record.woken_by:
        woken_by = record.woken_by.get(event.process)
        if woken_by is not None and (before is None or woken_by > before.number):
            past |= record.events[woken_by].past
    return past


def order(record: RunRecord, event: Event, accesses: tuple[Access, ...], past: int) -> None:
    """Set the past of `event`, which has these accesses and comes after `past`. Set the races that end with it. Mark its accesses."""
    marks, bit = record.marks, 1 << event.number
    met = 0
    handed_over: list[tuple[int, int]] = []
    for location, mode in accesses:
        mark = marks[location]
        if mode == READ:
            met |= mark[WRITE] | mark[PART_WRITE]
        elif mode == WRITE:
            met |= mark[READ] | mark[WRITE] | mark[PART_READ] | mark[PART_WRITE] | mark[LEAVE_SHARED]
        else:
            for rival in MEETS[mode]:
                met |= mark[rival]
            if mode == JOIN:
                for there in numbers_in(mark[FINISH]):
                    past |= record.events[there].past
            if ACQUIRES >> mode & 1 and (mark[RELEASE] or mark[RELEASE_SHARED]):
                met |= _hand_over(record, event, location, _last_releases(mark, mode) & ~past, handed_over)
            if RELEASES >> mode & 1:
                record.release(event, location, mode)
            elif ACQUIRE <= mode <= TRY and (mode != TRY or event.got):
                record.acquire(event, location, mode)
        mark[mode] |= bit
    met &= ~past
    direct = past
    if met or handed_over:
        events = record.events
        for there, _ in handed_over:
            past |= events[there].past
        met &= ~past
        races: list[int] = []
        while met:
            there = met.bit_length() - 1
            races.append(there)
            past_there = events[there].past
            past |= past_there
            direct |= past_there                # without the events that only a hand-over orders
            met &= ~past
        for _, acquired in handed_over:
            if not direct >> acquired & 1 and acquired not in races:
                races.append(acquired)
        event.races = races
    event.past, event.direct = past, direct


def _hand_over(record: RunRecord, event: Event, location: int, releases: int, handed_over: list[tuple[int, int]]) -> int:
    """Add each release among these events to `handed_over`, with the event that acquired the lock.

    Return the bits of the releases that are no hand-over: `event` is the entry of an interrupt, the release the end of another one.
    """
    met = 0
    for there in numbers_in(releases):
        if event.enters and record.events[there].leaves:
            met |= 1 << there
        else:
            handed_over.extend((there, hold.acquired) for where, hold in record.events[there].released if where == location)
    return met


def _last_releases(mark: Sequence[int], mode: int) -> int:
    """Return the bits of the last releases before an acquire in that mode: those of all readers since a process had the lock alone, or
    that of this process."""
    alone, released, shared = mark[ACQUIRE] | mark[PASS_ALONE], mark[RELEASE], mark[RELEASE_SHARED]
    since = max(alone, released).bit_length()
    last = 1 << since - 1 if released > alone else 0
    return last if mode in (ACQUIRE_SHARED, PASS) else last | shared >> since << since     # a reader gets it from the last writer
