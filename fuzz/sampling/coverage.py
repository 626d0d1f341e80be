# SPDX-License-Identifier: MIT
"""What coverage means here: blocks of kernel source that a program reached, and pairs of functions that met.

A pair is (what a task was about to do when it lost its cpu, what the next one was about to do when it lost it), each as kind of
access and field. It is gated on switches, so that points in between cost nothing. Arc coverage alone is far too coarse to
tell one interleaving from another; places in the source are too fine: nearly every run has a new pair, and nothing is chosen.

Blocks are also counted: over all programs, how many reached each. A program that reaches what few others do is worth more
schedules and more mutations (as AFLFast and FairFuzz found for paths and branches).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from vmrace.harness.link.image import Image
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import Task

MAP_BITS = 1 << 16


class Features:
    """Everything seen so far in this process. `fresh` counts what was new since the last `take`."""

    def __init__(self) -> None:
        self.pairs = bytearray(MAP_BITS)
        self.pair_count = 0
        self.reached: dict[int, int] = {}           # block -> programs that reached it
        self.programs = 0
        self.fresh = 0
        self._place: dict[int, int] = {}

    def switched(self, m: Machine, me: Task) -> None:
        """Observer of preemptions."""
        kind, obj, arg = me.at  # type: ignore[misc]
        place = self._place[me.id] = zlib.crc32(f"{kind} {obj.name.rpartition('.')[2]} {arg}".encode())
        decision = m.switches[-1]
        other = self._place.get(decision, decision)
        key = (place * 31 + other) % MAP_BITS
        if not self.pairs[key]:
            self.pairs[key] = 1
            self.pair_count += 1
            self.fresh += 1

    def blocks_of(self, image: Image) -> frozenset[int]:
        """The blocks marked since the marks were last cleared."""
        return frozenset(number for number, mark in enumerate(image.probes) if mark)

    def count_program(self, blocks: Iterable[int], first: bool) -> int:
        """A program reached these blocks, besides those told before (`first`: none). Returns how many nobody had reached."""
        self.programs += first
        new = 0
        for block in blocks:
            count = self.reached.get(block, 0)
            self.reached[block] = count + 1
            new += not count
        return new

    def rarity(self, blocks: Iterable[int]) -> int:
        """How many programs reach the rarest of these blocks."""
        return min((self.reached.get(block, 0) for block in blocks), default=1 << 30)

    def take(self) -> int:
        """How many pairs were new since the last call."""
        fresh, self.fresh = self.fresh, 0
        self._place.clear()
        return fresh

    @property
    def count(self) -> int:
        return self.pair_count + len(self.reached)
