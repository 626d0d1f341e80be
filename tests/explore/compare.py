# SPDX-License-Identifier: MIT
"""The outcomes that each explorer sees of one program, each with its fewest preemptions.

An outcome is everything that a run leaves behind: its findings, the results of its tasks, the shared state, and whether it was cut. If
a cpu may have died on top of an interrupted process, the outcome is the findings only: the explorers do not explore how far such a
process had come, since no other process can tell.
Each explorer gives up at a cap. Then its result is None, and is compared with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from vmrace.fuzz.run.plain import TooMany, at_most
from vmrace.harness.explore.access import Locations
from vmrace.harness.explore.bounded import Bounded
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.explore.preemptions import least_preemptions
from vmrace.harness.explore.routes import Routes
from vmrace.harness.explore.stateful import Stateful
from vmrace.harness.functions.program import Result, Runner
from vmrace.harness.machine.machine import m

E = TypeVar("E", bound=Optimal)
Outcome = tuple[Any, ...]
Costs = dict[Outcome, int]              # outcome -> the fewest preemptions with which it was seen

UNBOUNDED = 1 << 30


def outcome_of(result: Result) -> Outcome:
    titles = tuple(sorted(result.titles))
    if titles and (m.irqs_raised or m.preempt):
        return titles, None, None, result.cut
    return titles, result.results, result.state, result.cut


@dataclass
class Explored:
    """The result of optimal DPOR. `irqs` is the number of interrupts that it has seen."""

    costs: Costs
    run_count: int
    blocked_count: int
    irqs: int


def every_run(runner: Runner, cap: int, explorer_of: Callable[[Any], E]) -> Iterator[tuple[E, Result | None]]:
    """Yield the explorer and the result of each run of every route; the result is None if the run was blocked. Raises TooMany."""
    runs = 0
    routes = Routes(runner.cpus)
    for route in routes:
        explorer = explorer_of(route)
        for result in explorer.runs(runner.run):
            runs += 1
            if runs > cap or explorer.limit or (result is not None and result.limit_hit):
                raise TooMany
            yield explorer, result
        routes.seen(explorer)


def by_dpor(runner: Runner, cap: int) -> Explored | None:
    costs: Costs = {}
    explorers: list[Optimal] = []
    runs = 0
    try:
        for explorer, result in every_run(runner, cap, Optimal):
            runs += 1
            if explorer not in explorers:
                explorers.append(explorer)
            if result is not None and not explorer.misrouted:
                outcome = outcome_of(result)
                costs[outcome] = least_preemptions(explorer, min(costs.get(outcome, UNBOUNDED), len(result.switches) // 2))
    except TooMany:
        return None
    names = {name for explorer in explorers for name in explorer.cpus.numbers}
    return Explored(costs, runs, sum(explorer.blocked_count for explorer in explorers), len(names))


def bounded(bound: int, route: Any, locations: Locations | None = None) -> Bounded:
    return Bounded(bound, route, False, locations)


def by_bounded(runner: Runner, cap: int, bound: int) -> set[Outcome] | None:
    """Return the outcomes of the runs that bounded.py makes; None if there are too many runs."""
    try:
        return {outcome_of(result) for explorer, result in every_run(runner, cap, lambda route: bounded(bound, route))
                if result is not None and not explorer.misrouted}
    except TooMany:
        return None


def by_brute_force(runner: Runner, cap: int, bound: int = UNBOUNDED) -> Costs | None:
    """Run every schedule with at most `bound` preemptions. Each switch of a run is one."""
    costs: Costs = {}
    try:
        for result in at_most(cap, runner.run, bound):
            if result.limit_hit:
                return None
            outcome = outcome_of(result)
            costs[outcome] = min(costs.get(outcome, UNBOUNDED), len(result.switches) // 2)
    except TooMany:
        return None
    return costs


def by_states(runner: Runner, cap: int, bound: int | None = None) -> set[Outcome] | None:
    explorer = Stateful(runner.state, bound)
    outcomes = set()
    for result in explorer.runs(runner.run):
        if explorer.run_count > cap or (result is not None and result.limit_hit):
            return None
        if result is not None:
            outcomes.add(outcome_of(result))
    return outcomes


def within(costs: Costs, bound: int) -> set[Outcome]:
    return {outcome for outcome, cost in costs.items() if cost <= bound}
