# SPDX-License-Identifier: MIT
"""A mistake of the kernel source is a finding with a title; any other exception is an error of vmrace and says so."""

from __future__ import annotations

import pytest
from vmrace.harness.errors import HarnessError
from vmrace.harness.schedulers import NoPreempt, Walk

from tests.toy import THREADS, Run, Toy

FAULTS = "tests.harness.kernels.faults"
TOY = Toy(FAULTS)


def run(call: str) -> Run:
    return TOY.run([(0, [(call,)])], NoPreempt())


@pytest.mark.parametrize("call", ["read_null", "write_null", "index_null", "call_null", "null_lock"])
def test_following_a_null_pointer_is_an_oops(call: str) -> None:
    assert run(call).titles == [f"OOPS: NULL pointer dereference in {call}"]


def test_an_oops_has_the_call_stack_of_the_fault() -> None:
    assert [site.function for site in run("null_with_lock_held").findings[0].stack] == ["null_with_lock_held", "read_null"]


def test_a_null_pointer_followed_in_an_interrupt_is_an_oops() -> None:
    assert run("null_in_irq").titles == ["OOPS: NULL pointer dereference in read_null"]


def test_a_lock_held_at_an_oops_is_free_in_the_next_run() -> None:
    run("null_with_lock_held")
    assert TOY["lock"].owner is None


@pytest.mark.parametrize(("call", "why"), [
    ("divide", "ZeroDivisionError in task0"), ("misspelt", "AttributeError in task0"), ("wrong_arguments", "TypeError in task0")])
def test_an_exception_that_no_kernel_raises_is_a_harness_error(call: str, why: str) -> None:
    with pytest.raises(HarnessError, match=why):
        run(call)


@pytest.mark.parametrize("backend", ["greenlets", "threads"])
def test_after_a_harness_error_the_machine_runs_as_before(backend: str) -> None:
    toy = Toy(FAULTS, backend=THREADS) if backend == "threads" else TOY
    program = [(0, [("fine",)]), (1, [("fine",)])]
    before = toy.trace(program, NoPreempt())
    with pytest.raises(HarnessError):
        toy.run([(0, [("fine",), ("divide",)]), (1, [("fine",)])], NoPreempt())
    assert toy.trace(program, NoPreempt()).facts == before.facts


@pytest.mark.parametrize(("call", "title"), [
    ("bug", "BUG at mm/faults.c:12 in bug"),
    ("bug_on", "BUG at mm/faults.c:13 in bug_on"),
    ("bug_in_macro", "BUG at mm/faults.c:14 in bug_in_macro"),
    ("warn", "WARN at mm/faults.c:15 in warn"),
    ("complain", "PRINTK: out of swap in complain")])
def test_the_title_of_a_kernel_check_names_file_line_and_function(call: str, title: str) -> None:
    assert run(call).titles == [title]


def test_a_bug_after_a_warning_is_the_finding_of_the_run() -> None:
    result = run("warn_then_bug")
    assert result.titles == ["BUG at mm/faults.c:17 in warn_then_bug"]
    assert [note.title for note in result.notes] == ["WARN at mm/faults.c:16 in warn_then_bug"]


def test_a_bug_ends_the_run_of_all_tasks() -> None:
    result = TOY.run([(0, [("bug",), ("fine",)]), (1, [("fine",)])], NoPreempt())
    assert result.steps == 0
    assert len(result.findings) == 1


def test_an_exception_of_the_scheduler_is_a_harness_error() -> None:
    class Broken(Walk):
        def at(self, m):
            raise RuntimeError("no idea")
    import random
    with pytest.raises(HarnessError, match="RuntimeError in task0: no idea"):
        TOY.run([(0, [("fine",)])], Broken(random.Random(1), 1))
