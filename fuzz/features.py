# SPDX-License-Identifier: MIT
"""What coverage means here: blocks of kernel source that ran, and pairs of points that met.

A pair is (the point where a task lost its cpu, the point where the next one goes on), each as its place in the source: a
few hundred bits per program, gated on switches so that points in between cost nothing. Arc coverage alone is far too
coarse to tell one interleaving from another.
"""

from __future__ import annotations

import sys

from harness.link import Image
from harness.machine import Machine, Task

MAP_BITS = 1 << 16


class Features:
    """Everything seen so far in this process. `fresh` counts what a run added, until `take`."""

    def __init__(self) -> None:
        self.pairs = bytearray(MAP_BITS)
        self.pair_count = 0
        self.blocks: dict[int, bytearray] = {}
        self.block_count = 0
        self.fresh = 0
        self._place: dict[int, int] = {}

    def switched(self, m: Machine, me: Task) -> None:
        """Observer of preemptions: frame 1 is Machine.sched, 2 the primitive, 3 the kernel function."""
        frame = sys._getframe(3)
        place = self._place[me.id] = frame.f_code.co_firstlineno * 8191 + frame.f_lasti
        decision = m.switches[-1]
        other = self._place.get(decision, decision)
        key = (place * 31 + other) % MAP_BITS
        if not self.pairs[key]:
            self.pairs[key] = 1
            self.pair_count += 1
            self.fresh += 1

    def looked(self, image: Image) -> None:
        """After a run: did it reach a block nobody reached?"""
        marks = image.probes
        count = marks.count(1)
        key = id(image)
        known = self.blocks.get(key)
        if known is None or count > len(known):
            self.blocks[key] = bytearray(count)
            self.fresh += count - (len(known) if known is not None else 0)
            self.block_count = sum(len(seen) for seen in self.blocks.values())

    def take(self) -> int:
        """How many features were new since the last call."""
        fresh, self.fresh = self.fresh, 0
        self._place.clear()
        return fresh

    @property
    def count(self) -> int:
        return self.pair_count + self.block_count
