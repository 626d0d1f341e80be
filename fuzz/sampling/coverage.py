# SPDX-License-Identifier: MIT
"""Coverage of a campaign: the blocks of kernel source that programs reached, and the pairs of accesses between which they switched.

A pair has two accesses: the one that a task was about to make when it was preempted, and the one that the next task was about to make
when it last was. Each is a kind of access and a field. Pairs are recorded at preemptions only, so other points cost nothing. Coverage
of branches alone cannot tell one interleaving from another. Pairs of source lines are too fine: nearly every run has a new one.

Blocks are also counted: for each block, the number of programs that reached it. A program that reaches a rare block gets more
schedules and more mutations (as AFLFast and FairFuzz do for paths and branches).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from vmrace.harness.link.image import Image
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import Task
from vmrace.harness.machine.watched import Observer

MAP_BITS = 1 << 16


class Features(Observer):
    """The pairs and blocks seen so far in this process.

    `fresh` counts the new pairs since the last `take`, and `fresh_here` those that no run of the present program has shown.
    """

    def __init__(self) -> None:
        self.pairs = bytearray(MAP_BITS)
        self.pair_count = 0
        self.reached: dict[int, int] = {}           # block -> programs that reached it
        self.programs = 0
        self.fresh = self.fresh_here = 0
        self.here: set[int] = set()
        self._place: dict[int, int] = {}

    def copy(self) -> Features:
        """Return a copy, which further runs of this object do not change."""
        made = Features()
        made.pairs[:], made.pair_count = self.pairs, self.pair_count
        made.reached, made.programs = dict(self.reached), self.programs
        return made

    def preempted(self, m: Machine, me: Task) -> None:
        """Record the pair of a preemption of the task `me`."""
        assert me.at is not None, me
        kind, obj, arg = me.at
        place = self._place[me.id] = zlib.crc32(f"{kind} {obj.name.rpartition('.')[2]} {arg}".encode())
        decision = m.switches[-1]
        other = self._place.get(decision, decision)
        key = (place * 31 + other) % MAP_BITS
        if key not in self.here:
            self.here.add(key)
            self.fresh_here += 1
        if not self.pairs[key]:
            self.pairs[key] = 1
            self.pair_count += 1
            self.fresh += 1

    def begin_program(self) -> None:
        """Forget the pairs of the program before."""
        self.here.clear()

    def blocks_of(self, image: Image) -> frozenset[int]:
        """Return the blocks marked since the marks were last cleared."""
        return frozenset(number for number, mark in enumerate(image.probes) if mark)

    def count_program(self, blocks: Iterable[int], first: bool) -> int:
        """Count the blocks that a program newly reached; `first` for its first call. Returns the number that no program had reached."""
        self.programs += first
        new = 0
        for block in blocks:
            count = self.reached.get(block, 0)
            self.reached[block] = count + 1
            new += not count
        return new

    def rarity(self, blocks: Iterable[int]) -> int:
        """Return the number of programs that reach the rarest of these blocks."""
        return min((self.reached.get(block, 0) for block in blocks), default=1 << 30)

    def take(self) -> int:
        """Return the number of new pairs since the last call."""
        fresh, self.fresh, self.fresh_here = self.fresh, 0, 0
        self._place.clear()
        return fresh

    @property
    def count(self) -> int:
        return self.pair_count + len(self.reached)
