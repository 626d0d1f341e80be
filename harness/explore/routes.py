# SPDX-License-Identifier: MIT
"""Every assignment of interrupts to cpus. An explorer runs the schedules of one assignment, its route."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from vmrace.harness.explore.cpus import Name
from vmrace.harness.explore.optimal import Optimal


class Routes:
    """Yields each assignment of cpus to all interrupts that were ever raised.

    Use: `for route in routes: explore it; routes.seen(explorer)`. The routes of an interrupt follow once an explorer has seen it.
    """

    def __init__(self, cpus: int):
        self.cpus = cpus
        self.names: list[Name] = []
        self.done: set[frozenset[tuple[Name, int]]] = set()

    def seen(self, explorer: Optimal) -> None:
        """Add the interrupts that this explorer has seen."""
        self.names += [name for name in explorer.cpus.numbers if name not in self.names]

    def __iter__(self) -> Iterator[dict[Name, int]]:
        yield {}
        self.done.add(frozenset())
        while True:
            todo = [cpus for cpus in itertools.product(range(self.cpus), repeat=len(self.names))
                    if self._key(cpus) not in self.done]
            if not todo:
                return
            for cpus in todo:
                self.done.add(self._key(cpus))
                yield dict(zip(self.names, cpus, strict=False))

    def _key(self, cpus: tuple[int, ...]) -> frozenset[tuple[Name, int]]:
        """Return what identifies a route: an interrupt that it does not name goes to cpu 0."""
        return frozenset((name, cpu) for name, cpu in zip(self.names, cpus, strict=False) if cpu)
