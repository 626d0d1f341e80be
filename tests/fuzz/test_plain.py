# SPDX-License-Identifier: MIT
"""A plain enumeration with a limit makes the runs of `every_schedule`, and ends when the schedules that are known exceed the limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from vmrace.fuzz.run.plain import TooMany, at_most
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.schedulers.enumerate import every_schedule

from tests.programs import lost_update, readers, reorder


@pytest.mark.parametrize("preemptions", [0, 1, 1 << 30])
@pytest.mark.parametrize("make", [lost_update.make, readers.make, reorder.make], ids=lambda make: make.__module__.rpartition(".")[2])
def test_a_limit_of_exactly_the_number_of_schedules_is_enough_and_one_less_is_not(make: Callable[[int], Program], preemptions: int) -> None:
    run = Runner(make, 2).run
    every = sorted((result.switches, result.forced) for result in every_schedule(run, preemptions, explores=True))
    assert sorted((result.switches, result.forced) for result in at_most(len(every), run, preemptions)) == every
    with pytest.raises(TooMany):
        list(at_most(len(every) - 1, run, preemptions))


def test_too_many_schedules_are_known_to_be_too_many_after_few_of_them() -> None:
    runner, runs = Runner(readers.make, 6), 0

    def run(scheduler: Any) -> Any:
        nonlocal runs
        runs += 1
        return runner.run(scheduler)
    with pytest.raises(TooMany):
        list(at_most(20_000, run, 1 << 30))
    assert runs < 1_000, runs
