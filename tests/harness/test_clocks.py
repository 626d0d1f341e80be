# SPDX-License-Identifier: MIT
"""A program whose code names a clock, or random numbers of the system, is never proved; a bug in it is a bug."""

from collections.abc import Callable
from typing import Any

import pytest
from vmrace.harness.functions.program import Program
from vmrace.harness.functions.verify import verify
from vmrace.harness.incomplete import Reason
from vmrace.harness.kernel.cell import cell

from tests.harness.clock_programs import DO_NOT_READ, READ


def program(body: Callable[[], Any], n: int = 2) -> Program:
    x = cell("x", value=0)

    def task() -> None:
        body()
        x.value += 1

    return Program([task, task], check=lambda: x.value <= n)


@pytest.mark.parametrize("name", READ)
def test_a_program_that_can_read_a_clock_is_not_proved(name: str) -> None:
    found = verify(program, READ[name])
    assert not found.proved and found.why is not None and found.why.reason is Reason.REPEATS
    assert found.why.detail == f"it can read a clock or random numbers of the system: {name.partition(',')[0]}"


@pytest.mark.parametrize("name", DO_NOT_READ)
def test_a_program_that_reads_no_clock_is_proved(name: str) -> None:
    assert verify(program, DO_NOT_READ[name]).proved


def test_a_bug_in_a_program_with_a_clock_is_a_bug() -> None:
    assert verify(program, READ["time.time"], 1).titles == ["CHECK: the program's own check fails"]
