# SPDX-License-Identifier: MIT
"""The machine and the oracle see the same outcomes of generated programs. `python -m tests.oracle` compares more of them."""

from __future__ import annotations

import ast
import contextlib
import pathlib
from collections import Counter

import pytest

from tests.oracle import __main__ as command
from tests.oracle.compare import RUNS_FEW, STATES_FEW, compare, shrunk
from tests.oracle.generate import PROFILES, generate
from tests.oracle.interpreter import TooManyStates, outcomes
from tests.oracle.language import FORMS, Program, every_statement, source

PROGRAMS = 20               # programs of each profile
MANY = range(60)            # programs of each profile that are only generated
UNDECIDED_MAX = PROGRAMS // 3
KNOWN_TO_THE_HARNESS = {"build.py", "faults.py"}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_machine_sees_the_outcomes_that_the_oracle_sees(profile: str) -> None:
    total: Counter[str] = Counter()
    for seed in range(PROGRAMS):
        found = compare(generate(profile, seed), STATES_FEW, RUNS_FEW)
        assert not found.differs, f"{profile} {seed}\n{found}\nor smaller:\n{shrunk(found)}"
        total += command.counted(found)
    print(command.summary(total))
    assert total["undecided"] <= UNDECIDED_MAX, command.summary(total)


def test_half_of_the_programs_have_more_than_one_outcome() -> None:
    counts = []
    for program in [generate(profile, seed) for profile in PROFILES for seed in range(1_000, 1_012)]:
        with contextlib.suppress(TooManyStates):
            counts.append(len(outcomes(program, STATES_FEW)))
    several = sum(count > 1 for count in counts)
    assert len(counts) > 80
    assert several * 2 >= len(counts), f"{several} of {len(counts)}"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_generated_program_is_legal_and_small(profile: str) -> None:
    """Test that a program has what its profile promises. generate() has called check() already."""
    wanted = PROFILES[profile]
    programs = [generate(profile, seed) for seed in MANY]
    assert all(1 <= len(program.tasks) <= 3 and program.cpu_count <= 4 for program in programs)
    assert any(program.shares_cpus for program in programs) == (wanted.shares > 0)
    assert any(program.preempt for program in programs) == (wanted.preempt > 0)
    assert any(program.handlers for program in programs) == (wanted.interrupts > 0)
    assert all(len(program.pending) <= wanted.interrupts + 1 for program in programs)
    assert len({source(program) for program in programs}) > len(programs) * 0.9


def test_every_form_of_statement_is_generated() -> None:
    made = {statement[0] for profile in PROFILES for seed in MANY for statement in generate(profile, seed).statements}
    assert made == set(FORMS) - {"set"}


def test_generating_is_a_function_of_profile_and_seed() -> None:
    assert generate("smp", 7) == generate("smp", 7)
    assert generate("smp", 7) != generate("smp", 8)


def test_interrupts_meet_no_artificial_barriers() -> None:
    """Look for barriers: the language has none, so between two accesses there is only what the primitives are made of."""
    assert not any("mb" in name for name in (statement[0] for program in _with_interrupts() for statement in program.statements))


def _with_interrupts() -> list[Program]:
    return [generate(profile, seed) for profile, wanted in PROFILES.items() if wanted.interrupts for seed in MANY]


def test_the_oracle_imports_nothing_of_the_harness() -> None:
    here = pathlib.Path(__file__).parent
    for path in here.glob("*.py"):
        modules = {name.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import) for name in node.names}
        modules |= {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        uses = any(module.split(".")[0] == "vmrace" for module in modules)
        assert uses == (path.name in KNOWN_TO_THE_HARNESS), path.name


def test_a_difference_is_printed_as_a_program() -> None:
    program = generate("wake from interrupts", 3)
    text = source(program)
    for name, *_ in program.statements:
        assert name in ("store", "load", "add", "set") or name in text
    assert all(f"task{number} on cpu{task.cpu}:" in text for number, task in enumerate(program.tasks))


def test_the_command_counts_what_it_compared(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["oracle", "--programs", "6", "--profile", "smp", "--profile", "yield"])
    assert command.main() == 0
    assert capsys.readouterr().out.startswith("6 programs, 0 with interrupts, ")


def test_nested_statements_are_counted() -> None:
    assert len(list(every_statement((("if", "r0", 1, (("add", "x", 1),), ()), ("schedule",))))) == 3
