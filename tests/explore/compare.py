# SPDX-License-Identifier: MIT
"""One program, every explorer: the outcomes each of them sees, and with how few preemptions.

An outcome is all that a run leaves behind: what was found, what the tasks returned, what is shared, whether it was cut. Where a
cpu died and took something with it that it had interrupted, it is only what was found: how far that was, as nobody could tell,
is not explored.
Each explorer gives up at a cap; then it says nothing (None), and nothing is compared with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.explore.access import Locations
from harness.explore.bounded import Bounded
from harness.explore.optimal import Optimal
from harness.explore.preemptions import least_preemptions
from harness.explore.routes import Routes
from harness.explore.shared import Slots
from harness.explore.stateful import Stateful
from harness.machine import m
from harness.program import Result, Runner
from harness.schedulers.enumerate import every_schedule

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
    """By DPOR. `irqs`: how many interrupts it knows of."""

    costs: Costs
    run_count: int
    blocked_count: int
    irqs: int


def by_dpor(runner: Runner, cap: int) -> Explored | None:
    costs: Costs = {}
    runs = blocked = 0
    routes = Routes(runner.cpus)
    for assignment in routes:
        explorer = Optimal(assignment)
        for result in explorer.runs(runner.run):
            runs += 1
            if runs > cap or explorer.limit or (result is not None and result.limit_hit):
                return None
            if result is not None and not explorer.misrouted:
                outcome = outcome_of(result)
                costs[outcome] = least_preemptions(explorer, min(costs.get(outcome, UNBOUNDED), len(result.switches) // 2))
        blocked += explorer.blocked_count
        routes.seen(explorer)
    return Explored(costs, runs, blocked, len(routes.names))


def bounded(bound: int, route: Any, locations: Locations | None = None) -> Bounded:
    return Bounded(bound, route, False, locations, Slots(1), lambda: None, lambda _: None, lambda: None)


def by_bounded(runner: Runner, cap: int, bound: int) -> set[Outcome] | None:
    """By runs within the bound only."""
    outcomes: set[Outcome] = set()
    runs = 0
    routes = Routes(runner.cpus)
    for route in routes:
        explorer = bounded(bound, route)
        for result in explorer.runs(runner.run):
            runs += 1
            if runs > cap or explorer.limit or (result is not None and result.limit_hit):
                return None
            if result is not None and not explorer.misrouted:
                outcomes.add(outcome_of(result))
        routes.seen(explorer)
    return outcomes


def by_brute_force(runner: Runner, cap: int, bound: int = UNBOUNDED) -> Costs | None:
    """Every schedule with at most `bound` preemptions; each switch of a run is one."""
    costs: Costs = {}
    for count, result in enumerate(every_schedule(runner.run, bound, explores=True), 1):
        if count > cap or result.limit_hit:
            return None
        outcome = outcome_of(result)
        costs[outcome] = min(costs.get(outcome, UNBOUNDED), len(result.switches) // 2)
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
