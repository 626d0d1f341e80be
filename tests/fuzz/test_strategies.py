# SPDX-License-Identifier: MIT
"""Programs from Hypothesis are legal, bounded, and without races show the same values on every variant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis
import pytest
from hypothesis import assume, find, given, settings
from hypothesis import strategies as st
from vmrace.fuzz.programs.generate import SETUP_MAX, TASK_OPS_MAX, TASKS_MAX
from vmrace.fuzz.programs.strategies import operations, ops, programs
from vmrace.fuzz.run.executor import Executor, SetupFailed
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.operations import OPERANDS
from vmrace.variants.program import CPUS_MAX, TASKS_PER_CPU_MAX, Op, Program, TaskProgram, parse_op

from tests.fuzz.family_programs import executor

FAMILY = executor().family
NAMES = operations(FAMILY)
SMALL = settings(max_examples=60, deadline=None, derandomize=True, database=None,
                 suppress_health_check=[hypothesis.HealthCheck.filter_too_much])


def loads(runner: Executor, made: Program) -> list[tuple[Any, ...]]:
    """Run the program serially and return (task, place, value) of each load, in order. A setup that fails alone is discarded."""
    try:
        prepared = runner.prepare(made)
    except SetupFailed:
        assume(False)
    outcome = runner.run(prepared, NoPreempt())
    assume(not outcome.findings)
    return [entry[1:4] for entry in [*prepared.history, *m.history] if entry[0] == "load"]


# Operations that store, fork and move pages come more often than the rest; in the end every page of every process is read.
SEEN = (*NAMES, *("store", "fork", "swap_out", "reclaim", "shrink_cache") * 3)
READER = TaskProgram(0, tuple(Op("load", (page,)) for page in OPERANDS["page"]))


def read_in_the_end(made: Program) -> Program:
    start = (Op("store", ("m0.0",)), Op("fork", ("m0", "m1")))
    return replace(made, setup=(*start, *made.setup), tasks=(*made.tasks, replace(READER, cpu=made.cpus - 1)))


@pytest.mark.long
def test_the_loads_of_a_serial_run_return_the_same_on_every_variant() -> None:
    told = 0

    @SMALL
    @given(programs(FAMILY, SEEN).map(read_in_the_end))
    def same(made: Program) -> None:
        nonlocal told
        first, *others = (loads(executor(variant), made) for variant in FAMILY.variants)
        for other in others:
            assert other == first
        told += any(value for *_, value in first)
    same()
    assert told >= 30       # of 60: for programs without a load the property holds trivially


@SMALL
@given(programs(FAMILY, NAMES))
def test_programs_stay_in_their_bounds(made: Program) -> None:
    assert len(made.setup) <= SETUP_MAX
    assert 1 <= len(made.tasks) <= TASKS_MAX
    assert 1 <= made.cpus <= CPUS_MAX
    for task in made.tasks:
        assert 0 <= task.cpu < made.cpus
        assert 1 <= len(task.ops) <= TASK_OPS_MAX
        assert sum(other.cpu == task.cpu for other in made.tasks) <= TASKS_PER_CPU_MAX
    assert [task.cpu for task in made.tasks] == sorted(task.cpu for task in made.tasks)


@SMALL
@given(ops(NAMES))
def test_a_generated_operation_reads_back_from_its_text(op: Any) -> None:
    assert parse_op(str(op), "test") == op
    assert op.name != "fork" or op.operands[0] != op.operands[1]


@SMALL
@given(st.data())
def test_the_strategy_can_limit_operations_and_cpus(data: st.DataObject) -> None:
    made = data.draw(programs(FAMILY, ("store", "load"), cpus_max=2))
    assert made.operations() <= {"store", "load"}
    assert made.cpus <= 2


@pytest.mark.long
def test_a_program_shrinks_to_the_operation_that_matters() -> None:
    """The operation is 1 of 25 in up to 18 places: a few dozen draws find it."""
    made = find(programs(FAMILY, NAMES), lambda drawn: any("swap_out" in str(op) for task in drawn.tasks for op in task.ops),
                settings=settings(max_examples=2000, derandomize=True, database=None))
    assert (made.setup, made.cpus, [str(op) for task in made.tasks for op in task.ops]) == ((), 1, ["swap_out"])
