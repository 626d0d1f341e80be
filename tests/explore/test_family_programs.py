# SPDX-License-Identifier: MIT
"""Programs of the families: plain enumeration of the schedules with at most one preemption gives the outcomes that the exploration
has with at most one."""

from __future__ import annotations

import functools
import random
from collections import Counter
from typing import Any

import pytest
from vmrace.fuzz.run.executor import Executor, SetupFailed
from vmrace.harness.explore.exploration import explore
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers.enumerate import every_schedule
from vmrace.variants.family import family
from vmrace.variants.operations import OPERANDS, OPERATIONS
from vmrace.variants.program import Op, Program, TaskProgram

DPOR_CAP, PLAIN_CAP = 100, 200


def outcome_of(executor: Executor, image: Any, outcome: Any) -> tuple[Any, ...]:
    pages = Counter(executor.family.describe(image).values())
    loads = Counter(str((who, where, value)) for what, who, where, value, *_ in m.history if what == "load")
    return tuple(sorted(set(outcome.titles))), tuple(sorted(pages.items())), tuple(sorted(loads.items()))


def compare(executor: Executor, program: Program) -> int:
    """Return the number of schedules that agreed; 0 if there are too many classes to compare."""
    try:
        prepared = executor.prepare(program)
    except SetupFailed:
        return 0

    def run(scheduler: Any) -> Any:
        return executor.run(prepared, scheduler)

    found = explore(run, prepared.cpus, lambda outcome, _: outcome_of(executor, prepared.image, outcome), up=prepared.cpus == 1,
                    runs_max=DPOR_CAP)
    if not found.complete:
        assert found.why is None or not found.why.reason.broke, f"{program}: {found.why}"
        return 0
    plain = set()
    count = 0
    for count, outcome in enumerate(every_schedule(run, 1, explores=True), 1):
        plain.add(outcome_of(executor, prepared.image, outcome))
        if count > PLAIN_CAP:
            break
    else:
        assert {key for key, seen in found.outcomes.items() if seen.preemptions <= 1} == plain, str(program)
    assert plain <= set(found.outcomes), str(program)
    return count


IRQS = ("irq_put", "irq_unpin", "swap_out", "shrink_cache", "read")


def small(rng: random.Random, names: tuple[str, ...], kind: str) -> Program:
    """Return a program of two or three tasks with one operation each: on two cpus, with an operation that raises interrupts, or with
    two tasks on one cpu."""
    def op(among: tuple[str, ...]) -> Op:
        name = rng.choice(among)
        return Op(name, tuple(rng.choice(OPERANDS[operand][:2]) for operand in OPERATIONS[name].operands))
    raisers = tuple(name for name in IRQS if name in names)
    pinned = (Op("pin", ("m0.0", "k0")),) if "pin" in names else ()
    setup = (Op("store", ("m0.0",)), *pinned, *(op(names) for _ in range(rng.randint(0, 2))))
    ops = [op(raisers if kind == "interrupt" and not number and raisers else names) for number in range(3 if kind == "shared" else 2)]
    tasks = tuple(TaskProgram(min(number, 1), (each,)) for number, each in enumerate(ops))
    return Program(setup, tasks, 2, kind == "shared" and rng.random() < 0.5)


# (variant, programs, the least number of schedules that must be compared)
VARIANTS = (("lru_free_2_4/pre_patch", 25, 500), ("lru_free_2_4/daniel_lru_count", 25, 500), ("invalidate_2_6/pre_2_6_15", 25, 500))


@functools.cache
def executor(name: str) -> Executor:
    room, _, variant = name.partition("/")
    return Executor(family(room), variant, checked=True)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["plain", "interrupt", "shared"])
@pytest.mark.parametrize(("name", "programs", "least"), VARIANTS, ids=[name for name, *_ in VARIANTS])
def test_plain_enumeration_agrees(name: str, programs: int, least: int, kind: str) -> None:
    runner = executor(name)
    names = tuple(runner.operations())
    compared = schedules = 0
    for seed in range(programs):
        count = compare(runner, small(random.Random(seed), names, kind))
        compared += count > 1
        schedules += count
    print(name, kind, compared, schedules)
    assert schedules >= least, (compared, schedules)
