# SPDX-License-Identifier: MIT
"""Small-scope proofs list every program once up to symmetry, claim only complete explorations, and lose no work to a kill."""

from __future__ import annotations

import functools
import itertools
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from vmrace.fuzz.corpus.verdict import Word
from vmrace.fuzz.programs.enumerate import (
    Form,
    Letter,
    Line,
    Scope,
    ScopeError,
    _idle,
    _shapes,
    _sorted,
    canonical,
    form_of,
    idle_operation,
    program_of,
    text_of,
)
from vmrace.fuzz.run import state_file
from vmrace.fuzz.run.exhaustive import Explorer, Reached
from vmrace.fuzz.verify import scope_state
from vmrace.fuzz.verify.scope import prove
from vmrace.fuzz.verify.scope_proof import ScopeOptions, left
from vmrace.fuzz.verify.scope_report import Table
from vmrace.fuzz.verify.scope_result import Result
from vmrace.fuzz.verify.scope_worker import decide
from vmrace.harness.explore.exploration import Exploration, Seen
from vmrace.harness.incomplete import Incomplete, Reason
from vmrace.variants.family import Family, family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import Program

from tests.documents import document

LRU = "lru_free_2_4"
ONE = {"page": 1, "file": 1, "fpage": 1, "number": 1}


@functools.cache
def explorer(name: str) -> Explorer:
    one, _, variant = name.partition("/")
    return Explorer(family(one), variant)


def operations(name: str = f"{LRU}/pre_patch") -> tuple[str, ...]:
    return explorer(name).executor.operations()


# ---- the list of programs ------------------------------------------------------------------------------------------------

def all_forms(scope: Scope) -> list[Form]:
    """Return every program of the scope, without leaving any out for symmetry."""
    letters = scope.alphabet(operations())
    out = []
    for setup_count, count in itertools.product(range(scope.setup + 1), range(scope.size + 1)):
        for shape in _shapes(count, scope.cpus):
            for chosen in itertools.product(letters, repeat=setup_count + count):
                rest = iter(chosen[setup_count:])
                cpus = tuple(tuple(tuple(itertools.islice(rest, length)) for length in lengths) for lengths in shape)
                out.append((chosen[:setup_count], cpus))
    return out


def renamed(form: Form, names: dict[str, str]) -> Form:
    def line(letters: Line) -> Line:
        return tuple((name, tuple(names.get(one[:2], one[:2]) + one[2:] for one in operands)) for name, operands in letters)
    return line(form[0]), tuple(tuple(map(line, tasks)) for tasks in form[1])


def alike(form: Form) -> set[Form]:
    """Return every renaming of the form without using `canonical`: names of address spaces and pins, order of tasks and cpus."""
    out = set()
    names = {operand[:2] for line in (form[0], *itertools.chain(*form[1])) for _, operands in line for operand in operands}
    pins = [f"k{number}" for number in range(4)] if any(name[0] == "k" for name in names) else []
    for mms in itertools.permutations(("m1", "m2", "m3")):
        table = dict(zip(("m1", "m2", "m3"), mms))
        tasks = [sorted({operand[:2] for _, operands in line for operand in operands if operand[0] == "m"})
                 for line in itertools.chain(*form[1])]
        if any([table.get(one, one) for one in task] != sorted(table.get(one, one) for one in task) for task in tasks):
            continue
        for order in itertools.permutations(pins):
            setup, cpus = renamed(form, {**table, **dict(zip(pins, order))})
            for moved in itertools.permutations(cpus) if not setup else [cpus]:
                for each in itertools.product(*(itertools.permutations(lines) for lines in moved)):
                    out.add((setup, tuple(each)))
    return out


@pytest.mark.parametrize("scope", [
    Scope(2, 2, 0, ("fork", "load", "exit"), {"page": 1}), Scope(2, 2, 0, ("pin", "unpin"), {"page": 1}),
    Scope(1, 2, 1, ("exit", "fork"), {"page": 1}), Scope(3, 3, 0, ("touch", "swap_out"), {"file": 1, "fpage": 1})], ids=str)
def test_the_list_has_one_program_of_each_class_and_no_other(scope: Scope) -> None:
    everything = all_forms(scope)
    assert len(everything) == len(set(everything)) == scope.all_count(operations())
    classes = set()
    seen: set[Form] = set()
    for form in everything:
        if form not in seen:
            same = alike(form)
            seen |= same
            assert len({idle_operation(one) for one in same}) == 1, text_of(form)
            assert len({canonical(one) for one in same}) == 1, text_of(form)
            if not idle_operation(form):
                classes.add(canonical(form))
    listed = scope.programs(operations())
    assert len(listed) == len(set(listed))
    assert set(listed) == classes


def test_a_program_that_is_left_out_for_an_idle_operation_has_a_smaller_one_in_the_list() -> None:
    """Removing idle operations one after another always ends in a listed program, so a program is left out only for a smaller one."""
    scope = Scope(2, 2, 0, ("fork", "pin", "unpin", "exit"), {"page": 1})
    listed = set(scope.programs(operations()))
    rng = random.Random(5)
    for form in rng.sample(all_forms(scope), 3000):
        assert canonical(without_idle(form)) in listed


def without_idle(form: Form) -> Form:
    """Remove operations as long as `idle_operation` finds an idle one."""
    while idle_operation(form):
        form = without_one(form)
    return form


def without_one(form: Form) -> Form:
    """Remove the operation that `idle_operation` found: the one that is idle beside the other operations."""
    setup, cpus = form
    from vmrace.fuzz.programs.enumerate import _names, _supplied
    for at, letter in enumerate(setup):
        if _idle(setup[:at], letter, *_supplied(setup[:at])):
            return setup[:at] + setup[at + 1:], cpus
    places = [(cpu, task) for cpu, tasks in enumerate(cpus) for task in range(len(tasks))]
    everything = (*setup, *(letter for tasks in cpus for line in tasks for letter in line))
    for cpu, task in places:
        line = cpus[cpu][task]
        others = (*setup, *(letter for place in places if place != (cpu, task) for letter in cpus[place[0]][place[1]]))
        for at, letter in enumerate(line):
            rest = line[:at] + line[at + 1:]
            if _idle(line[:at], letter, *_supplied((*others, *line[:at]))) and (
                    _names((letter,), "m") & _supplied(everything)[0] <= _names(rest, "m")):
                tasks = cpus[cpu][:task] + ((rest,) if rest else ()) + cpus[cpu][task + 1:]
                return setup, (*cpus[:cpu], tasks, *cpus[cpu + 1:])
    raise AssertionError(text_of(form))


def test_the_numbers_of_programs_of_the_family_are_as_measured() -> None:
    """The full language of lru_free_2_4 has 44 operations. To list its 35,370 programs of two operations takes half a minute."""
    assert operations()[0] == "map"
    assert len(operations()) == 44
    assert (len(Scope(1, 2).programs(operations())), Scope(1, 2).all_count(operations())) == (129, 1_195)
    assert Scope(2, 2).all_count(operations()) == 1_783_240
    assert len(Scope(2, 2, operands=ONE).programs(operations())) == 3_622


def test_a_scope_that_is_too_large_to_list_is_refused_in_one_line() -> None:
    with pytest.raises(ScopeError, match="too many programs to list"):
        Scope(6, 3).programs(operations())


# ---- programs that are left out have no other outcomes ---------------------------------------------------------------------

def reached(name: str, program: Program) -> Any:
    """Return the number of classes and the set of outcomes; None if there are more than 60 runs. The number of runs of each outcome is left
    out: of two tasks on a cpu some classes are run twice, depending on their order."""
    found = explorer(name).explore(program, runs_max=60)
    if not found.complete:
        return None
    return found.classes, set(found.outcomes)


CHEAP = {LRU: ("fork", "exit", "unmap", "map", "pin", "unpin", "irq_put", "swapon", "touch", "truncate", "refill_inactive"),
         "invalidate_2_6": ("fork", "exit", "unmap", "map", "take", "put", "touch", "truncate", "invalidate", "refill_inactive")}


def shuffled(rng: random.Random, form: Form) -> Form:
    """Return a random program of the same class up to symmetry."""
    return rng.choice(sorted(alike(form)))


@pytest.mark.long
@pytest.mark.parametrize("name", [f"{LRU}/pre_patch", "invalidate_2_6/pre_2_6_15"])
def test_programs_that_are_the_same_up_to_symmetry_have_the_same_runs(name: str) -> None:
    rng = random.Random(7)
    scope = Scope(3, 2, 1, CHEAP[name.partition("/")[0]], {"page": 2, "number": 2})
    letters = scope.alphabet(operations(name))
    compared = 0
    for _ in range(200):
        form = _sorted(*drawn(rng, letters))
        other = shuffled(rng, form)
        if other == form or idle_operation(form):
            continue
        first = reached(name, program_of(form))
        if first is not None and first[0] > 1:
            assert reached(name, program_of(other)) == first, f"{text_of(form)}  /  {text_of(other)}"
            compared += 1
    assert compared >= 5


def drawn(rng: random.Random, letters: list[Letter]) -> Form:
    chosen = tuple(rng.choice(letters) for _ in range(4))
    setup, tasks = chosen[:1], chosen[1:]
    shape = rng.choice((((2,), (1,)), ((1, 1), (1,)), ((1,), (2,)), ((1,), (1,))))
    at, cpus = 0, []
    for lengths in shape:
        lines = []
        for length in lengths:
            lines.append(tasks[at:at + length])
            at += length
        cpus.append(tuple(lines))
    return (setup if rng.random() < 0.5 else ()), tuple(cpus)


def test_programs_of_one_file_have_the_same_runs_with_either_file() -> None:
    """The files differ in more than their names: f1's pages are in other buckets of the page hash."""
    for name in (f"{LRU}/pre_patch", "invalidate_2_6/pre_2_6_15"):
        for first, second in (("truncate f0 1", "touch f0.1"), ("mmap_shared m0.0 f0.1", "truncate f0 2"), ("truncate f0 4", "touch f0.0")):
            form = form_of_texts((), (first,), (second,))
            other = renamed(form, {"f0": "f1"})
            assert canonical(other) == canonical(form)
            result = reached(name, program_of(form))
            assert result is not None
            assert reached(name, program_of(other)) == result
            assert reached(name, program_of(canonical(form))) == result


def form_of_texts(setup: tuple[str, ...], *tasks: tuple[str, ...]) -> Form:
    def line(texts: tuple[str, ...]) -> Line:
        return tuple((name, tuple(operands)) for name, *operands in map(str.split, texts))
    return line(setup), tuple((line(task),) for task in tasks)


def test_pages_are_not_symmetric() -> None:
    """The list keeps programs apart that differ in their pages, because a walk by address meets other pages first."""
    classes = [reached(f"{LRU}/pre_patch", program_of(form_of_texts((), (f"unmap m0.{page}",), ("fork m0 m1",))))[0] for page in (0, 1)]
    assert classes[0] != classes[1]


@pytest.mark.parametrize("name", [f"{LRU}/pre_patch", "invalidate_2_6/pre_2_6_15"])
def test_an_operation_that_is_left_out_as_idle_does_nothing(name: str) -> None:
    """Each kind of idle operation is beside, before and after others, and the outcomes are those without it."""
    rng = random.Random(11)
    letters = Scope(3, 2, 0, CHEAP[name.partition("/")[0]], {"page": 1, "number": 1}).alphabet(operations(name))
    compared = 0
    for _ in range(60):
        form = drawn(rng, letters)
        if not idle_operation(form):
            continue
        smaller = without_one(form)
        one, other = (explorer(name).explore(program_of(each), states=True, runs_max=60) for each in (form, smaller))
        if one.complete and other.complete:
            assert set(one.outcomes) == set(other.outcomes), f"{text_of(form)}  /  {text_of(smaller)}"
            compared += 1
    assert compared >= 15


# ---- proofs ----------------------------------------------------------------------------------------------------------------

class Fake:
    """An explorer that runs nothing: its result depends on the program's operations alone."""

    def __init__(self, family: Family, variant: str):
        pass

    def explore(self, program: Program, *, bound: int | None, runs_max: int, seconds_max: float) -> Exploration:
        names = program.operations()
        found = Exploration(classes=3, blocked=0, digest=str(len(names)), outcomes={Reached(): Seen(3)})
        if "swap_out" in names:
            found.why = Incomplete(Reason.SECONDS, seconds_max)
        if "read" in names and runs_max < 2:
            found.why = Incomplete(Reason.RUNS, runs_max)
        if "exit" in names:
            found.outcomes[Reached(("BUG at toy",))] = Seen(1)
        if "unmap" in names:
            os.kill(os.getpid(), signal.SIGKILL)
        if "map" in names:
            raise AssertionError("toy")
        return found


class Slow(Fake):
    def explore(self, program: Program, *, bound: int | None, runs_max: int, seconds_max: float) -> Exploration:
        time.sleep(0.01)
        return super().explore(program, bound=bound, runs_max=runs_max, seconds_max=seconds_max)


class DiesOnce(Fake):
    """An explorer that kills its process once for each program with an unmap."""

    room = pathlib.Path()

    def explore(self, program: Program, *, bound: int | None, runs_max: int, seconds_max: float) -> Exploration:
        mark = self.room / str(abs(hash(program)))
        if "unmap" in program.operations() and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Exploration(classes=1, outcomes={Reached(): Seen(1)})


class Hangs(Fake):
    def explore(self, program: Program, *, bound: int | None, runs_max: int, seconds_max: float) -> Exploration:
        if program.size:
            time.sleep(60)
        return super().explore(program, bound=bound, runs_max=runs_max, seconds_max=seconds_max)


def proof(state: pathlib.Path | None, kinds: list[str], make: Any = Fake, ops: int = 2, **more: Any) -> tuple[int, list[str]]:
    lines: list[str] = []
    scope = Scope(ops, 2, more.pop("setup", 0), tuple(kinds), more.pop("operands", ONE), more.pop("preemptions", None))
    complain = more.pop("complain", None)
    options = ScopeOptions(**{"seconds_each": 5.0, "runs_each": 1000, "state": state, **more})
    code = prove(family(LRU), "pre_patch", scope, options, lines.append, complain, make)
    return code, lines


def summary(lines: list[str]) -> dict[str, Any]:
    return dict(document(lines[-1], "verify")["scope"])


@pytest.mark.long
def test_a_scope_of_real_programs_is_proved(tmp_path: pathlib.Path) -> None:
    code, lines = proof(tmp_path / "state", ["unmap", "exit", "touch"], Explorer)
    assert code == 0
    assert lines[-1].startswith("vmrace: proved: all ")
    kept = [json.loads(line) for line in (tmp_path / "state").read_text().splitlines()]
    assert kept[0]["scope_proof"] == scope_state.FORMAT
    assert all(one["verdict"] == "proved" and one["classes"] >= 1 for one in kept[1:])
    assert sum(one["classes"] for one in kept[1:]) > len(kept) > 10


def test_a_bug_is_counted_with_its_smallest_program_and_ends_with_1(tmp_path: pathlib.Path) -> None:
    code, lines = proof(tmp_path / "state", ["exit", "touch", "swap_out"])
    assert code == 1
    text = "\n".join(lines)
    assert "BUG at toy\n            cpu0: exit m0\n" in text
    assert "5 s were not enough" in text
    assert lines[-1].endswith("(exit 1)")


def test_a_scope_with_an_inconclusive_program_is_never_proved(tmp_path: pathlib.Path) -> None:
    code, lines = proof(tmp_path / "state", ["touch", "swap_out"], as_json=True)
    assert code == 3
    said = summary(lines)
    assert said["verdict"] == "inconclusive"
    assert said["counts"]["BUG"] == 0
    assert said["counts"]["inconclusive"] > 0 < said["counts"]["proved"]
    assert said["inconclusive"] == {"5 s were not enough": said["counts"]["inconclusive"]}


@pytest.mark.parametrize("found", [
    Exploration(), Exploration(why=Incomplete(Reason.RUNS, 10), outcomes={Reached(): Seen(1)}), Exploration(outcomes={"?": Seen(1)}),
    Exploration(why=Incomplete(Reason.YIELDS, 2, "2"), outcomes={Reached(): Seen(1)})])
def test_only_a_complete_exploration_with_known_outcomes_proves(found: Exploration) -> None:
    result = Result(0, "", Word.PROVED)
    decide(result, found)
    assert result.verdict is Word.INCONCLUSIVE
    assert result.why


def test_a_bug_is_reported_even_if_other_programs_were_not_run() -> None:
    result = Result(0, "", Word.PROVED)
    decide(result, Exploration(why=Incomplete(Reason.SECONDS, 1), outcomes={Reached(("BUG x",)): Seen(1)}))
    assert (result.verdict, result.titles) == (Word.BUG, ["BUG x"])


def test_a_scope_with_one_program_missing_is_not_proved() -> None:
    forms = Scope(1, 2, 0, ("touch",), ONE).programs(operations())
    results = {number: Result(number, text_of(form), Word.PROVED) for number, form in enumerate(forms)}
    assert Table("x", Scope(1, 2), forms, 9, results).verdict is Word.PROVED
    del results[0]
    assert Table("x", Scope(1, 2), forms, 9, results).code == 3
    assert Table("x", Scope(1, 2), [], 9, {}).code == 3


def test_a_worker_that_always_dies_leaves_its_programs_inconclusive_and_all_others_done(tmp_path: pathlib.Path) -> None:
    code, lines = proof(tmp_path / "state", ["unmap", "touch"], as_json=True)
    said = summary(lines)
    assert code == 3
    assert said["inconclusive"] == {str(Incomplete(Reason.DIED)): said["counts"]["inconclusive"]}
    assert said["counts"]["not run"] == 0
    kept = [json.loads(line) for line in (tmp_path / "state").read_text().splitlines()][1:]
    assert all((one["verdict"] == "inconclusive") == ("unmap" in one["program"]) for one in kept)
    assert len({one["number"] for one in kept}) == len(kept) == said["programs"]


def test_a_worker_that_dies_once_loses_nothing(tmp_path: pathlib.Path) -> None:
    DiesOnce.room = tmp_path / "marks"
    DiesOnce.room.mkdir()
    code, lines = proof(tmp_path / "state", ["unmap", "touch"], DiesOnce)
    assert code == 0
    assert any("died" in line for line in lines)


def test_a_worker_that_hangs_is_killed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmrace.fuzz.verify.scope_proof.GRACE_SECONDS", 0.0)
    monkeypatch.setattr("vmrace.fuzz.verify.scope_proof.BATCH_SECONDS", 0.3)
    code, lines = proof(tmp_path / "state", ["touch"], Hangs, ops=1, seconds_each=0.2, as_json=True)
    assert code == 3
    assert summary(lines)["counts"] == {"proved": 1, "BUG": 0, "inconclusive": 1, "not run": 0}


@pytest.mark.long
def test_a_harness_error_makes_its_program_inconclusive(tmp_path: pathlib.Path) -> None:
    code, lines = proof(tmp_path / "state", ["map"], as_json=True, ops=1)
    assert code == 3
    assert summary(lines)["inconclusive"] == {"an error of vmrace: AssertionError: toy": 1}


@pytest.mark.long
def test_a_proof_that_ran_out_of_time_names_the_programs_it_did_not_run(tmp_path: pathlib.Path) -> None:
    code, lines = proof(tmp_path / "state", ["touch", "read", "fork"], Slow, seconds_max=0.3, as_json=True)
    assert code == 3
    assert summary(lines)["counts"]["not run"] > 0


SCRIPT = """
import pathlib, sys
from tests.fuzz.test_scope import Slow, proof
print("ready", flush=True)
sys.exit(proof(pathlib.Path(sys.argv[1]), ["touch", "read", "fork", "lock"], Slow)[0])
"""


@pytest.mark.long
def test_a_killed_proof_resumes_and_has_the_same_result(tmp_path: pathlib.Path) -> None:
    state, whole = tmp_path / "state", tmp_path / "whole"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(state)], stdout=subprocess.PIPE, start_new_session=True)
    try:
        for _ in range(6000):
            if state.exists() and state.read_text().count("\n") > 20:
                break
            time.sleep(0.01)
        children = [int(pid) for pid in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    finally:
        process.kill()
        process.wait()
    before = state.read_text().splitlines()
    assert children
    have_ended(children)                                # until then, at the end of a batch, they hold the lock of the file
    state.write_text("\n".join(before) + '\n{"number": 3, "prog')       # killed in the middle of a line
    code, lines = proof(state, ["touch", "read", "fork", "lock"], as_json=True)
    assert code == 0
    after = [json.loads(line) for line in state.read_text().splitlines()]
    assert [json.dumps(line) for line in after[:len(before)]] == before
    assert len({one["number"] for one in after[1:]}) == len(after) - 1 == summary(lines)["programs"] > len(before)
    assert proof(whole, ["touch", "read", "fork", "lock"], as_json=True)[0] == 0
    again, told = proof(state, ["touch", "read", "fork", "lock"], as_json=True)     # every program has its result, so none is run
    assert again == 0
    assert len(state.read_text().splitlines()) == len(after)
    assert summary(told)["digest"] == summary(proof(whole, ["touch", "read", "fork", "lock"], as_json=True)[1])["digest"]


def have_ended(children: list[int]) -> None:
    """Wait for these processes, at most 5 s: no worker outlives its driver."""
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in children)


def alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_left_undecided_is_run_again_with_a_larger_budget(tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state"
    code, lines = proof(state, ["touch", "read"], runs_each=1, as_json=True)
    assert code == 3 and set(summary(lines)["inconclusive"]) == {"1 run was not enough"}
    code, lines = proof(state, ["touch", "read"], runs_each=2, as_json=True)
    assert code == 0 and summary(lines)["counts"]["inconclusive"] == 0


@pytest.mark.long
def test_a_program_that_took_too_long_is_run_again_with_a_longer_limit(tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state"
    proof(state, ["touch", "swap_out"])
    size = len(state.read_text().splitlines())
    proof(state, ["touch", "swap_out"])
    assert len(state.read_text().splitlines()) == size
    code, lines = proof(state, ["touch", "swap_out"], seconds_each=9.0, as_json=True)
    assert len(state.read_text().splitlines()) > size
    assert set(summary(lines)["inconclusive"]) == {"9 s were not enough"}
    assert code == 3


@pytest.mark.long
def test_the_state_of_another_image_or_scope_is_refused_in_one_line(tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state"
    proof(state, ["touch"])
    assert proof(state, ["touch", "read"])[0] == 2
    head, *rest = state.read_text().splitlines()
    state.write_text("\n".join([json.dumps(json.loads(head) | {"image": "0123456789abcdef"}), *rest]) + "\n")
    before = state.read_text()
    code, lines = proof(state, ["touch"])
    assert code == 2
    assert len(lines) == 1
    assert "is of another image (0123456789ab, now " in lines[0]
    assert state.read_text() == before
    state.write_text("something else\n")
    assert proof(state, ["touch"]) == (2, [f"vmrace: {state}: not the state of a proof"])


def key_of(state: pathlib.Path) -> str:
    return json.loads(state.read_text().splitlines()[0])["key"]


def summed(line: str, key: str) -> str:
    """Return the line with a matching checksum."""
    body, _, _ = line.rpartition(', "sum": ')
    return f'{body}, "sum": "{state_file.checksum(f"{body}}}".encode(), key)}"}}'


@pytest.mark.long
def test_a_result_of_another_program_is_refused(tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state"
    proof(state, ["touch"])
    head, *lines = state.read_text().splitlines()
    state.write_text("\n".join([head, *(summed(line.replace("touch f0.0", "touch f1.0"), key_of(state)) for line in lines)]) + "\n")
    code, told = proof(state, ["touch"])
    assert code == 2
    assert "in this file, and '" in told[0]


def done(state: pathlib.Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the verdict and the titles of each program, read from the state file."""
    return {result.program: (result.verdict, tuple(result.titles)) for result in (
        scope_state.result_of(line.encode(), key_of(state)) for line in state.read_text().splitlines()[1:] if line.strip())}


DAMAGES = {
    "a verdict": lambda line: line.replace(b'"verdict": "BUG"', b'"verdict": "proved"').replace(b'["BUG at toy"]', b"[]"),
    "a title": lambda line: line.replace(b"BUG at toy", b"BUG at tow"),
    "a number": lambda line: line.replace(b'"number": ', b'"number": 1'),
    "a byte": lambda line: line[:20] + bytes([line[20] ^ 1]) + line[21:],
    "the last byte": lambda line: line[:-1] + b")",
    "its checksum": lambda line: line[:-3] + bytes([line[-3] ^ 1]) + line[-2:],
    "no checksum": lambda line: line.rpartition(b', "sum"')[0] + b"}",
    "half of it": lambda line: line[:len(line) // 2],
    "no text": lambda line: b"\xff\x00" * 40,
    "brackets": lambda line: b"[" * 100_000,
    "another line": lambda line: b"null",
}


@pytest.mark.long
def test_each_damaged_line_is_named_once_and_its_program_is_run_again(tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state"
    assert proof(state, ["exit", "touch"])[0] == 1
    before = done(state)
    head, *lines = state.read_bytes().splitlines()
    lines.sort(key=lambda line: b'"verdict": "BUG"' not in line)            # so there is a BUG line for each kind of damage
    damaged = [damage(line) for damage, line in zip(DAMAGES.values(), lines)]
    assert len(damaged) == len(DAMAGES) and not set(damaged) & set(lines)
    state.write_bytes(b"\n".join([head, *damaged, *lines[len(damaged):], b""]))
    code, told = proof(state, ["exit", "touch"])
    assert code == 1
    for number, line in enumerate(told[:len(damaged)], 2):
        assert line.startswith(f"vmrace: {state}:{number}: damaged, ") and line.endswith(": its program is run again")
    assert f"{len(before) - len(damaged)} done before" in told[len(damaged) + 1]
    assert done(state) == before
    code, told = proof(state, ["exit", "touch"])
    assert code == 1 and ": damaged, " not in "".join(told)
    assert done(state) == before


@pytest.mark.long
def test_if_every_line_is_damaged_every_program_is_run_again(tmp_path: pathlib.Path) -> None:
    """No line is trusted then; in JSON, too, each line is named."""
    state = tmp_path / "state"
    proof(state, ["exit", "touch"])
    before = done(state)
    head, *lines = state.read_text().splitlines()
    state.write_text("\n".join([head, *(line.replace("BUG", "BUH").replace("proved", "BUG") for line in lines)]) + "\n")
    code, told = proof(state, ["exit", "touch"], as_json=True)
    assert code == 1
    assert [one["kind"] for one in document(told[-1], "verify")["events"]] == [*["damaged"] * len(lines), "bug"]
    assert len(told) == len(lines) + 1              # `complain` was called with each, too: by the command, that is stderr
    assert done(state) == before


@pytest.mark.long
def test_a_line_of_another_proof_is_not_trusted(tmp_path: pathlib.Path) -> None:
    """Such a line is undamaged and has a program of the same number and text, but its kernel or bound may differ."""
    state, other = tmp_path / "state", tmp_path / "other"
    proof(state, ["touch"])
    proof(other, ["touch"], preemptions=0)
    head, *lines = state.read_text().splitlines()
    assert len(lines) == len(other.read_text().splitlines()) - 1 > 1
    state.write_text("\n".join([head, *other.read_text().splitlines()[1:]]) + "\n")
    code, told = proof(state, ["touch"])
    assert code == 0
    assert sum(": damaged, its checksum does not fit" in line for line in told) == len(lines)


FORGED = [
    ('"titles": []', '"titles": [""]', "not a result: titles[0]: Expected `str` of length >= 1"),
    ('"titles": []', '"titles": ["x"]', "not a result: titles: proved with 1 title"),
    ('"verdict": "proved"', '"verdict": "BUG"', "not a result: titles: BUG with 0 titles"),
    ('"verdict": "proved"', '"verdict": "inconclusive"', "not a result: why: inconclusive without a reason"),
    ('"verdict": "proved"', '"verdict": "prooved"', "not a result: verdict: Invalid enum value"),
    ('"verdict": "proved"', '"verdict": "ok"', "not a result: verdict: ok is not a verdict on a program"),
    ('"verdict": "proved", ', "", "not a result: Object missing required field `verdict`"),
    ('"why"', '"whyy"', "not a result: Object contains unknown field `whyy`"),
    ('"classes": ', '"classes": -', "not a result: classes: Expected `int` >= 0"),
    ('"classes": ', f'"classes": {"9" * 5000}', "not a result: "),
    ('"why": null', '"why": ' + "[" * 100_000, "not a result: "),
    ('"why": null', '"why": {"reason": "whim"}', "not a result: why.reason: Invalid enum value"),
    ('{"number"', '{"number', "not a result: JSON is malformed")]


@pytest.mark.long
def test_an_impossible_line_is_not_trusted_even_if_its_checksum_fits(tmp_path: pathlib.Path) -> None:
    state = tmp_path / "state"
    proof(state, ["touch"])
    head, first, *rest = state.read_text().splitlines()
    key = key_of(state)
    for old, new, why in FORGED:
        assert old in first
        with pytest.raises(state_file.Damaged, match=re.escape(why)):
            scope_state.result_of(summed(first.replace(old, new), key).encode(), key)
    state.write_text("\n".join([head, summed(first.replace(*FORGED[0][:2]), key), *rest]) + "\n")
    code, told = proof(state, ["touch"])
    assert code == 0
    assert told[0].startswith(f"vmrace: {state}:2: damaged, {FORGED[0][2]}")
    assert len(done(state)) == 1 + len(rest)


def test_a_state_that_is_no_text_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "state").write_bytes(b"\xff\n")
    assert proof(tmp_path / "state", ["touch"]) == (2, [f"vmrace: {tmp_path}/state: not the state of a proof"])


@pytest.mark.long
def test_two_proofs_do_not_write_one_state(tmp_path: pathlib.Path) -> None:
    head = scope_state.header(family(LRU), "pre_patch", Scope(2, 2, 0, ("touch",), ONE))
    held = scope_state.State(tmp_path / "state", head)
    assert "another proof is at work on it" in proof(tmp_path / "state", ["touch"])[1][0]
    held.close()


@pytest.mark.parametrize(("kinds", "why"), [
    (["tuoch"], "no operation 'tuoch'. Did you mean touch?"), (["populate"], "this variant has no operation 'populate'")])
def test_an_unknown_operation_in_a_scope_is_refused(tmp_path: pathlib.Path, kinds: list[str], why: str) -> None:
    assert proof(tmp_path / "state", kinds) == (2, [f"vmrace: {why}"])


def test_the_options_that_narrow_a_scope_are_printed(tmp_path: pathlib.Path) -> None:
    _, lines = proof(tmp_path / "state", ["touch", "unpin"])
    assert lines[0].endswith("at most 2 operations in tasks on 2 cpus; no setup; only unpin, touch; 1 page of each address space; 1 file; "
                             "1 page of each file; 1 as the largest number")
    assert "operations that would do nothing in every program: unpin" in lines[2]


def test_json_has_each_title_and_the_scope(tmp_path: pathlib.Path) -> None:
    code, lines = proof(tmp_path / "state", ["exit", "touch"], as_json=True)
    event, = document(lines[-1], "verify")["events"]
    scope = summary(lines)
    assert code == 1
    assert (event["kind"], event["smallest"]) == ("bug", "cpu0: exit m0")
    assert scope["programs"] == sum(scope["counts"].values()) < scope["stand_for"]
    assert scope["executions"] == scope["classes"] > scope["blocked"] == 0


def test_the_estimate_of_the_rest_holds_for_samples() -> None:
    """At least 90 % of 400 samples of 100 out of 1,000 times have the true rest in their range: 95 %, less the effect of the skew."""
    rng = random.Random(3)
    held = 0
    for _ in range(400):
        times = [rng.expovariate(1) for _ in range(1000)]
        made = left(times[:100], 900, 2)
        assert made is not None
        held += made.low <= sum(times[100:]) / 2 <= made.high
    assert held >= 360
    assert left([1.0] * 9, 5, 1) is None


def test_the_operations_of_a_program_are_those_of_its_form() -> None:
    for form in Scope(2, 2, 1, ("fork", "exit"), ONE).programs(operations()):
        assert form_of(program_of(form)) == form
        assert all(op.name in OPERATIONS for op in program_of(form).setup)
