# SPDX-License-Identifier: MIT
"""A bound on preemptions, in two ways that share little code. Optimal DPOR runs all classes, and searches each for its least number
of preemptions; bounded.py makes only runs within the bound. Both must find the same classes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from vmrace.harness.explore import exploration
from vmrace.harness.explore.access import Locations
from vmrace.harness.explore.classes import trace_hash
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.explore.preemptions import least_preemptions
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.functions.verify import verify
from vmrace.harness.incomplete import Incomplete, Reason
from vmrace.harness.kernel import BUG_ON, yield_cpu
from vmrace.harness.kernel.atomic import atomic_inc, atomic_read, atomic_set, atomic_t

from tests.explore.compare import TooMany, bounded, every_run
from tests.explore.small import OWN, SORTS, TOUCHING, small
from tests.programs import filesystem, lastzero, readers

CAP, BOUNDED_CAP = 300, 1_500

# seed, size, sorts: programs whose least number of preemptions was wrong once, because the search ...
WRONG = (
    (30_043, 3, OWN),                               # took a lock that is released at a quiet point to be held for ever
    (113, 2, SORTS), (10_238, 4, SORTS),            # had a process wait for a lock whose holder it interrupts
    (514, 2, SORTS), (10_208, 4, SORTS),            # had a writer go on that waits for its own reader ...
    (10_718, 4, SORTS),                             # ... also if it reads at a quiet point
    (1_137, 2, SORTS), (40_030, 4, TOUCHING),       # took a wrong task to be interrupted, where a task may lose its cpu at any time
    (30_766, 3, OWN), (339, 2, SORTS),              # took a wrong task to have a shared cpu; also after a yield
)


def classes(runner: Runner, explorer_of: Callable[[Any], Optimal], cap: int) -> tuple[dict[int, int], Locations] | None:
    """Return every class that is run, with its least number of preemptions; None if there are too many runs."""
    found: dict[tuple[Optimal, int], dict[int, int]] = {}       # runs from before a restart do not count
    try:
        for explorer, result in every_run(runner, cap, explorer_of):
            if result is not None and not explorer.misrouted and not explorer.rerouted:
                found.setdefault((explorer, explorer.restarts), {})[trace_hash(explorer)] = least_preemptions(explorer)
    except TooMany:
        return None
    last = (mine for (one, restarts), mine in found.items() if one.restarts == restarts)
    return {name: least for mine in last for name, least in mine.items()}, explorer.locations


def of_all(runner: Runner) -> tuple[dict[int, int], Locations] | None:
    every = classes(runner, Optimal, CAP)
    for _ in range(2):                  # classes are comparable only if both explorers know the same locations as shared
        locations = every and every[1]
        every = every and classes(runner, lambda route, known=locations: Optimal(route, locations=known), CAP)   # type: ignore[misc]
    return every


def within(runner: Runner, bound: int, locations: Locations) -> dict[int, int] | None:
    found = classes(runner, lambda route: bounded(bound, route, locations), BOUNDED_CAP)
    return found and found[0]


def compare(seed: int, size: int, sorts: tuple[tuple[str, ...], ...]) -> int:
    """Return the number of bounds that could be compared."""
    runner = Runner(small(seed, size, sorts).make)
    every = of_all(runner)
    if every is None:
        return 0
    compared = 0
    for bound in range(4):
        found = within(runner, bound, every[1])
        if found is not None:
            assert found == {name: least for name, least in every[0].items() if least <= bound}, (seed, size, bound)
            compared += 1
    return compared


@pytest.mark.long
@pytest.mark.parametrize(("first", "size", "sorts"), [
    (50_000, 2, SORTS), (51_000, 4, SORTS), (52_000, 3, OWN), (53_000, 4, TOUCHING)])
def test_a_bound_has_the_classes_that_need_no_more(first: int, size: int, sorts: tuple[tuple[str, ...], ...]) -> None:
    compared = sum(compare(seed, size, sorts) for seed in range(first, first + 40))
    assert compared >= 80


@pytest.mark.long
@pytest.mark.parametrize(("seed", "size", "sorts"), WRONG)
def test_so_it_is_where_the_least_number_was_wrong_once(seed: int, size: int, sorts: tuple[tuple[str, ...], ...]) -> None:
    assert compare(seed, size, sorts)


@pytest.mark.long
@pytest.mark.parametrize(("make", "n"), [(readers.make, 4), (lastzero.make, 3), (filesystem.make, 4)])
def test_both_ways_say_the_same(make: Any, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for bound in range(3):
        before = verify(make, n, preemptions=bound)
        monkeypatch.setattr(exploration, "FEW", 1)
        after = verify(make, n, preemptions=bound)
        monkeypatch.undo()
        assert before.way == exploration.OPTIMAL and before.complete and after.complete
        assert after.way == exploration.BOUNDED or before.classes == 1
        assert (after.digest, after.classes) == (before.digest, before.classes)
        assert {key: seen.preemptions for key, seen in after.outcomes.items()} == {
            key: seen.preemptions for key, seen in before.outcomes.items()}


def for_ever(limit: int) -> Program:
    """Make two tasks, each of which goes on for as long as the other one has moved: some schedules never end."""
    x, y = atomic_t("x"), atomic_t("y")

    def follow(mine: Any, other: Any) -> None:
        last = -1
        while atomic_read(other) != last:
            last = atomic_read(other)
            atomic_inc(mine)

    return Program([lambda: follow(x, y), lambda: follow(y, x)], check=lambda: atomic_read(x) < limit)


@pytest.mark.long
def test_a_bound_ends_where_runs_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploration, "FEW", 50)
    assert not verify(for_ever, 100, runs=500).complete
    needed = []
    for limit in (2, 3, 4):
        least = next(bound for bound in itertools.count() if verify(for_ever, limit, preemptions=bound).titles)
        assert verify(for_ever, limit, preemptions=least - 1).proved
        needed.append(least)
    assert needed == sorted(set(needed))        # each turn needs one more preemption


def test_a_bound_is_no_proof_where_there_are_not_enough_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploration, "FEW", 5)
    for runs in (1, 5, 20):
        found = verify(for_ever, 100, preemptions=3, runs=runs)
        assert not found.complete and found.why == Incomplete(Reason.RUNS, runs)


def transient() -> Program:
    """Make a task that yields until the other one clears its flag, and counts its turns: it does more than wait."""
    x, rounds = atomic_t("x"), atomic_t("rounds")

    def wait() -> None:
        while atomic_read(x):
            atomic_inc(rounds)
            yield_cpu()

    def change() -> None:
        atomic_set(x, 1)
        atomic_set(x, 0)

    return Program([wait, change])


def test_what_is_cut_beyond_the_bound_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for few in (1, 1_000):
        monkeypatch.setattr(exploration, "FEW", few)
        assert verify(transient, preemptions=0).proved
        assert "yields more than" in str(verify(transient, preemptions=1).why)


def slow() -> Program:
    """Make a program whose runs take so long that the first search would use up the time."""
    counts = [atomic_t(f"count{number}") for number in range(3)]

    def task() -> None:
        for count in [*counts, *counts]:
            atomic_inc(count)
        time.sleep(0.002)

    return Program([task, task, lambda: BUG_ON(atomic_read(counts[0]) == 2, 7)])


@pytest.mark.long
def test_what_the_first_search_takes_leaves_time_for_the_bound() -> None:
    assert verify(slow).titles == verify(slow, preemptions=1, seconds=1.5).titles != []
