# SPDX-License-Identifier: MIT
"""The executor runs every program: with the same digest on every backend and image, and independently of earlier runs."""

from __future__ import annotations

import random

import pytest
from vmrace.fuzz.run.executor import Executor, Outcome, Prepared, SetupFailed
from vmrace.harness.schedulers import NoPreempt, Walk
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.program import Program

from tests.fuzz.family_programs import executor, prepared, program, random_program

VARIANTS = ("pre_patch", "daniel_lru_count")


def random_runs(count: int, seed: int, variant: str) -> list[tuple[Program, Prepared, Outcome]]:
    """Return `count` random programs whose setup does not fail, each with one random run."""
    rng = random.Random(seed)
    ex = executor(variant)
    out = []
    while len(out) < count:
        made = random_program(rng, rng.randint(1, 3), rng.randint(1, 4), preempt=rng.random() < 0.2)
        ready = prepared(made, ex)
        if ready is not None:
            out.append((made, ready, ex.run(ready, Walk(rng, 0.2))))
    return out


def digest(ex: Executor, made: Program, outcome: Outcome) -> str:
    return ex.trace(ex.prepare(made), Replay(outcome.switches, outcome.forced)).digest


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
def test_threads_and_greenlets_give_the_same_digest(variant: str) -> None:
    threads = executor(variant, "threads")
    for made, _, outcome in random_runs(15, 51, variant):
        assert digest(threads, made, outcome) == digest(executor(variant), made, outcome)


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
def test_checked_images_give_the_same_digest_unless_a_lock_is_missing(variant: str) -> None:
    checked = executor(variant, checked=True)
    compared = 0
    for made, _, outcome in random_runs(40, 52, variant):
        traced = checked.trace(checked.prepare(made), Replay(outcome.switches, outcome.forced, lenient=True))
        if not any(title.startswith("LOCKSET") for title in traced.outcome.titles):
            assert traced.digest == digest(executor(variant), made, outcome)
            compared += 1
    assert compared >= 20


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_replay_has_the_same_titles_steps_and_decisions(variant: str) -> None:
    ex = executor(variant)
    for made, _, outcome in random_runs(60, 53, variant):
        again = ex.replay(ex.prepare(made), outcome.switches, outcome.forced)
        assert (again.titles, again.steps) == (outcome.titles, outcome.steps)
        assert (again.switches, again.forced) == (outcome.switches, outcome.forced)


@pytest.mark.long
def test_searching_for_leaks_does_not_change_the_next_run() -> None:
    plain, drained = Executor(executor().family, "pre_patch"), Executor(executor().family, "pre_patch")
    drained.drain_after = True
    for made, _, outcome in random_runs(15, 54, "pre_patch"):
        assert digest(drained, made, outcome) == digest(plain, made, outcome)
        assert digest(drained, made, outcome) == digest(plain, made, outcome)


def test_a_setup_that_fails_alone_is_reported_with_its_finding() -> None:
    with pytest.raises(SetupFailed) as caught:
        executor().prepare(program(["pin m0.0 k0", "exit m0", "irq_put k0", "swap_out", "read f0.0"], ["reclaim"], ["reclaim"]))
    assert caught.value.finding.title == "BUG at mm/page_alloc.c:95 in __free_pages_ok"


def test_after_a_setup_that_failed_programs_run_as_before() -> None:
    good = program(["store m0.0"], ["load m0.0"], ["swap_out"])
    before = executor().trace(executor().prepare(good), NoPreempt()).digest
    with pytest.raises(SetupFailed):
        executor().prepare(program(["pin m0.0 k0", "exit m0", "irq_put k0", "swap_out", "read f0.0"], ["reclaim"], ["reclaim"]))
    assert executor().trace(executor().prepare(good), NoPreempt()).digest == before


def test_an_operation_that_a_variant_lacks_is_reported() -> None:
    lacking = Executor(executor().family, "pre_patch")
    has = set(lacking.operations())
    made = program([], ["reclaim", "invalidate2 f0"])
    assert lacking.lacks(made) == sorted({"reclaim", "invalidate2"} - has)


@pytest.mark.parametrize("checked", [False, True])
def test_on_one_cpu_a_lock_order_cycle_is_reported_in_each_run_that_has_it(checked: bool) -> None:
    """The image of one cpu learns from the present run alone: the second run reports the same as the first one, with the same detail."""
    made = program(["pin m0.0 k0", "mmap_private m0.0 f0.0", "store m0.0"], ["truncate f0 1", "irq_unpin k0"])
    ex = executor("daniel_lru_count", checked=checked)
    ready = ex.prepare(made)
    runs = [ex.run(ready, NoPreempt()) for _ in range(3)]
    title = "LOCKDEP: pagemap_lru_lock taken in an interrupt and with interrupts on"
    assert [run.titles for run in runs] == [[title]] * 3
    assert len({run.findings[0].detail for run in runs}) == 1
