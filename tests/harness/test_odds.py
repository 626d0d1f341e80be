# SPDX-License-Identifier: MIT
"""Schedulers make the choices that their papers promise, at the odds that the comments work out. Seeds are fixed."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.kernel import atomic_inc, atomic_t, cmpxchg
from vmrace.harness.kernel.cell import cell
from vmrace.harness.schedulers import InTurn, Pos, ReadsFrom, Surw, Walk

from tests.programs import sctbench

RUNS = 600


def _orders(long: int) -> Program:
    """Two tasks: one makes `long` private loads and then stores, the other only stores. The result says which store came last."""
    x, private = cell("x", value=0), cell("private", value=0)

    def slow() -> None:
        for _ in range(long):
            assert private.value == 0
        x.value = 1

    def quick() -> None:
        x.value = 2
    return Program([slow, quick], check=lambda: x.value == 1)


def _share(make: Callable[..., Program], scheduler: Any, *args: int) -> float:
    """Return the share of RUNS runs that fail their check."""
    runner = Runner(make, *args)
    return sum(bool(runner.run(scheduler).findings) for _ in range(RUNS)) / RUNS


def _near(share: float, chance: float) -> bool:
    """True if `share` of RUNS runs is within four standard deviations of `chance`: a wrong seed is one in 15,000."""
    return abs(share - chance) <= 4 * math.sqrt(chance * (1 - chance) / RUNS)


def test_the_uniform_walk_tosses_a_coin_at_every_point() -> None:
    # A task is chosen once to begin, and once for each event. With 3 loads and a store the slow task is chosen 5 times, the quick one
    # twice. The quick store is last if 5 tosses for the slow task come before 2 for the other: 1/32 + 5/64 = 7/64.
    assert _near(_share(_orders, Walk(random.Random(1), 1), 3), 7 / 64)


def test_pos_gives_the_last_place_to_a_single_event_far_more_often_than_a_walk() -> None:
    # The slow task draws n = 11 priorities: one to begin, one for each event. The quick task draws s to begin. It comes last if all n are
    # above s; or if the first j are, the next one, a, is not, and its store draws a p below a and below the n - j - 1 that follow.
    # The integral over s and a is computed below: 0.155. A walk has 2^-11 + 11 * 2^-12 = 0.003.
    n, chance, steps = 11, 0.0, 400
    for s in ((number + 0.5) / steps for number in range(steps)):
        chance += (1 - s) ** n / steps
        for j in range(n):
            k = n - j - 1
            # the integral over a below s, and over p below a, of (1 - p)^k
            inner = s / (k + 1) - (1 - (1 - s) ** (k + 2)) / ((k + 1) * (k + 2))
            chance += (1 - s) ** j * inner / steps
    assert 0.1 < chance < 0.2
    assert _near(_share(_orders, Pos(random.Random(2)), 9), chance)


def test_surw_puts_a_single_event_in_each_place_among_others_equally_often() -> None:
    # Three events of one task, one of the other: 4 orders, each with 1/4. A walk: 1/2 for the first place.
    def make() -> Program:
        count = atomic_t("count", 0)

        def three() -> None:
            for _ in range(3):
                atomic_inc(count)
        return Program([three, lambda: cmpxchg(count, -1, -1)])
    runner, scheduler = Runner(make), Surw(random.Random(3))
    runner.run(scheduler)                       # it learns the numbers of events here
    places = Counter(runner.run(scheduler).results[1] for _ in range(RUNS))
    assert all(_near(places[place] / RUNS, 1 / 4) for place in range(4)), places


def test_a_constraint_finds_a_window_among_a_hundred_tasks_in_a_few_runs() -> None:
    # reorder(99, 1) has 4 loads with 2 stores each, 8 pairs. If the load of b must read what no task has stored, all setters stop in their
    # window, and the check fails unless it comes before them all: 1 in 100. All pairs are tried before one is tried again, but a try of one
    # that no run has shown counts twice. So each 16 runs contain that try; 32 runs miss with at most 1 in 10,000.
    runner, scheduler = Runner(sctbench.reorder, 99, 1), ReadsFrom(random.Random(4))
    assert any(runner.run(scheduler).findings for _ in range(32))


def test_a_walk_of_a_hundred_tasks_does_not_find_it() -> None:
    runner, scheduler = Runner(sctbench.reorder, 99, 1), Walk(random.Random(5), 1)
    assert not any(runner.run(scheduler).findings for _ in range(32))


def test_in_turn_lets_every_task_make_one_event_the_youngest_first() -> None:
    def make() -> Program:
        log = cell("log", value="")

        def adds(name: str) -> Callable[[], None]:
            def body() -> None:
                log.value = log.value + name
            return body
        return Program([adds("a"), adds("b"), adds("c")], check=lambda: log.value == "a")
    assert Runner(make).run(InTurn()).findings == []      # all load before one stores; then c, b and a store in this order
