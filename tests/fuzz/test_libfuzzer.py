# SPDX-License-Identifier: MIT
"""Inputs of libFuzzer are legal programs however they are changed, their runs depend on nothing else, and libFuzzer uses our mutator."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import random
import re
import subprocess
import sys
from collections.abc import Sequence

import pytest
from vmrace.fuzz.campaign.libfuzzer_memory import Memory
from vmrace.fuzz.corpus.entry import Entry, find, load
from vmrace.fuzz.libfuzzer import exchange, start
from vmrace.fuzz.libfuzzer.inputs import DECISIONS_MAX, Input, decode, encode
from vmrace.fuzz.libfuzzer.mutate import Mutator
from vmrace.fuzz.libfuzzer.runner import Runner, mutator_of
from vmrace.fuzz.programs import generate
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.run.hit import Hit
from vmrace.fuzz.target.target import Mode, mode_of
from vmrace.harness.replay.named_schedule import Named
from vmrace.variants.family import family
from vmrace.variants.operations import OPERATIONS
from vmrace.variants.program import OPS_MAX, Op, Program, TaskProgram, over_limits, parse_op

from tests.fuzz.family_programs import executor

VARIANT = "lru_free_2_4/pre_patch"
TITLE = "BUG at mm/page_alloc.c:95 in __free_pages_ok"
NAMES = tuple(OPERATIONS)
needs_atheris = pytest.mark.skipif(importlib.util.find_spec("atheris") is None,
                                   reason="Atheris is not installed: it has no wheel for this platform or this Python")


def drawn(rng: random.Random) -> Input:
    def decisions() -> tuple[int, ...]:
        return tuple(rng.randrange(500) for _ in range(2 * rng.randrange(6)))
    return Input(generate.program(rng, NAMES), decisions(), decisions())


def legal(program: Program, operations: Sequence[str] = NAMES) -> bool:
    lines = [program.setup, *(task.ops for task in program.tasks)]
    ops = [op for line in lines for op in line]
    return (bool(program.tasks) and all(task.ops for task in program.tasks) and all(parse_op(str(op), "") == op for op in ops)
            and {op.name for op in ops} <= set(operations) and max(map(len, lines)) <= OPS_MAX
            and not over_limits(program.cpus, [task.cpu for task in program.tasks]))


# ---- inputs ----------------------------------------------------------------------------------------------------------------

def test_an_input_is_the_same_after_it_was_written_and_read() -> None:
    rng = random.Random(1)
    for one in (drawn(rng) for _ in range(300)):
        assert decode(encode(one), NAMES) == one


def test_an_input_reads_like_an_entry() -> None:
    program = Program((Op("store", ("m0.0",)),), (TaskProgram(0, (Op("unmap", ("m0.0",)),)), TaskProgram(0, (Op("reclaim"),))), 2, True)
    text = b"cpus 2 preempt\nsetup store m0.0\ncpu0 unmap m0.0\ncpu0_task1 reclaim\nswitches 12 1\nforced 1 0\n"
    assert encode(Input(program, (12, 1), (1, 0))) == text
    assert decode(text, NAMES) == Input(program, (12, 1), (1, 0))


NO_INPUT = (
    b"", b"\xff\xfe", b"cpus 2\n", b"cpus 9\ncpu0 reclaim\n", b"cpus 1\ncpu3 reclaim\n", b"cpus 2\ncpu0 fly\n",
    b"cpus 2\ncpu0 unmap m0.9\n", b"cpus 2\ncpu0 reclaim\nswitches a\n", b"cpu0 reclaim\n", b"cpus 2\n" + b"cpu0 reclaim\n" * (OPS_MAX + 1),
    b"cpus 2\ncpu0 reclaim\nswitches 9999999 0\n")


@pytest.mark.parametrize("text", NO_INPUT)
def test_bytes_that_are_no_input_are_a_program_all_the_same(text: bytes) -> None:
    assert legal(decode(text, NAMES).program) and not decode(text, NAMES).switches


def test_an_operation_that_the_variant_lacks_is_left_out() -> None:
    one = decode(b"cpus 2\nsetup store m0.0\ncpu0 reclaim\ncpu1 kswapd\n", ["store", "kswapd"])
    assert one.program == Program((Op("store", ("m0.0",)),), (TaskProgram(1, (Op("kswapd"),)),), 2)


def test_a_directory_of_inputs_holds_each_program_once(tmp_path: pathlib.Path) -> None:
    operations = executor().operations()
    rng = random.Random(2)
    programs = [generate.program(rng, operations) for _ in range(20)]
    exchange.write(tmp_path / "in", programs)
    exchange.write(tmp_path / "in", programs)
    (tmp_path / "in" / "again").write_bytes(encode(Input(programs[0], (1, 1))))
    assert len(list((tmp_path / "in").iterdir())) == 21
    read = exchange.read(tmp_path / "in", "lru_free_2_4", "pre_patch")
    assert len(read) == 20 and set(read) == set(programs)
    assert exchange.read(tmp_path / "none", "lru_free_2_4", "pre_patch") == []


# ---- changes ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size_max", [4096, 120, 30, 3])
def test_a_changed_input_is_legal_and_fits(size_max: int) -> None:
    rng = random.Random(size_max)
    mutator = Mutator(NAMES)
    data, other = encode(drawn(rng)), b""
    for number in range(400):
        new = mutator.cross(data, other, size_max, number) if number % 4 == 3 else mutator.mutate(data, size_max, number)
        assert len(new) <= size_max
        assert legal(decode(new, NAMES).program)
        if size_max >= 120:
            assert encode(decode(new, NAMES)) == new, "a changed input is not bytes that happen to be a program"
        data, other = new, data


def test_a_change_is_a_function_of_the_input_and_the_seed() -> None:
    data = encode(drawn(random.Random(3)))
    assert [Mutator(NAMES).mutate(data, 999, seed) for seed in range(20)] == [Mutator(NAMES).mutate(data, 999, seed) for seed in range(20)]


def test_changes_reach_the_program_and_the_schedule() -> None:
    one = drawn(random.Random(4))
    made = [decode(Mutator(NAMES).mutate(encode(one), 4096, seed), NAMES) for seed in range(100)]
    assert any(new.program == one.program and new.switches != one.switches for new in made)
    assert any(new.program.setup == one.program.setup and new.program.tasks != one.program.tasks for new in made)
    assert any(new.program.setup != one.program.setup and new.program.tasks == one.program.tasks for new in made)


def test_an_input_that_must_become_smaller_becomes_a_part_of_itself() -> None:
    one = Input(drawn(random.Random(5)).program, tuple(range(40)), (1,) * 40)
    data = encode(one)
    for seed in range(50):
        new = decode(Mutator(NAMES).mutate(data, len(data) - 1, seed), NAMES)
        assert new.program.operations() <= one.program.operations() and new.program.size <= one.program.size
        assert len(new.switches) <= len(one.switches) <= DECISIONS_MAX


# ---- runs ------------------------------------------------------------------------------------------------------------------

def features(runner: Runner, data: bytes) -> tuple[list[bytes], dict[str, int], int]:
    runner.begin(0)
    runner.run(data)
    return [bytes(buffer) for buffer in runner.buffers], runner.counts.titles, runner.counts.runs


def test_the_runs_of_an_input_do_not_depend_on_other_inputs() -> None:
    runner = Runner("lru_free_2_4", "pre_patch", Memory(), 30)
    rng = random.Random(6)
    one, *others = [encode(Input(generate.program(rng, runner.operations))) for _ in range(6)]
    first = features(runner, one)
    assert any(map(any, first[0])) and first[2]
    for other in others:
        features(runner, other)
    assert features(runner, one) == first
    assert features(Runner("lru_free_2_4", "pre_patch", Memory(), 30), one) == first


def test_changes_learn_states_from_setups_and_remember_schedules() -> None:
    runner = Runner("lru_free_2_4", "pre_patch", Memory(), 20)
    mutator = mutator_of(runner, sweeps=False)
    data = encode(Input(entry().program))
    runner.run(data)
    known = len(runner.memory.setups)
    for seed in range(40):
        assert legal(decode(mutator.mutate(data, 4096, seed), NAMES).program, runner.operations)
    assert known and len(runner.memory.setups) > known
    assert runner.counts.runs <= 20, "setups that are only tried are no runs"
    assert all(one.program == entry().program for one in runner.runs_of(entry().program))


def test_a_sweep_runs_pairs_that_conflict_and_gives_the_run_of_a_new_title() -> None:
    memory = Memory()
    runner, rng = Runner("lru_free_2_4", "pre_patch", memory, 20), random.Random(1)
    assert runner.sweep(rng) is None and runner.counts.runs == 0, "no state is known"
    runner.run(encode(Input(entry().program)))
    runner.begin(4_000)
    runner.known.clear()
    given = [one for _ in range(60) if (one := runner.sweep(rng)) is not None]
    assert memory.sweeps.ran >= 10 and 500 < runner.counts.runs <= 4_000
    assert all(legal(one.program, runner.operations) and len(one.program.tasks) <= 2 for one in given)
    failing = [one for one in given if one.switches or one.forced]
    assert failing and runner.counts.hits
    for one, hit in zip(failing, runner.counts.hits, strict=False):
        assert (one.program, list(one.switches), list(one.forced)) == (hit.program, hit.switches, hit.forced)


def test_after_the_counts_were_handed_on_no_sweep_makes_runs() -> None:
    runner = Runner("lru_free_2_4", "pre_patch", Memory(), 20)
    runner.run(encode(Input(entry().program)))
    runs = runner.counts.runs
    runner.end()
    assert runner.sweep(random.Random(1)) is None and runner.counts.runs == runs
    runner.begin(0)
    assert runner.sweep(random.Random(1)) is not None and runner.counts.runs


def test_no_more_runs_are_made_than_asked() -> None:
    runner = Runner("lru_free_2_4", "pre_patch", Memory(), 50)
    for most, number in ((7, 7), (1, 1)):
        runner.begin(most)
        for seed in range(5):
            runner.run(encode(Input(generate.program(random.Random(seed), runner.operations))))
        assert runner.counts.runs == number and runner.over()


def entry() -> Entry:
    found, = (load(path) for path in find(pathlib.Path(__file__).parents[2] / "corpus" / "lru_free_2_4") if "f1738244" in path.name)
    return found


def failing() -> Hit:
    """The run of an entry, by its decisions."""
    one = entry()
    fast = Executor(family(one.family), one.variant)
    outcome = fast.run(fast.prepare(one.program), Named(one.schedule, one.program.keys()))
    assert TITLE in outcome.titles
    return Hit(TITLE, one.program, list(outcome.switches), list(outcome.forced), 1, "", 0.0)


def failing_input(*before: str) -> bytes:
    """A failing run as an input, with more operations in the setup that change nothing."""
    hit = failing()
    program = Program((*(parse_op(op, "") for op in before), *hit.program.setup), hit.program.tasks, hit.program.cpus)
    return encode(Input(program, tuple(hit.switches), tuple(hit.forced)))


def test_a_kept_failure_fails_as_an_input() -> None:
    runner = Runner("lru_free_2_4", "pre_patch", Memory(), 5)
    runner.run(failing_input())
    assert [hit.title for hit in runner.counts.hits] == runner.titles == [TITLE]
    again, = runner.counts.hits
    assert TITLE in executor().replay(executor().prepare(again.program), again.switches, again.forced).titles


def test_the_mode_follows_from_the_flags(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    assert mode_of([]) is mode_of([str(tmp_path)]) is mode_of(["-runs=1", str(tmp_path)]) is Mode.SEARCH
    assert mode_of([str(file)]) is mode_of(["-minimize_crash_internal_step=1", str(file)]) is Mode.REPEAT
    assert mode_of(["-merge=1", str(tmp_path), str(tmp_path)]) is Mode.MERGE


# ---- libFuzzer -------------------------------------------------------------------------------------------------------------

def target(*arguments: object, place: pathlib.Path, early: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{early}; import sys; from vmrace.fuzz.target.__main__ import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code] if early else [sys.executable, "-m", "vmrace.fuzz.target"]
    return subprocess.run([*command, *map(str, arguments)], cwd=place, capture_output=True, text=True, check=False, timeout=500)


def test_without_atheris_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(start.CannotStart, match=r"^Atheris is not installed: pip install 'vmrace\[atheris\]'$"):
        start.check()


@needs_atheris
def test_a_libfuzzer_that_does_not_find_the_mutator_is_refused(tmp_path: pathlib.Path) -> None:
    done = target(VARIANT, "-runs=1", place=tmp_path, early="import atheris.core_with_libfuzzer")
    assert done.returncode == 3 and done.stdout == ""
    line, = done.stderr.splitlines()
    assert "libFuzzer does not report the custom mutator" in line


@needs_atheris
def test_a_new_title_is_kept_and_ends_the_process_like_a_crash(tmp_path: pathlib.Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "seed").write_bytes(failing_input())
    done = target(VARIANT, "--no-shrink", "--corpus=kept", "-runs=100", "in", place=tmp_path)
    assert done.returncode == 77, done.stderr
    assert f"FINDING 1   {TITLE}" in done.stdout and f"DEDUP_TOKEN: {TITLE}" in done.stderr
    path, = find(tmp_path / "kept")
    assert load(path).title == TITLE
    crash, = tmp_path.glob("crash-*")
    assert decode(crash.read_bytes(), NAMES).program == failing().program


@needs_atheris
@pytest.mark.long
def test_a_campaign_runs_on_libfuzzer_and_shares_its_inputs(tmp_path: pathlib.Path) -> None:
    exchange.write(tmp_path / "in", [entry().program])
    command = [sys.executable, "-m", "vmrace", "fuzz", VARIANT, "--engine", "atheris", "--runs", "1500", "--workers", "1", "--seed", "1",
               "--for", "60s", "--no-shrink", "--corpus", "kept", "--inputs", "in", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    summary = json.loads(done.stdout)["summary"]
    assert summary["new"] == [TITLE] and summary["runs"] <= 1500 and not summary["errors"]
    assert len(list((tmp_path / "in").iterdir())) > 1


@needs_atheris
@pytest.mark.long
def test_a_crash_is_repeated_and_minimized(tmp_path: pathlib.Path) -> None:
    """libFuzzer: -minimize_crash=1 minimizes the provided crash input. Our mutator drops operations that are not needed."""
    crash, small = tmp_path / "crash", tmp_path / "small"
    crash.write_bytes(failing_input("store m3.0", "store m3.1", "fork m3 m2", "map m2.2"))
    assert target(VARIANT, "--schedules=1", crash, place=tmp_path).returncode == 77
    target(VARIANT, "--schedules=1", "-minimize_crash=1", "-runs=300", f"-exact_artifact_path={small}", crash, place=tmp_path)
    assert decode(small.read_bytes(), NAMES).program.size <= failing().program.size + 1
    assert small.stat().st_size < crash.stat().st_size
    again = target(VARIANT, "--schedules=1", small, place=tmp_path)
    assert again.returncode == 77 and f"DEDUP_TOKEN: {TITLE}" in again.stderr
    assert not list(tmp_path.rglob("*.toml")), "a repeated crash is no new finding"


def reached(text: str) -> tuple[int, int]:
    """The inputs and the features with which libFuzzer begins."""
    found = re.search(r"INITED cov: \d+ ft: (\d+) corp: (\d+)/", text)
    assert found is not None, text
    return int(found[2]), int(found[1])


@needs_atheris
@pytest.mark.long
def test_a_directory_of_a_thousand_inputs_is_read_and_merged_into_fewer_with_the_same_features(tmp_path: pathlib.Path) -> None:
    """libFuzzer: with -merge=1, only interesting inputs of the second directory are taken into the first."""
    rng = random.Random(7)
    programs: dict[Program, None] = {}
    while len(programs) < 1000:
        programs[generate.program(rng, executor().operations())] = None
    exchange.write(tmp_path / "many", programs)
    (tmp_path / "few").mkdir()
    options = [VARIANT, "--schedules=2", "--blocks-only", "--corpus=kept"]
    every = target(*options, "--keep-going", "--no-shrink", "-runs=0", "many", place=tmp_path)
    assert every.returncode == 0, every.stderr
    done = target(*options, "-merge=1", "few", "many", place=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = list((tmp_path / "few").iterdir())
    assert 20 < len(kept) < 700 and {path.name for path in kept} <= {path.name for path in (tmp_path / "many").iterdir()}
    after = target(*options, "--keep-going", "--no-shrink", "-runs=0", "few", place=tmp_path)
    assert reached(after.stderr)[1] == reached(every.stderr)[1]


@needs_atheris
@pytest.mark.long
def test_two_forked_jobs_share_a_directory_and_go_on_after_a_crash_if_asked(tmp_path: pathlib.Path) -> None:
    """libFuzzer: -fork=N fuzzes in subprocesses, with -ignore_crashes=1 beyond a crash."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "seed").write_bytes(failing_input())
    done = target(VARIANT, "--schedules=10", "--no-shrink", "--corpus=kept", "-fork=2", "-ignore_crashes=1", "-runs=60",
                  "-max_total_time=300", "in", place=tmp_path)
    assert done.returncode in (0, 77), done.stderr      # 77: a job has crashed
    assert len(list((tmp_path / "in").iterdir())) > 5
    assert TITLE in [load(path).title for path in find(tmp_path / "kept")]
