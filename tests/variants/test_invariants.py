# SPDX-License-Identifier: MIT
"""Each invariant of a family reports the state that it forbids, and not the sound state from which that was made."""

from __future__ import annotations

import ast
import functools
import pathlib
import re
import types
from typing import Any

import pytest
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.rest import at_boot
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import NoPreempt
from vmrace.variants.family import FAMILIES, family
from vmrace.variants.program import Program, TaskProgram, parse_op

from tests.variants.invariant_canaries import CANARIES, Broken

ROOT = pathlib.Path(__file__).parents[2]
each = pytest.mark.parametrize("name, broken", [pytest.param(name, one, id=f"{name}: {one.title}") for name, row in CANARIES.items()
                                                for one in row])


@functools.cache
def executor(name: str, variant: str) -> Executor:
    return Executor(family(name), variant or next(iter(family(name).variants)))


def after(name: str, broken: Broken) -> Any:
    """Run the operations in one task, and return the image at rest."""
    runner = executor(name, broken.variant)
    lines = [line.strip() for line in broken.operations.split(";")]
    made = Program((), (TaskProgram(0, tuple(parse_op(line, "test") for line in lines)),), 2)
    prepared = runner.prepare(made)
    assert runner.run(prepared, NoPreempt()).titles == []
    at_boot(m)
    return prepared.image


@each
def test_an_invariant_reports_the_state_that_it_forbids(name: str, broken: Broken) -> None:
    image = after(name, broken)
    broken.spoil(types.SimpleNamespace(**image.namespace))
    assert broken.title in [title for title, *_ in family(name).check(image)]


@each
def test_the_state_before_is_sound(name: str, broken: Broken) -> None:
    assert list(family(name).check(after(name, broken))) == []


# The titles after everything was freed: the canary of the sanitizer leak, and programs of tests/fuzz, have these.
LEFT_OVER = ("page left over after full reclaim, on the LRU", "swap slot left over after full reclaim")


def titles_of(path: pathlib.Path) -> list[re.Pattern[str]]:
    """Return a pattern for each title that the source of invariants makes; a part that varies stands for any text."""
    out = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("invariant", "leak", "title") and node.args:
            text = node.args[0]
            if isinstance(text, ast.JoinedStr):
                parts = [re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in text.values]
                out.append(re.compile(".*" + "".join(parts)))
            elif isinstance(text, ast.Constant):
                out.append(re.compile(".*" + re.escape(str(text.value)).replace(r"\{\}", ".*")))
    return out


@pytest.mark.parametrize("name", FAMILIES)
def test_each_invariant_has_a_canary(name: str) -> None:
    """A family without invariants, or a title without a canary, fails."""
    patterns = titles_of(ROOT / "variants" / name / "invariants.py")
    assert len(patterns) > 20
    patterns = [one for one in patterns if not one.fullmatch(LEFT_OVER[one.pattern.startswith(r".*swap")])]
    assert [one.pattern for one in patterns if not any(one.fullmatch(broken.title) for broken in CANARIES[name])] == []
