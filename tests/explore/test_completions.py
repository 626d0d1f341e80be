# SPDX-License-Identifier: MIT
"""Completions, spawn and join: each class of schedules is run once, none is lost, and no class is there for a wait alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from vmrace.harness.errors import ProgramError
from vmrace.harness.explore.classes import trace_hash
from vmrace.harness.explore.optimal import Optimal
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.functions.verify import verify
from vmrace.harness.kernel import completion, join, spawn, thread, wait_for_completion
from vmrace.harness.schedulers import NoPreempt

from tests.explore import completions
from tests.explore.compare import by_brute_force, by_dpor, by_states

CAP = 1_000
COUNTS = ((completions.joins, 1), (completions.joins, 6), (completions.all_done, 2), (completions.all_done, 5), (completions.gate, 5))


@pytest.mark.parametrize(("make", "n"), COUNTS, ids=[f"{make.__name__}-{n}" for make, n in COUNTS])
def test_a_wait_that_must_come_last_adds_no_class(make: Callable[[int], Program], n: int) -> None:
    proof = verify(make, n)
    assert (proof.proved, proof.classes, proof.blocked) == (True, 1, 0)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_wait_for_any_worker_has_a_class_for_each_set_of_workers_that_may_be_done(n: int) -> None:
    proof = verify(completions.one_done, n)
    assert (proof.proved, proof.classes) == (True, 2 ** n - 1)
    assert len(proof.outcomes) == 2 ** n - 1


@pytest.mark.parametrize("n", [2, 4])
def test_one_token_can_go_to_each_of_the_waiting_tasks(n: int) -> None:
    proof = verify(completions.one_token, n)
    assert proof.complete
    assert proof.classes == n
    assert len(proof.titles) == 1
    assert proof.titles[0].startswith("DEADLOCK")


def _agrees(seed: int, shared: bool) -> None:
    found = by_dpor(Runner(completions.generated, seed, shared), CAP)
    states = by_states(Runner(completions.generated, seed, shared), 2 * CAP)
    brute = by_brute_force(Runner(completions.generated, seed, shared), CAP)
    assert found is not None, seed
    assert states is None or set(found.costs) == states, seed
    assert brute is None or found.costs == brute, seed
    runner, explorer = Runner(completions.generated, seed, shared), Optimal()
    classes: Counter[int] = Counter()
    restarts = 0
    for result in explorer.runs(runner.run):
        if explorer.restarts != restarts:
            restarts = explorer.restarts
            classes.clear()
        if result is not None:
            classes[trace_hash(explorer)] += 1
    # A task that leaves a shared cpu touches what no point announces, so a run there may turn out to be known at its end (see optimal.py).
    assert shared or max(classes.values()) == 1, (seed, "a class was run twice")

@pytest.mark.parametrize("shared", [False, True], ids=["a cpu each", "a shared cpu"])
def test_dpor_sees_the_outcomes_and_the_least_preemptions_of_plain_enumeration(shared: bool) -> None:
    for seed in range(12):
        _agrees(seed, shared)


@pytest.mark.long
@pytest.mark.parametrize("shared", [False, True], ids=["a cpu each", "a shared cpu"])
def test_dpor_sees_them_on_many_programs(shared: bool) -> None:
    for seed in range(12, 200):
        _agrees(seed, shared)


def test_a_task_that_left_its_shared_cpu_to_wait_makes_no_step_before_it_can_go_on() -> None:
    """Decide a program in which nothing else can run for a while: the task once went on in vain, without end."""
    found = by_dpor(Runner(completions.generated, 101, True), CAP)
    assert found is not None
    assert {outcome[0] for outcome in found.costs} == {("DEADLOCK: tasks asleep for ever: _act",)}


def test_a_thread_that_is_never_spawned_is_no_deadlock() -> None:
    runner = Runner(lambda: Program([lambda: None, thread("t", lambda: None)]))
    assert runner.run(NoPreempt()).findings == []


def test_a_join_of_a_thread_that_is_never_spawned_is_a_deadlock() -> None:
    def make() -> Program:
        t = thread("t", lambda: None)
        return Program([lambda: join(t), t])
    assert Runner(make).run(NoPreempt()).title == "DEADLOCK: tasks asleep for ever: lambda"


def test_a_thread_that_is_spawned_twice_is_a_finding() -> None:
    def make() -> Program:
        t = thread("t", lambda: None)

        def main() -> None:
            spawn(t)
            spawn(t)
        return Program([main, t])
    assert Runner(make).run(NoPreempt()).title == "OOPS: RuntimeError in main"


def test_a_thread_that_is_no_task_cannot_be_spawned() -> None:
    def make() -> Program:
        t = thread("t", lambda: None)
        return Program([lambda: spawn(t)])
    with pytest.raises(ProgramError, match="thread t is spawned, but is none of the program's tasks"):
        Runner(make).run(NoPreempt())


def test_a_count_below_zero_is_refused() -> None:
    with pytest.raises(ProgramError, match="done begins with done = -1"):
        Runner(lambda: Program([lambda: wait_for_completion(completion("done", -1))])).run(NoPreempt())
