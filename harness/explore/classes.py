# SPDX-License-Identifier: MIT
"""One number for the class of schedules that a run, or the beginning of a run, belongs to."""

from __future__ import annotations

import functools
import hashlib

from vmrace.harness.explore.bits import bits_by_process
from vmrace.harness.explore.event import Event
from vmrace.harness.explore.optimal import Optimal


def trace_hash(explorer: Optimal) -> int:
    """Return a hash of the class that the last run belongs to. It is the same for every run of the class, in every Python process.

    It is the sum of a hash for each event: of its label and of the number of events of each process that happen before it. Each event
    keeps the sum up to it, so a later call begins where the run has changed.
    """
    events = explorer.events
    hashed = next((number for number in range(len(events), 0, -1) if events[number - 1].trace is not None), 0)
    total = events[hashed - 1].trace or 0 if hashed else 0
    clocks = [(_hash_of(str(explorer.cpus.names.get(process, process))), mask) for process, mask in bits_by_process(events).items()]
    for event in events[hashed:]:
        value = _label_of(explorer, event)
        for name, mask in clocks:
            value += name * (event.past & mask).bit_count()
        value = (value ^ value >> 31) * _ODD & _WORD
        event.trace = total = (total + ((value ^ value >> 29) * _ODD & _WORD)) & _WORD
    return total


_WORD = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15


@functools.cache
def _hash_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _label_of(explorer: Optimal, event: Event) -> int:
    """Return a hash of the process, the cpu and the point of the event."""
    key = event.process, event.cpu, event.pending
    label = explorer.labels.get(key)
    if label is None:
        kind, obj, arg = event.pending
        name = explorer.cpus.names.get(event.process, event.process)
        label = explorer.labels[key] = _hash_of(f"{name} {event.cpu} {kind} {getattr(obj, 'name', '')} {arg}")
    return label
