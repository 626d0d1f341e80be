# SPDX-License-Identifier: MIT
"""Optimal DPOR, the stateful search and brute force see the same outcomes of thousands of generated small programs.

Brute force only tries every decision. If it ends, it has every outcome with its fewest preemptions, which answers all bounds at once.
If it does not end, it tries the bounds one by one. An explorer that gave up is compared with nothing; the test asserts the number of
programs that each explorer was compared on.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from vmrace.harness.functions.program import Runner

from tests.explore.compare import Explored, by_bounded, by_brute_force, by_dpor, by_states, within
from tests.explore.small import LOCKS, MEMORY, OWN, SORTS, Operation, Small, small

BOUNDS = (0, 1, 2, 3)
DPOR_CAP, STATES_CAP, BRUTE_CAP = 400, 200, 250
BOUNDED_EVERY = 8           # of this number of programs, one is also run with each bound

# (first seed, number of seeds, size, sorts)
CHUNKS = (
    *((first, 200, 2, SORTS) for first in range(0, 2200, 200)),
    *((first, 80, 4, SORTS) for first in range(10_000, 10_320, 80)),
    *((first, 30, 6, SORTS) for first in range(20_000, 20_060, 30)),
    *((first, 100, 3, OWN) for first in range(30_000, 30_200, 100)),
    *((first, 100, 4, MEMORY) for first in range(40_000, 40_200, 100)),
)
FEW = ((0, 30, 2, SORTS), (10_000, 8, 4, SORTS), (20_000, 5, 6, SORTS), (30_000, 15, 3, OWN), (40_000, 10, 4, MEMORY))
# Of a hundred programs of one size, at least this number must have ...
MIXTURE = {
    "several outcomes": 20, "deadlock": 12, "interrupt": 12, "two interrupts": 5, "asleep": 2, "shared cpu": 25, "preempt": 11,
    "locks of two stacks": 15,
}
RARE = {"BUG": 1, "cut": 1, "nobody can run": 1}      # at least one in each chunk; otherwise the chunk is too small
MIXTURE_OF_MEMORY = {"free memory": 25, "several outcomes": 30, "LIST or LOCKSET": 8}
# Of a hundred programs, by size, each comparison must have been possible for at least this number.
COMPARED = {
    2: {"two": 85, "dpor = brute force": 65, "dpor = states": 70, "all three": 65, "bound 0": 85, "bound 1": 80, "bound 2": 70,
        "bound 3": 65, "bounds run": 8, "bounded states": 8,
        "bounded": 9},
    3: {"two": 85, "dpor = brute force": 55, "dpor = states": 65, "all three": 55, "bound 0": 85, "bound 1": 75, "bound 2": 65,
        "bound 3": 55, "bounds run": 7, "bounded states": 5, "bounded": 9},
    4: {"two": 75, "dpor = brute force": 40, "dpor = states": 55, "all three": 40, "bound 0": 75, "bound 1": 70, "bound 2": 60,
        "bound 3": 50, "bounds run": 10, "bounded states": 5, "bounded": 9},
    6: {"two": 65, "dpor = brute force": 30, "dpor = states": 40, "all three": 30, "bound 0": 65, "bound 1": 65, "bound 2": 50,
        "bound 3": 40, "bounds run": 10, "bounded states": 5, "bounded": 9},
}


def compare(program: Small, bounds_too: bool) -> Counter[str]:
    """Explore the program in every way; AssertionError if two ways differ. Return the comparisons made and the kinds of outcome."""
    runner = Runner(program.make)
    explored = by_dpor(runner, DPOR_CAP)
    seen = Counter({"programs": 1})
    if explored is None:
        return seen
    costs = explored.costs
    schedules = by_brute_force(runner, BRUTE_CAP)
    if schedules is not None:
        assert set(costs) == set(schedules)
        for bound in BOUNDS:
            assert within(costs, bound) == within(schedules, bound)
            seen[f"bound {bound}"] += 1
    for bound in BOUNDS if schedules is None or bounds_too else ():
        bounded = by_brute_force(runner, BRUTE_CAP, bound)
        if bounded is None:
            break
        assert within(costs, bound) == set(bounded)
        seen[f"bound {bound}"] += schedules is None
        seen["bounds run"] += bound == BOUNDS[-1]
    for bound in BOUNDS if bounds_too else ():
        kept = by_bounded(runner, 4 * BRUTE_CAP, bound)
        if kept is None:
            break
        assert within(costs, bound) == kept
        seen["bounded"] += bound == BOUNDS[-1]
    states = by_states(runner, STATES_CAP)
    if states is not None:
        assert set(costs) == states
    if bounds_too and states is not None:
        for bound in BOUNDS:
            bounded_states = by_states(runner, 2 * STATES_CAP, bound)
            if bounded_states is None:
                break
            assert within(costs, bound) == bounded_states
            seen["bounded states"] += bound == BOUNDS[-1]
    seen["two"] = int(schedules is not None or states is not None or seen["bound 0"] > 0)
    seen["dpor = brute force"] = int(schedules is not None)
    seen["dpor = states"] = int(states is not None)
    seen["all three"] = int(schedules is not None and states is not None)
    return seen + _sorts(program, explored)


def _sorts(program: Small, explored: Explored) -> Counter[str]:
    titles = {title for outcome in explored.costs for title in outcome[0]}
    return Counter(name for name, there in {
        "several outcomes": len(explored.costs) > 1,
        "deadlock": any(title.startswith("DEADLOCK") for title in titles),
        "nobody can run": any(title.startswith("DEADLOCK: nobody can run") for title in titles),
        "asleep": any(title.startswith("DEADLOCK: tasks asleep") for title in titles),
        "BUG": any(title.startswith("BUG") for title in titles),
        "free memory": any(title.startswith(("use after free", "double free")) for title in titles),
        "LIST or LOCKSET": any(title.startswith(("LIST", "LOCKSET")) for title in titles),
        "interrupt": explored.irqs > 0,
        "two interrupts": explored.irqs > 1,
        "cut": any(outcome[3] for outcome in explored.costs),
        "shared cpu": program.together > 0,
        "preempt": program.preempt,
        "locks of two stacks": sum(_locks(ops) for ops in (*program.code, *program.handlers)) > 1,
        "blocked": explored.blocked_count > 0,
        "blocked in vain": explored.blocked_count > 0 and not program.preempt and not explored.irqs,
    }.items() if there)


def _locks(ops: list[Operation]) -> bool:
    return any(kind in LOCKS or _locks(inner) for kind, _, _, inner in ops)


def compared(first: int, count: int, size: int, sorts: tuple[tuple[str, ...], ...]) -> Counter[str]:
    total: Counter[str] = Counter()
    for seed in range(first, first + count):
        program = small(seed, size, sorts)
        try:
            total += compare(program, seed % BOUNDED_EVERY == 0)
        except Exception as error:
            error.add_note(f"small({seed}, {size}) is {program}")
            raise
    print(dict(total))
    assert total["blocked in vain"] == 0
    return total


def names(chunks: tuple[Any, ...]) -> list[str]:
    return [f"size {size} from {first}" for first, _, size, _ in chunks]


@pytest.mark.parametrize(("first", "count", "size", "sorts"), FEW, ids=names(FEW))
def test_every_explorer_sees_the_same_outcomes_of_a_few(first: int, count: int, size: int, sorts: tuple[tuple[str, ...], ...]) -> None:
    assert compared(first, count, size, sorts)["two"] * 4 >= count


@pytest.mark.long
@pytest.mark.parametrize(("first", "count", "size", "sorts"), CHUNKS, ids=names(CHUNKS))
def test_every_explorer_sees_the_same_outcomes(first: int, count: int, size: int, sorts: tuple[tuple[str, ...], ...]) -> None:
    total = compared(first, count, size, sorts)
    wanted = COMPARED[size] | (MIXTURE if size == 2 else MIXTURE_OF_MEMORY if sorts is MEMORY else {})
    short = {name: total[name] for name, of_hundred in wanted.items() if total[name] * 100 < of_hundred * count}
    short |= {name: total[name] for name, least in RARE.items() if size == 2 and total[name] < least}
    assert not short, f"too few: {short} of {dict(total)}"


def test_two_thousand_programs_are_compared() -> None:
    """Add up the programs that the chunks must have compared."""
    assert sum(count * COMPARED[size]["two"] // 100 for _, count, size, _ in CHUNKS) >= 2_000
