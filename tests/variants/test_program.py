# SPDX-License-Identifier: MIT
"""The text of a program reads and prints unchanged, and a mistake in it is reported with its place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vmrace.fuzz.corpus.entry import Entry, EntryError, emit, parse
from vmrace.fuzz.corpus.verdict import bug
from vmrace.fuzz.run.executor import Executor
from vmrace.harness.machine.machine import m
from vmrace.harness.replay.named_schedule import parse as parse_line
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import FAMILIES, family
from vmrace.variants.operations import OPERANDS, OPERATIONS
from vmrace.variants.program import CPUS_MAX, OPS_MAX, TASKS_PER_CPU_MAX, Op, Program, ProgramError, TaskProgram, parse_op, parse_ops


@st.composite
def ops(draw: st.DrawFn) -> Op:
    operation = draw(st.sampled_from(sorted(OPERATIONS.values(), key=lambda each: each.name)))
    return Op(operation.name, tuple(draw(st.sampled_from(OPERANDS[kind])) for kind in operation.operands))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    cpus = sorted(draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)))
    tasks = tuple(TaskProgram(cpu, tuple(draw(st.lists(ops(), min_size=1, max_size=3)))) for cpu in cpus if cpus.count(cpu) <= 3)
    setup = tuple(draw(st.lists(ops(), max_size=3)))
    tasks = tasks or (TaskProgram(0, (Op("reclaim"),)),)
    return Program(setup, tasks, draw(st.integers(max(task.cpu for task in tasks) + 1, 4)), draw(st.booleans()))


def entry(program: Program) -> Entry:
    key = program.keys()[0]
    return Entry(title="LEAK: x", asks="Is it \"quoted\" \\ and so on?", source="test", found_on="lru_free_2_4/pre_patch", program=program,
                 schedule=(parse_line(f"{key} until before page_cache_get(A) in shrink_cache"), parse_line(f"{key} to the end")),
                 expect={"pre_patch": bug("LEAK: x")}, comment="# why\n# this\n")


@settings(deadline=None, max_examples=150, derandomize=True)
@given(op=ops())
def test_an_operation_is_printed_as_it_is_read(op: Op) -> None:
    assert parse_op(str(op), "test") == op


@settings(deadline=None, max_examples=100, derandomize=True)
@given(program=programs())
def test_an_entry_is_printed_as_it_is_read(program: Program) -> None:
    text = emit(entry(program))
    assert emit(parse(text)) == text


@settings(deadline=None, max_examples=100, derandomize=True)
@given(program=programs())
def test_a_program_reads_back_from_its_text(program: Program) -> None:
    assert parse(emit(entry(program))).program == program


def test_a_comment_does_not_change_an_entry() -> None:
    one = entry(Program((), (TaskProgram(0, (Op("reclaim"),)),), 1))
    other = parse(emit(one).replace("# why", "# because"))
    assert other.identity == one.identity
    assert other.comment != one.comment


@pytest.mark.parametrize(("text", "why"), [
    ("stroe m0.0", "no operation 'stroe'. Did you mean store?"),
    ("xyzzy", "no operation 'xyzzy'"),
    ("", "no operation ''"),
    ("store", "store takes one operand (a page m0.0 .. m3.2); none given"),
    ("store m0.0 m0.1", "store takes one operand (a page m0.0 .. m3.2); two given"),
    ("reclaim 3", "reclaim takes no operand; one given"),
    ("store m9.0", "'m9.0' is not a page (one of m0.0 .. m3.2)"),
    ("pin m0.0 m1", "'m1' is not a pin (one of k0 .. k3)"),
    ("shrink_cache 5", "'5' is not a number (one of 1 .. 4)"),
])
def test_a_text_that_is_no_operation_gives_one_line(text: str, why: str) -> None:
    with pytest.raises(ProgramError) as caught:
        parse_op(text, "cpu0[3]")
    assert str(caught.value) == f"cpu0[3]: {why}"


def test_a_bad_operation_in_a_list_is_reported_with_its_place() -> None:
    with pytest.raises(ProgramError, match=r"cpu1\[1\]: no operation 'nothing'"):
        parse_ops(["reclaim", "nothing"], "cpu1")


@pytest.mark.parametrize("lines", ["reclaim", [1], None, {"a": 1}])
def test_a_value_that_is_no_list_of_operations_is_reported(lines: object) -> None:
    with pytest.raises(ProgramError, match="cpu1: must be a list of operations in quotes"):
        parse_ops(lines, "cpu1")


def test_too_many_operations_are_refused() -> None:
    with pytest.raises(ProgramError, match=f"{OPS_MAX + 1} operations, more than {OPS_MAX}"):
        parse_ops(["reclaim"] * (OPS_MAX + 1), "cpu0")


GOOD = emit(entry(Program((), (TaskProgram(0, (Op("reclaim"),)), TaskProgram(1, (Op("store", ("m0.0",)),))), 2)))


@pytest.mark.parametrize(("old", "new", "why"), [
    ("format = 1", "format = 2", "format: 2, this vmrace reads 1. Update vmrace to read it."),
    ("format = 1", "", "format: missing, or no number"),
    ("asks =", "ask =", "unknown field 'ask'. Did you mean asks?"),
    ("cpu1 =", "cpu1_task2 =", "tasks of a cpu are named cpu0, cpu0_task1, cpu0_task2"),
    ("cpu1 =", "cpu7 =", "cpu7: there are at most 4 cpus, cpu0 .. cpu3"),
    ("lru_free_2_4/pre_patch", "lru_fre_2_4/pre_patch", "no family 'lru_fre_2_4'. Did you mean lru_free_2_4?"),
    ("lru_free_2_4/pre_patch", "lru_free_2_4/pre_pach", "no variant 'pre_pach' in lru_free_2_4. Did you mean pre_patch?"),
    ("cpu0 to the end", "cpu2 to the end", "schedule[1]: cpu2 does not exist"),
    ("cpu0 to the end", "cpu0 to the bitter end", "schedule[1]: no schedule line"),
    ("store m0.0", "store", "cpu1[0]: store takes one operand"),
    ("[expect]", "[expect", "not TOML"),
])
def test_a_bad_entry_gives_one_line_with_the_place(old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(EntryError) as caught:
        parse(GOOD.replace(old, new), "corpus/x.toml")
    assert str(caught.value).startswith("corpus/x.toml: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_entry_without_a_task_is_refused() -> None:
    lines = [line for line in GOOD.splitlines() if not line.startswith(("cpu", "  \"", "]"))]
    text = "\n".join(lines).replace("schedule = [", "schedule = []")
    with pytest.raises(EntryError, match="no task: an entry has at least cpu0"):
        parse(text)


# ---- programs as values ------------------------------------------------------------------------------------------------------

def test_tasks_are_named_by_their_cpu_and_their_number_on_it() -> None:
    tasks = tuple(TaskProgram(cpu, (Op("reclaim"),)) for cpu in (0, 0, 2, 0, 2))
    assert Program((), tasks, 3).keys() == ["cpu0", "cpu0_task1", "cpu2", "cpu0_task2", "cpu2_task1"]


def test_the_size_of_a_program_counts_all_operations() -> None:
    program = Program((Op("reclaim"),), (TaskProgram(0, (Op("reclaim"), Op("swap_out"))),), 1)
    assert (program.size, program.operations()) == (3, {"reclaim", "swap_out"})


@pytest.mark.parametrize("name", FAMILIES)
def test_each_task_and_idle_loop_of_the_largest_program_has_a_task_struct_of_its_own(name: str) -> None:
    made = family(name)
    executor = Executor(made, next(iter(made.variants)))
    tasks = tuple(TaskProgram(cpu, (Op("load", ("m0.0",)),)) for cpu in range(CPUS_MAX) for _ in range(TASKS_PER_CPU_MAX))
    outcome = executor.run(executor.prepare(Program((), tasks, CPUS_MAX)), NoPreempt())
    of_tasks, of_loops = [task.task for task in m.tasks], executor.image(CPUS_MAX).tasks[-CPUS_MAX:]
    assert not outcome.findings
    assert len({*of_tasks, *of_loops}) == len(tasks) + CPUS_MAX == len(executor.image(CPUS_MAX).tasks)
