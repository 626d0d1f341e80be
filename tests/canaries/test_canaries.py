# SPDX-License-Identifier: MIT
"""Each sanitizer has a kernel that trips it and a repaired twin that trips nothing: every schedule up to two preemptions is run."""

from __future__ import annotations

import importlib
import pathlib
from typing import Any

import pytest
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.finding import is_of_one_run
from vmrace.harness.machine import stuck
from vmrace.harness.machine.machine import m
from vmrace.harness.sanitizers.table import SANITIZERS, Level
from vmrace.harness.schedulers.enumerate import every_schedule

from tests.canaries.small_family import SMALL
from tests.canaries.table import CANARIES, FAMILY_CANARIES, Canary, FamilyCanary
from tests.toy import Run, Toy

KERNELS = "tests.canaries.kernels."
KERNELS_DIRECTORY = pathlib.Path(__file__).parent / "kernels"

# Lockdep's notes need no race; a task that sleeps where it is forbidden or waits for the other task cannot be run alone.
RACES = [canary for canary in CANARIES if canary.sanitizer not in ("atomic_sleep", "progress") and len(canary.tasks) > 1]

each_canary = pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.name)
each_race = pytest.mark.parametrize("canary", RACES, ids=lambda canary: canary.name)
each_family_canary = pytest.mark.parametrize("canary", FAMILY_CANARIES, ids=lambda canary: canary.sanitizer)


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the bound of steps: a canary has a few dozen points, so a livelock of one shows long before 40,000 steps."""
    monkeypatch.setattr(m, "steps_max", 400)
    monkeypatch.setattr(stuck, "FAIR_STEPS_MAX", 400)


def runs_of(canary: Canary, *modules: str, preemptions: int) -> list[Run]:
    """Run every schedule of a canary's tasks on these kernel modules, with at most `preemptions` preemptions."""
    toy = Toy(*(KERNELS + name for name in modules), core="up" if canary.cpus == 1 else canary.core, exact=canary.core == "checked",
              races=canary.sanitizer == "race")
    if toy.image.defines("boot"):
        toy.setup(("boot",))
    return list(every_schedule(lambda scheduler: toy.run(canary.tasks, scheduler, canary.cpus, canary.preempt), preemptions))


@each_canary
def test_a_broken_kernel_trips_its_sanitizer_with_the_exact_title(canary: Canary) -> None:
    runs = runs_of(canary, canary.kernel, preemptions=canary.preemptions)
    found = {(finding.sanitizer, finding.title) for run in runs for finding in run.findings or run.notes}
    assert (canary.sanitizer, canary.title) in found


@each_race
def test_a_task_of_a_broken_kernel_does_not_fail_alone(canary: Canary) -> None:
    """Otherwise the canary would show a mistake that needs no schedule."""
    for task in canary.tasks:
        alone = Canary(canary.sanitizer, canary.title, canary.kernel, ((0, task[1]),), canary.cpus, canary.core)
        titles = [run.title for run in runs_of(alone, canary.kernel, preemptions=0)]
        assert titles == [None] * len(titles)


@each_canary
def test_the_repaired_twin_trips_nothing_under_any_schedule(canary: Canary) -> None:
    runs = runs_of(canary, canary.kernel, canary.kernel + "_repaired", preemptions=2)
    assert [run.titles for run in runs if run.titles] == []


@each_race
def test_the_repaired_twin_was_run_under_many_schedules(canary: Canary) -> None:
    """Two tasks of at least two points each have one default schedule, and one with a preemption at each point of either."""
    runs = runs_of(canary, canary.kernel, canary.kernel + "_repaired", preemptions=2)
    assert len({run.decisions for run in runs}) >= 5


def outcomes_of(canary: FamilyCanary, variant: str) -> list[Any]:
    executor = Executor(SMALL, variant)
    executor.drain_after = executor.quiet = True
    prepared = executor.prepare(canary.program)
    return list(every_schedule(lambda scheduler: executor.run(prepared, scheduler), 2))


@each_family_canary
def test_a_broken_vm_trips_the_oracle_at_rest_with_the_exact_title(canary: FamilyCanary) -> None:
    found = {(finding.sanitizer, finding.title) for outcome in outcomes_of(canary, "broken") for finding in outcome.findings}
    assert found == {(canary.sanitizer, canary.title)}


@each_family_canary
def test_a_broken_vm_has_no_finding_without_a_preemption(canary: FamilyCanary) -> None:
    assert outcomes_of(canary, "broken")[0].titles == []


@each_family_canary
def test_a_repaired_vm_trips_nothing_under_any_schedule(canary: FamilyCanary) -> None:
    assert [outcome.titles for outcome in outcomes_of(canary, "repaired") if outcome.titles] == []


def test_every_sanitizer_of_the_table_has_a_canary() -> None:
    assert {canary.sanitizer for canary in (*CANARIES, *FAMILY_CANARIES)} == set(SANITIZERS)


@pytest.mark.parametrize("name", SANITIZERS)
def test_the_module_of_a_sanitizer_exists_and_reports_by_its_name(name: str) -> None:
    sanitizer = SANITIZERS[name]
    module = importlib.import_module(f"vmrace.{sanitizer.module}")
    assert sanitizer.by_family or name == module.NAME


def test_only_sanitizers_of_single_runs_report_titles_that_explorations_cannot() -> None:
    for canary in (*CANARIES, *FAMILY_CANARIES):
        if is_of_one_run(canary.title):
            assert SANITIZERS[canary.sanitizer].level is Level.SINGLE, canary.title
        else:
            assert SANITIZERS[canary.sanitizer].level is not Level.SINGLE, canary.title


def test_the_readme_of_the_harness_lists_every_sanitizer() -> None:
    text = (pathlib.Path(__file__).parents[2] / "harness" / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 5]
    assert rows == [f"| `{name}` | {one.reports} | {one.level.name.lower()} | {'yes' if one.by_family else ''} |"
                    for name, one in SANITIZERS.items()]


def test_every_canary_kernel_is_in_the_table() -> None:
    written = {path.stem for path in KERNELS_DIRECTORY.glob("*.py")} - {"__init__"}
    used = {canary.kernel for canary in CANARIES} | {"small_vm"}
    assert written == used | {name + "_repaired" for name in used}
