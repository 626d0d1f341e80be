# SPDX-License-Identifier: MIT
"""Shrinking keeps the title, leaves no operation that can be removed, and reaches the least number of preemptions."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import vmrace.fuzz.shrink.failing
import vmrace.fuzz.shrink.minimize
import vmrace.fuzz.shrink.schedule
from vmrace.fuzz.run.executor import Executor, Outcome, SetupFailed
from vmrace.fuzz.shrink import schedule
from vmrace.fuzz.shrink.failing import CUT_ASKED, CUT_TIME, Attempts, Budget
from vmrace.fuzz.shrink.minimize import minimize, program_of
from vmrace.fuzz.shrink.operations import OperationsFail
from vmrace.fuzz.shrink.schedule import Shrunk, minimal_text
from vmrace.harness.schedulers import Walk
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.harness.schedulers.replay import Replay
from vmrace.variants.program import Program

from tests.canaries.small_family import SMALL
from tests.fuzz.family_programs import executor, program


@dataclass(frozen=True)
class Case:
    """A program that fails with `title`, the operations that must remain, and the preemptions that these need."""

    title: str
    program: Program
    ops: list[list[str]]            # the setup, then each task
    preemptions: int
    small: bool = True


FREED_IN_IRQ = "BUG at mm/page_alloc.c:95 in __free_pages_ok"
CASES: dict[str, Case] = {
    "a page freed in an interrupt": Case(
        FREED_IN_IRQ, program(["store m0.0"], ["pin m0.0 k0", "exit m0", "irq_unpin k0"]),
        [["pin m0.0 k0", "exit m0"], ["irq_unpin k0"]], 0, small=False),
    "a page freed in an interrupt, among others": Case(
        FREED_IN_IRQ, program(["store m0.1", "store m0.2"], ["pin m0.2 k3", "load m0.1", "exit m0", "irq_unpin k3"], ["read f0.1"]),
        [["pin m0.0 k0", "exit m0"], ["irq_unpin k0"]], 0, small=False),
    "a lost count": Case(
        "INVARIANT: nr_used differs from the pages in use",
        program(["load m0.0"], ["store m1.0", "map m2.1", "load m0.0"], ["swap_out", "map m1.2"], ["load m1.0"]),
        [[], ["map m0.0"], ["map m0.1"]], 1),
    "a lost store": Case(
        "DATA: a load returns an old value",
        program(["store m0.0", "load m0.0"], ["load m0.1", "store m0.0", "load m0.0"], ["map m0.1", "swap_out", "store m2.0"]),
        [[], ["store m0.0", "load m0.0"], ["swap_out"]], 1),
    "an intermediate state": Case(
        "BUG at mm/small.c:9 in op_touch",
        program(["load m0.0"], ["load m1.0", "touch f1.1", "map m0.0"], ["store m1.0", "truncate f1 3"]),
        [[], ["touch f0.0"], ["truncate f0 1"]], 2),
}
each_case = pytest.mark.parametrize("name", CASES)


def runner(case: Case) -> Executor:
    return Executor(SMALL, "broken") if case.small else executor()


def failing_run(case: Case, ex: Executor) -> Outcome:
    """Return a failing run of a random walk, so that the schedule to shrink is not a simple one."""
    prepared = ex.prepare(case.program)
    rng = random.Random(41)
    for _ in range(5000):
        outcome = ex.run(prepared, Walk(rng, 0.5))
        if case.title in outcome.titles:
            return outcome
    raise AssertionError(f"no run of {case.program} fails")


def failing(case: Case, ex: Executor) -> OperationsFail:
    return OperationsFail(ex, case.program, case.title)


@functools.cache
def shrunk(name: str, seed: int = 0) -> Shrunk:
    case = CASES[name]
    ex = runner(case)
    return minimize(failing(case, ex), failing_run(case, ex), Budget(), seed)


def text(what: Program) -> list[list[str]]:
    return [[str(op) for op in line] for line in (what.setup, *(task.ops for task in what.tasks))]


def runs(case: Case, what: Program, preemptions: int) -> list[Outcome]:
    """Run every schedule with at most `preemptions` preemptions; [] if the setup fails."""
    ex = runner(case)
    try:
        prepared = ex.prepare(what)
    except SetupFailed:
        return []
    return list(every_schedule(lambda scheduler: ex.run(prepared, scheduler), preemptions))


def smaller(what: Program) -> Iterator[Program]:
    """Generate each program that has one operation less."""
    for at in range(len(what.setup)):
        yield replace(what, setup=what.setup[:at] + what.setup[at + 1:])
    for number, task in enumerate(what.tasks):
        for at in range(len(task.ops)):
            left = replace(task, ops=task.ops[:at] + task.ops[at + 1:])
            tasks = (*what.tasks[:number], left, *what.tasks[number + 1:])
            if any(each.ops for each in tasks):
                yield replace(what, tasks=tasks)


@each_case
def test_shrinking_keeps_the_title(name: str) -> None:
    assert CASES[name].title in shrunk(name).run.titles


@each_case
def test_the_failing_run_replays_on_the_shrunk_program(name: str) -> None:
    case, result = CASES[name], shrunk(name)
    ex = runner(case)
    prepared = ex.prepare(program_of(result))
    outcome = ex.run(prepared, Replay(result.run.switches, result.run.forced))
    assert outcome.titles == result.run.titles


@each_case
def test_the_shrunk_program_is_the_one_that_a_person_would_write(name: str) -> None:
    assert sorted(text(program_of(shrunk(name)))) == sorted(CASES[name].ops)


@each_case
def test_no_operation_of_a_shrunk_program_can_be_removed(name: str) -> None:
    case, result = CASES[name], shrunk(name)
    assert result.operations_proved
    for candidate in smaller(program_of(result)):
        titles = {title for outcome in runs(case, candidate, result.preemptions) for title in outcome.titles}
        assert case.title not in titles, text(candidate)


@each_case
def test_no_run_of_a_shrunk_program_fails_with_fewer_preemptions(name: str) -> None:
    case, result = CASES[name], shrunk(name)
    assert result.least_proved
    assert result.preemptions == result.run.preemptions == case.preemptions
    if result.preemptions:
        fewer = runs(case, program_of(result), result.preemptions - 1)
        assert [outcome.titles for outcome in fewer if case.title in outcome.titles] == []


@each_case
def test_each_schedule_with_fewer_preemptions_is_counted_exactly_once(name: str) -> None:
    case, result = CASES[name], shrunk(name)
    expected = len(runs(case, program_of(result), result.preemptions - 1)) if result.preemptions else 0
    assert result.fewer_runs == expected


@each_case
def test_shrinking_never_makes_a_program_larger(name: str) -> None:
    case, result = CASES[name], shrunk(name)
    assert program_of(result).size <= case.program.size
    assert len(program_of(result).tasks) <= len(case.program.tasks)
    assert program_of(result).cpus <= max(case.program.cpus, 2)


@pytest.mark.long
@each_case
def test_shrinking_with_the_same_seed_gives_the_same_result(name: str) -> None:
    def facts(result: Shrunk) -> tuple[Any, ...]:
        return program_of(result), result.run.switches, result.run.forced, result.runs, result.passes
    first = facts(shrunk(name))
    shrunk.cache_clear()
    assert facts(shrunk(name)) == first


def test_a_failure_is_not_replaced_by_one_with_another_title() -> None:
    """The program fails in two ways; the requested title stays, although the other one needs fewer preemptions."""
    both = program([], ["map m0.0", "store m0.0", "load m0.0"], ["map m0.1", "swap_out"])
    case = Case("DATA: a load returns an old value", both, [], 2)
    ex = runner(case)
    result = minimize(failing(case, ex), failing_run(case, ex), Budget())
    assert case.title in result.run.titles
    assert "map" not in {op.name for task in program_of(result).tasks for op in task.ops}


@each_case
def test_unneeded_preemptions_are_removed_without_an_enumeration(name: str) -> None:
    case = CASES[name]
    ex = runner(case)
    budget, state = Budget(), Shrunk(failing(case, ex), failing_run(case, ex))
    state.narrate()
    before = state.run.preemptions
    schedule.drop_preemptions(state, Attempts(state.failing, budget))
    assert case.title in state.run.titles
    assert case.preemptions <= state.run.preemptions <= min(before, case.preemptions + 2)
    assert budget.runs < 500


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.preemptions])
@pytest.mark.parametrize("classes", [5000, 1])
def test_after_an_enumeration_exceeds_its_budget_classes_prove_it_or_nothing_is_claimed(
        name: str, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a budget of three schedules the enumeration does not prove the least number; an exploration of the classes does."""
    monkeypatch.setattr(vmrace.fuzz.shrink.schedule, "ENUMERATE_MAX", 3)
    monkeypatch.setattr(vmrace.fuzz.shrink.minimize, "REMOVE_MAX", 3)
    monkeypatch.setattr(vmrace.fuzz.shrink.failing, "CLASSES_MAX", classes)
    case = CASES[name]
    ex = Executor(SMALL, "broken", checked=True)
    result = minimize(failing(case, ex), failing_run(case, ex), Budget())
    assert case.title in result.run.titles
    proved = classes > 1
    assert result.least_proved == proved
    assert result.classes > 0 if proved else result.classes == 0
    if proved:
        assert (result.operations_proved, result.preemptions) == (True, case.preemptions)
        assert [len(ops) for ops in case.ops] == [len(program_of(result).setup), *(len(task.ops) for task in program_of(result).tasks)]
        assert "classes of schedules run)" in minimal_text(result)


@pytest.mark.long
@each_case
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.9, 0.98])
def test_a_shrink_that_is_cut_claims_no_more_than_it_has_run(name: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from vmrace.fuzz.run import stop_request
    left = iter(range(int(shrunk(name).runs * share)))
    monkeypatch.setattr(stop_request, "asked", lambda: next(left, None) is None)
    case = CASES[name]
    ex = runner(case)
    result = minimize(failing(case, ex), failing_run(case, ex), Budget())
    assert result.cut == CUT_ASKED
    assert not result.operations_proved
    assert minimal_text(result).startswith("no: not shrunk, interrupted" if share == 0.0 else "no: shrinking was cut, interrupted")
    outcome = ex.run(ex.prepare(program_of(result)), Replay(result.run.switches, result.run.forced))
    assert case.title in outcome.titles
    assert result.preemptions == outcome.preemptions
    if result.least_proved and result.preemptions:
        fewer = runs(case, program_of(result), result.preemptions - 1)
        assert [one.titles for one in fewer if case.title in one.titles] == []


def test_shrinking_after_its_deadline_makes_no_run() -> None:
    case = CASES["a lost count"]
    ex = runner(case)
    result = minimize(failing(case, ex), failing_run(case, ex), Budget(time.monotonic()))
    assert (result.cut, result.runs, program_of(result)) == (CUT_TIME, 0, case.program)


def test_each_reason_why_no_minimum_is_claimed_has_its_own_text() -> None:
    def text_of(**what: Any) -> str:
        case = CASES["a lost count"]
        return minimal_text(Shrunk(failing(case, runner(case)), Outcome([], [], [], 1), **{"operations_proved": False, **what}))
    assert text_of(cut="as --no-shrink asks") == "no: not shrunk, as --no-shrink asks"
    assert text_of(cut=CUT_TIME, runs=7) == "no: shrinking was cut, the time was up; an operation may still go"
    assert text_of(runs=7).count("the budget of runs was spent") == 2
    assert text_of(runs=7, operations_proved=None) == "the number of preemptions is not proved least, the budget of runs was spent"
    assert text_of(runs=7, cut=CUT_TIME, operations_proved=None) == "no: shrinking was cut, the time was up"
    assert text_of(runs=7, operations_proved=True, least_proved=True) == "no operation can go; it needs no preemption"
