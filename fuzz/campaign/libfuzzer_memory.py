# SPDX-License-Identifier: MIT
"""A campaign's memory of start states and its sweeps (start_states.py, sweeps.py), for a target of libFuzzer."""

from __future__ import annotations

from collections.abc import Sequence

from vmrace.fuzz.campaign.start_states import States, Triple, triples
from vmrace.fuzz.campaign.sweeping import NamedRuns, Sweeping
from vmrace.fuzz.campaign.sweeps import Sweeps
from vmrace.fuzz.run.executor import SetupFailed
from vmrace.variants.program import Program


class Memory(States):
    """The states of pages that setups reached, the triples (state, operation, operation) that programs tried, and the pairs of operations
    that were swept."""

    def __init__(self) -> None:
        super().__init__()
        self.sweeps = Sweeps()

    def learn(self, program: Program, described: dict[str, str]) -> list[Triple]:
        """Record that a program starts at pages with these descriptions. Returns its triples."""
        self.meet(program, described)
        return list(triples(self.reached[program.setup], program))

    def sweep(self, runs: NamedRuns, operations: Sequence[str]) -> Program | None:
        """Sweep the most promising pair, and return its program; None if there is none. First a sweep of a state begins, if there is one
        of which none has, or no pair is left."""
        sweeps = self.sweeps
        new = next((state for state in self.setups if state and state not in sweeps.begun), "")
        if not new and not sweeps.waiting:
            new = next((state for state in self.setups if state and sweeps.other(state, self.setups[state])), "")
        if new:
            Sweeping(runs, sweeps, new).begin(sweeps.other(new, self.setups[new]), operations)
        for state, pair in sweeps.queue(self.seen, short=sweeps.ran % 2 == 0)[:1]:
            sweeping = Sweeping(runs, sweeps, state)
            program = sweeping.program(pair)
            try:
                sweeping.explore(pair, runs.fast.prepare(program))
            except SetupFailed:
                sweeps.run(state, pair, [])
                return None
            return program
        return None
