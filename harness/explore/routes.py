# SPDX-License-Identifier: MIT
"""Which cpu takes each interrupt: optimal.py explores one choice at a time, this goes through all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from vmrace.harness.explore.cpus import Name
from vmrace.harness.explore.optimal import Optimal


class Routes:
    """`for routes in every: explore; every.seen(explorer)`: each assignment of a cpu to every interrupt that was ever raised."""

    def __init__(self, cpus: int):
        self.cpus = cpus
        self.names: list[Name] = []
        self.done: set[frozenset[tuple[Name, int]]] = set()

    def seen(self, explorer: Optimal) -> None:
        self.names += [name for name in explorer.cpus.numbers if name not in self.names]

    def __iter__(self) -> Iterator[dict[Name, int]]:
        yield {}
        self.done.add(frozenset())
        while True:
            left = [choice for choice in itertools.product(range(self.cpus), repeat=len(self.names))
                    if self._key(choice) not in self.done]
            if not left:
                return
            for choice in left:
                self.done.add(self._key(choice))
                yield dict(zip(self.names, choice, strict=False))

    def _key(self, choice: tuple[int, ...]) -> frozenset[tuple[Name, int]]:
        return frozenset((name, cpu) for name, cpu in zip(self.names, choice, strict=False) if cpu)
