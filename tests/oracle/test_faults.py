# SPDX-License-Identifier: MIT
"""The comparison finds a fault in a primitive: with it, machine and oracle differ on a program on which they agree without it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.oracle import build
from tests.oracle.compare import RUNS_FEW, STATES_FEW, Comparison, compare, shrunk
from tests.oracle.faults import FAULTS, Fault
from tests.oracle.generate import generate

SEEDS = range(50_000, 50_600)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _caught(FAULTS[name], monkeypatch)
    assert found is not None, f"none of {len(SEEDS)} programs shows it"
    print(found)


def test_a_fault_is_shown_by_a_small_program(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = FAULTS["xchg is two steps"]
    found = _caught(fault, monkeypatch)
    assert found is not None
    _plant(fault, monkeypatch)
    small = shrunk(found)
    assert small.differs
    assert sum(1 for _ in small.program.statements) <= 4, small


def _plant(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, primitive in fault.primitives.items():
        monkeypatch.setattr(build.kernel, name, primitive)


def _caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> Comparison | None:
    """Return the first comparison that differs only with the fault."""
    for seed in SEEDS:
        program = generate(fault.profile, seed)
        if Counter(fault.uses) <= Counter(statement[0] for statement in program.statements):
            with monkeypatch.context() as planted:
                _plant(fault, planted)
                found = compare(program, STATES_FEW, RUNS_FEW)
            if found.differs and not compare(program, STATES_FEW, RUNS_FEW).differs:
                return found
    return None
