# SPDX-License-Identifier: MIT
"""The cpus of a program: the cpus that tasks share, and the interrupts that come to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vmrace.harness.explore.event import IRQS_FROM, Event
from vmrace.harness.machine.task import IRQ_DEPTH_MAX

Name = tuple[Any, ...]      # of an interrupt: the process that raises it, and the number that this process has raised before


class Cpus:
    """The cpus of a program as one explorer knows them.

    `routes` maps the name of an interrupt to its cpu; any other interrupt goes to cpu 0. An interrupt becomes a process when it is
    first raised, with the next free number. `learned` is true if an interrupt came to a cpu whose events were recorded without its
    gate: the exploration must begin again.
    """

    def __init__(self, routes: Mapping[Name, int]):
        self.routes = routes
        self.numbers: dict[Name, int] = {}      # name of an interrupt -> process
        self.names: dict[int, Name] = {}        # process -> name of the interrupt
        self.depths: dict[int, int] = {}        # cpu -> the depth to which interrupts can nest there; cpus without interrupts are not in it
        self.shared: set[int] = set()           # cpus that several tasks share
        self.learned = False

    def process_of(self, name: Name) -> int:
        """Return the process of the interrupt with that name. A new one gets the next number."""
        process = self.numbers.get(name)
        if process is None:
            process = self.numbers[name] = IRQS_FROM + len(self.numbers)
            self.names[process] = name
            cpu = self.routes.get(name, 0)
            if self.depths.get(cpu, 0) < IRQ_DEPTH_MAX:
                self.depths[cpu] = self.depths.get(cpu, 0) + 1
                self.learned = True
        return process

    def of(self, process: int) -> int:
        """Return the cpu of an interrupt, which is given as a process."""
        return self.routes.get(self.names[process], 0)

    def is_of_another_route(self, events: Sequence[Event]) -> bool:
        """True if the run with these events belongs to another route, too: an interrupt for another cpu than 0 never entered."""
        entered = {event.process for event in events if event.enters}
        return any(cpu and self.numbers.get(name) not in entered for name, cpu in self.routes.items())
