# SPDX-License-Identifier: MIT
"""The beginning that a run repeats from the last run: the decisions for the machine, given without a look at any event."""

from __future__ import annotations

from typing import Any

from vmrace.harness.explore.event import ASKED, SWITCH
from vmrace.harness.explore.run_record import RunRecord
from vmrace.harness.machine.machine import Machine
from vmrace.harness.machine.task import NEVER, PARK


class Prefix:
    """The decisions that repeat the events in `record`. `end` is the step at which the new part begins; -1: the machine asks there."""

    def __init__(self, record: RunRecord, end: int):
        self.end = end
        turns = [(event.number, event.step, event.decision) for event in record.turns if event.how == SWITCH]
        turns += [(number + 1, step, PARK) for number, step, _ in record.parks]     # sorts before a switch with which the next event begins
        self.switches = [(step, decision) for _, step, decision in sorted(turns, reverse=True)]
        self.forced = [event.decision for event in reversed(record.turns) if event.how == ASKED]
        self.reads: list[Any] = [reads for _, _, reads in reversed(record.parks)]

    def want_next(self, m: Machine) -> None:
        """Have the machine ask at the next repeated switch; after the last one, at `end`."""
        m.want(self.switches[-1][0] if self.switches else self.end if self.end >= 0 else NEVER)

    def answer(self, m: Machine) -> int:
        """Return the decision of the switch at which the machine asks."""
        decision = self.switches.pop()[1]
        if decision == PARK:
            m.current.reads = self.reads.pop()
        self.want_next(m)
        return decision
