# SPDX-License-Identifier: MIT
"""An operation returns what its system call returned to its user."""

from __future__ import annotations

import pytest
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import FAMILIES, family
from vmrace.variants.program import Program, TaskProgram, parse_op

PAGE_SIZE = 4096
RESULTS = {
    "lru_free_2_4": {"map m0.0": 0, "unmap m0.0": 0, "read f0.0": PAGE_SIZE, "truncate f0 1": 0, "mmap_shared m0.0 f0.0": 0,
                     "pin m0.0 k0": 0, "write f0.0": PAGE_SIZE, "sync f0": 0, "protect m0.0": 0, "dontneed m0.0": 0,
                     "mremap m0.0 m0.1": 0, "lock_memory m0.0": 0, "swapoff": 0, "attach m0.0 1": 0, "resize 1": 0,
                     "fork m0 m1": None, "load m0.0": None, "reclaim": None, "exit m0": None},
    "invalidate_2_6": {"map m0.0": 0, "unmap m0.0": 0, "read f0.0": PAGE_SIZE, "write f0.0": PAGE_SIZE, "sync f0": 0,
                       "direct_write f0.0": PAGE_SIZE, "direct_read f0.0": PAGE_SIZE, "write_mapped m0.0 f0.0": PAGE_SIZE, "msync m0.0": 0,
                       "protect m0.0": 0, "dontneed m0.0": 0, "mremap m0.0 m0.1": 0, "pin m0.0 k0": 0, "readahead f0": 0,
                       "mmap_private m0.0 f0.0": 0, "load m0.0": None, "reclaim": None},
    "cow_swap_2_6": {"map m0.0": 0, "unmap m0.0": 0, "protect m0.0": 0, "dontneed m0.0": 0, "dontfork m0.0": 0, "dofork m0.0": 0,
                     "pin m0.0 k0": 0, "pin_force m0.0 k0": 0, "poke m0.0": PAGE_SIZE, "swapoff": 0, "add_swap 1": 0,
                     "migrate m0.0": -2, "fork m0 m1": None, "load m0.0": None, "reclaim": None, "reclaim_page m0.0": None},
}


def result(name: str, setup: tuple[str, ...], operation: str) -> object:
    """The result of an operation that runs alone, after a setup; None if it returned nothing."""
    made = family(name)
    executor = Executor(made, next(iter(made.variants)))
    program = Program(tuple(parse_op(text, "setup") for text in setup), (TaskProgram(0, (parse_op(operation, "task"),)),), 2)
    assert not executor.run(executor.prepare(program), NoPreempt()).findings
    return dict(m.tasks[0].results).get(0)


@pytest.mark.parametrize(("name", "operation"), [(name, operation) for name in FAMILIES for operation in RESULTS[name]])
def test_an_operation_that_succeeds_returns_0_or_a_count_and_one_without_a_user_nothing(name: str, operation: str) -> None:
    assert result(name, (), operation) == RESULTS[name][operation]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_fault_returns_its_signal(name: str) -> None:
    assert result(name, ("unmap m0.0",), "load m0.0") == "SIGSEGV"


@pytest.mark.parametrize("name", [name for name in FAMILIES if "read f0.0" in RESULTS[name]])
def test_a_read_past_the_end_of_the_file_returns_nothing_to_read(name: str) -> None:
    assert result(name, ("truncate f0 1",), "read f0.1") == 0
