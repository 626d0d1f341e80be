# SPDX-License-Identifier: MIT
"""Sets of events as ints: bit N stands for the event with number N."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmrace.harness.explore.event import Event


def bits_of(events: Sequence[Event]) -> int:
    """Return the set of these events."""
    bits = 0
    for event in events:
        bits |= 1 << event.number
    return bits


def bits_by_process(events: Sequence[Event]) -> dict[int, int]:
    """Return, for each process, the set of its events."""
    bits: dict[int, int] = {}
    for event in events:
        bits[event.process] = bits.get(event.process, 0) | 1 << event.number
    return bits


def numbers_in(bits: int) -> Iterator[int]:
    """Yield the numbers of the events in a set, in ascending order."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low
