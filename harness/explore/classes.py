# SPDX-License-Identifier: MIT
"""To which class of equivalent runs a run belongs, or its beginning: one number."""

from __future__ import annotations

import functools
import hashlib

from vmrace.harness.explore.event import Event
from vmrace.harness.explore.optimal import Optimal


def trace_hash(explorer: Optimal) -> int:
    """Of the class that the last run belongs to: the same for every run of it, in every process and on every day. It is the sum
    of those of its events, each of what it is and of how many events of each process happen before it."""
    events = explorer.events
    known = next((number for number in range(len(events), 0, -1) if events[number - 1].trace is not None), 0)
    total = events[known - 1].trace or 0 if known else 0
    bits: dict[int, int] = {}
    for event in events:
        bits[event.process] = bits.get(event.process, 0) | 1 << event.number
    clocks = [(_hash_of(str(explorer.cpus.names.get(process, process))), mask) for process, mask in bits.items()]
    for event in events[known:]:
        mine = _label_of(explorer, event)
        for name, mask in clocks:
            mine += name * (event.past & mask).bit_count()
        mine = (mine ^ mine >> 31) * _ODD & _WORD
        event.trace = total = (total + ((mine ^ mine >> 29) * _ODD & _WORD)) & _WORD
    return total


_WORD = (1 << 64) - 1
_ODD = 0x9E3779B97F4A7C15


@functools.cache
def _hash_of(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _label_of(explorer: Optimal, event: Event) -> int:
    key = event.process, event.cpu, event.pending
    label = explorer.labels.get(key)
    if label is None:
        kind, obj, arg = event.pending
        name = explorer.cpus.names.get(event.process, event.process)
        label = explorer.labels[key] = _hash_of(f"{name} {event.cpu} {kind} {getattr(obj, 'name', '')} {arg}")
    return label
