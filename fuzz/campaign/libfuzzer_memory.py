# SPDX-License-Identifier: MIT
"""A campaign's memory of start states (start_states.py), for a target of libFuzzer."""

from __future__ import annotations

from vmrace.fuzz.campaign.start_states import States, Triple, triples
from vmrace.variants.program import Program


class Memory(States):
    """The states of pages that setups reached, and the triples (state, operation, operation) that programs tried."""

    def learn(self, program: Program, described: dict[str, str]) -> list[Triple]:
        """Record that a program starts at pages with these descriptions. Returns its triples."""
        self.meet(program, described)
        return list(triples(self.reached[program.setup], program))
