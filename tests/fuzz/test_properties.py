# SPDX-License-Identifier: MIT
"""A property of a variant, stated in pytest with Hypothesis, fails with our story; a program is read from any bytes."""

from __future__ import annotations

import pathlib
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from vmrace.fuzz.corpus.entry import find, load
from vmrace.fuzz.programs.decode import BYTES_MAX, decode
from vmrace.fuzz.programs.generate import SETUP_MAX, TASK_OPS_MAX, TASKS_MAX
from vmrace.fuzz.testing import backend, properties
from vmrace.fuzz.testing.properties import Property, Schedules, VariantMachine, cpus, holds_on
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import TASKS_PER_CPU_MAX, Program, TaskProgram, parse_ops

PRE, DANIEL = "lru_free_2_4/pre_patch", "lru_free_2_4/daniel_lru_count"
CALM = {"derandomize": True, "database": None}
SHORT = settings(max_examples=200, deadline=None, derandomize=True, database=None)
# The race of seed 003: a new mapping drops one reference to a page, and then an interrupt the last one, with the page on the LRU.
RACE = Program(parse_ops(["pin m0.0 k0"], "setup"),
               (TaskProgram(0, parse_ops(["irq_unpin k0"], "cpu0")), TaskProgram(1, parse_ops(["map m0.0"], "cpu1"))), 2)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrink for a moment only: what is left is confirmed and told all the same."""
    monkeypatch.setattr(properties, "SHRINK_SECONDS", 1.0)


# ---- programs from bytes ----------------------------------------------------------------------------------------------------

@SHORT
@given(st.binary(max_size=2 * BYTES_MAX))
def test_any_bytes_are_a_legal_program_within_the_bounds(data: bytes) -> None:
    made = decode(data, tuple(OPERATIONS))
    assert len(made.setup) <= SETUP_MAX and 1 <= len(made.tasks) <= TASKS_MAX
    for task in made.tasks:
        assert 0 <= task.cpu < made.cpus and 1 <= len(task.ops) <= TASK_OPS_MAX
        assert sum(other.cpu == task.cpu for other in made.tasks) <= TASKS_PER_CPU_MAX
        assert parse_ops([str(op) for op in task.ops], "task") == task.ops
    assert [task.cpu for task in made.tasks] == sorted(task.cpu for task in made.tasks)
    assert decode(data, tuple(OPERATIONS)) == made == decode(data[:BYTES_MAX], tuple(OPERATIONS))


def test_bytes_reach_every_operation_and_every_number_of_cpus_and_tasks() -> None:
    """2000 programs of about 6 operations: each of about 60 operations comes 200 times on average."""
    rng = random.Random(1)
    made = [decode(rng.randbytes(BYTES_MAX), tuple(OPERATIONS)) for _ in range(2000)]
    assert {name for one in made for name in one.operations()} == set(OPERATIONS)
    assert {one.cpus for one in made} == {1, 2, 3, 4} == {len(one.tasks) for one in made}


# ---- properties -------------------------------------------------------------------------------------------------------------

def own_data(run: Any) -> None:
    for one in run.loads:
        assert one.writer in ("", one.who, *run.ancestors(one.who))


def stays_on_the_lru(run: Any) -> None:
    assert "__free_pages_ok" not in run.title, "a page is freed that is on the LRU, or free already"


def test_a_property_that_fails_is_shrunk_and_told() -> None:
    made = Property(PRE, "stays_on_the_lru", stays_on_the_lru, findings=False)
    with pytest.raises(AssertionError) as failed:
        made.check(RACE, Schedules(200, 1))
    text = str(failed.value)
    assert text.startswith(f"{PRE}: CHECK: stays_on_the_lru fails   (run ")
    for part in ("confirmed 20 of 20 replays", "minimal ", "a page is freed that is on the LRU", "step  cpu0", "program\n", "schedule\n"):
        assert part in text, text
    with pytest.raises(AssertionError) as again:
        made.check(RACE, Schedules(200, 1))
    assert str(again.value) == text                 # Hypothesis asks twice, and is not told two stories
    Property(DANIEL, "stays_on_the_lru", stays_on_the_lru, findings=False).check(RACE, Schedules(200, 1))


@pytest.mark.long
def test_a_finding_of_a_sanitizer_fails_a_property_that_holds_and_is_kept(tmp_path: pathlib.Path) -> None:
    with pytest.raises(AssertionError) as failed:
        Property(PRE, "own_data", own_data, corpus=tmp_path).check(RACE, Schedules(200, 1))
    path, = find(tmp_path)
    assert f"kept in {path}\nnext: vmrace replay {path}" in str(failed.value)
    assert "__free_pages_ok" in load(path).title
    Property(PRE, "own_data", own_data, findings=False).check(RACE, Schedules(200, 1))


def test_a_run_has_the_accesses_of_each_process_and_its_ancestors() -> None:
    seen: dict[tuple[str, str], set[str]] = {}

    def look(run: Any) -> None:
        assert run.at_rest and run.pages and run.steps
        for one in run.loads:
            seen.setdefault((one.who, one.writer), set()).update(run.ancestors(one.who))
    program = Program(parse_ops(["store m0.0", "fork m0 m1"], "setup"), (TaskProgram(0, parse_ops(["load m1.0"], "cpu0")),
                                                                        TaskProgram(1, parse_ops(["load m0.0"], "cpu1"))), 2)
    Property(DANIEL, "look", look).check(program, Schedules(5, 0))
    assert seen == {("m1", "m0"): {"m0"}, ("m0", "m0"): set()}


@pytest.mark.long
def test_a_setup_that_fails_alone_is_a_failure_and_no_example_is_passed_over() -> None:
    def never(run: Any) -> object:
        return run.title == "" or None
    setup = parse_ops(["pin m0.0 k0", "map m0.0", "irq_unpin k0"], "setup")
    program = Program(setup, (TaskProgram(0, parse_ops(["load m0.0"], "cpu0")),), 2)
    with pytest.raises(AssertionError, match=r"BUG at mm/page_alloc\.c:95 in __free_pages_ok"):
        Property(PRE, "never", never).check(program, Schedules(50, 1))


@pytest.mark.parametrize(("variant", "operations", "why"), [
    ("lru_free_2_4/pre_pach", "", "no variant 'lru_free_2_4/pre_pach'. Did you mean lru_free_2_4/pre_patch?"),
    (PRE, "stor", "has no operation 'stor'. Did you mean store?")])
def test_a_name_that_does_not_exist_is_an_error(variant: str, operations: str, why: str) -> None:
    with pytest.raises(ValueError, match="no ") as error:
        Property(variant, "x", own_data, operations=operations)
    assert why in str(error.value)


TEN_LINES = '''
from vmrace.fuzz.testing.properties import holds_on

OPERATIONS = "store load fork unmap pin irq_put"

@holds_on("VARIANT", operations=OPERATIONS, examples=EXAMPLES, derandomize=True, database=None)
def test_no_load_returns_the_data_of_another_process(run):
    for load in run.loads:
        assert load.writer in ("", load.who, *run.ancestors(load.who))
'''


@pytest.mark.long
@pytest.mark.parametrize(("variant", "examples"), [(PRE, 40), (DANIEL, 20)])
def test_ten_lines_of_pytest_fail_on_the_base_and_pass_with_the_patch(variant: str, examples: int, tmp_path: pathlib.Path) -> None:
    import subprocess
    import sys
    (tmp_path / "test_lru.py").write_text(TEN_LINES.replace("VARIANT", variant).replace("EXAMPLES", str(examples)))
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_lru.py"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == (1 if variant == PRE else 0), done.stdout
    if variant == PRE:
        for part in ("confirmed 20 of 20 replays", "Call trace:", "step  cpu0", "schedule", "__free_pages_ok"):
            assert part in done.stdout, done.stdout


class Reclaim(VariantMachine):
    """The race of seed 003 by rules."""

    variant = PRE
    examples = 20
    schedules_each = 60

    @rule(cpu=cpus, what=st.sampled_from(["map m0.0", "irq_unpin k0", "load m0.0"]))
    def step(self, cpu: int, what: str) -> None:
        if not self.setup:
            self.before("pin m0.0 k0")
        self.on(cpu, what)

    @staticmethod
    def holds(run: Any) -> None:
        stays_on_the_lru(run)


@pytest.mark.long
def test_a_property_by_rules_fails_on_the_base_with_the_story() -> None:
    case: Any = Reclaim.TestCase
    case.settings = settings(case.settings, max_examples=300, **CALM)
    with pytest.raises(AssertionError, match="confirmed 20 of 20 replays"):
        case("runTest").runTest()


def test_the_backend_draws_near_examples_that_reached_something_new() -> None:
    """Each example has eight bytes; the features are five halves of bytes, each counted only after the one before.

    By luck one example in 16 ** 5, a million, has all five. A change of a kept one has the next with chance 1 / (9 * 16) or so: 5 * 9 * 16
    is 720 examples on average, and 4,000 are more than five times as many.
    """
    drawing, best = backend.Provider(None), 0
    for _ in range(4_000):
        with drawing.per_test_case_context_manager():
            data = drawing.draw_bytes(8, 8)
            right = next((number for number in range(5) if data[number] % 16 != number + 7), 5)
            if right > best:
                best = right
                backend.reached(1)
    assert best == 5


@pytest.mark.long
def test_a_property_may_be_searched_with_the_backend() -> None:
    names = "map pin irq_unpin load"
    test: Any = holds_on(PRE, operations=names, examples=600, backend="vmrace", database=None)(stays_on_the_lru)
    with pytest.raises(AssertionError, match="confirmed 20 of 20 replays"):
        test()


def test_the_backend_draws_every_kind_of_value_within_its_limits() -> None:
    @settings(max_examples=200, backend="vmrace", **CALM)
    @given(st.integers(), st.integers(min_value=5), st.integers(-3, 4), st.floats(-1, 2), st.floats(), st.text(min_size=1, max_size=4),
           st.booleans())
    def holds(any_number: int, large: int, small: int, part: float, any_float: float, word: str, flag: bool) -> None:
        assert large >= 5 and -3 <= small <= 4 and -1 <= part <= 2 and 1 <= len(word) <= 4
    holds()
