# SPDX-License-Identifier: MIT
"""A finding is replayed twenty times before it is reported, and if any of the twenty replays differs, it is not confirmed."""

from __future__ import annotations

import itertools
import os
import pathlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.corpus import judge
from vmrace.fuzz.corpus.entry import find, load
from vmrace.fuzz.corpus.judge import judge_entry
from vmrace.fuzz.functions import failing, run_file, story
from vmrace.fuzz.functions import judge as judge_of_runs
from vmrace.fuzz.functions import sample as functions
from vmrace.fuzz.functions.sample import fuzz_runner
from vmrace.fuzz.run.executor import Executor, Traced
from vmrace.fuzz.run.hit import REPLAYS, Hit
from vmrace.fuzz.shrink import pipeline
from vmrace.fuzz.shrink.confirm import confirm
from vmrace.harness.errors import HarnessError
from vmrace.harness.functions.program import Program, Runner
from vmrace.harness.kernel.cell import cell
from vmrace.harness.replay.named_schedule import Named
from vmrace.variants.family import family

from tests.programs import lost_update

ROOT = pathlib.Path(__file__).parents[2]
RACE = next(path for path in find(ROOT / "corpus") if "f1738244" in path.name)
LOST = "tests.programs.lost_update:make"


# ---- programs of functions --------------------------------------------------------------------------------------------------

def looks_elsewhere(x: Any, y: Any) -> None:
    """Make as many points as usual, with another trace."""
    assert y.value == 0


def looks_twice(x: Any, y: Any) -> None:
    """Make one point more than usual."""
    assert x.value + x.value >= 0


def fails(x: Any, y: Any) -> None:
    """Fail with another title."""
    raise KeyError


def usual(x: Any, y: Any) -> None:
    assert x.value >= 0


def count(file: int) -> int:
    """Return the number of earlier calls for `file`. It is the file's offset, which is not restored after a run."""
    return os.lseek(file, 1, os.SEEK_CUR) - 1


def make(file: int, number: int, otherwise: Callable[[Any, Any], None]) -> Program:
    """Make a program that loses an update. In run `number` a task calls `otherwise` instead of `usual`."""
    x, y = cell("x", value=0), cell("y", value=0)

    def add() -> None:
        (otherwise if count(file) == number else usual)(x, y)
        x.value += 1

    def other() -> None:
        x.value += 1

    return Program([add, other], check=lambda: x.value == 2)


def campaign(number: int, otherwise: Callable[[Any, Any], None] = usual) -> tuple[list[Any], str, int]:
    """Return the failures that are reported, why a failure is not, and the number of runs."""
    told: list[Any] = []
    with tempfile.TemporaryFile() as file:
        out = fuzz_runner(Runner(make, file.fileno(), number, otherwise), seed=1, runs=200, told=told.append)
        return told, str(out.why or "") + "".join(why for _failure, why in out.unconfirmed), count(file.fileno())


@pytest.mark.parametrize("traced_max", [pipeline.TRACED_MAX, 0])
@pytest.mark.parametrize("otherwise", [looks_elsewhere, looks_twice, fails])
def test_any_one_of_the_twenty_replays_that_differs_is_reported(otherwise: Any, traced_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`traced_max`: of runs with more points only the first replays are traced, and the outcomes of all are compared."""
    monkeypatch.setattr(pipeline, "TRACED_MAX", traced_max)
    told, why, total = campaign(-1)
    assert (len(told), why) == (1, "")
    seen = 2 if otherwise is looks_elsewhere and not traced_max else REPLAYS        # only a trace shows the place of an access
    for replay in range(1, seen + 1):
        told, why, _ = campaign(total - REPLAYS + replay - 1, otherwise)
        assert (told, f"replay {replay} of {REPLAYS} differs" in why) == ([], True), (replay, why)


def test_a_failure_that_does_not_replay_is_not_kept(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    traced, calls = story.traced, itertools.count()

    def flaky(runner: Any, scheduler: Any) -> Any:
        events, result = traced(runner, scheduler)
        if next(calls) == 7:
            result = replace(result, findings=[])
        return events, result

    monkeypatch.setattr(story, "traced", flaky)
    monkeypatch.setattr(failing, "traced", flaky)
    result = CliRunner().invoke(main, ["fuzz", LOST, "--seed", "1"])
    assert result.exit_code == 3
    assert "FINDING" not in result.output and not list(tmp_path.rglob("*.run"))


def test_every_other_replay_follows_the_names_in_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """If one of these differs it is an error of vmrace, because the schedule by names is what is kept."""
    named: list[Any] = []
    monkeypatch.setattr(pipeline, "Named", lambda *args: named.append(Named(*args)) or named[-1])
    told, why, _ = campaign(-1)
    assert (len(told), why, len(named)) == (1, "", REPLAYS // 2)
    monkeypatch.setattr(pipeline, "Named", lambda schedule, keys: Named(schedule[:1], keys))
    out = fuzz_runner(Runner(lost_update.make, 2), seed=1, runs=200)
    assert [f"replay 2 of {REPLAYS} differs" in why for _failure, why in out.unconfirmed] == [True]


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_schedule_by_names_that_cannot_be_followed_is_our_error_whether_or_not_that_replay_is_traced(
        before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`before`: the replays by names that can be followed. Only the first one of a long run is traced."""
    calls = itertools.count()
    monkeypatch.setattr(pipeline, "TRACED_MAX", 0)
    monkeypatch.setattr(pipeline, "Named", lambda schedule, keys: Named(schedule if next(calls) < before else schedule[:1], keys))
    out = fuzz_runner(Runner(lost_update.make, 2), seed=1, runs=200)
    assert out.why is None
    assert [f"replay {2 * before + 2} of {REPLAYS} differs" in why for _failure, why in out.unconfirmed] == [True]


@pytest.mark.parametrize("number", range(5))
def test_a_record_is_flaky_if_one_replay_differs(number: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.run"
    failure, = functions.fuzz(lost_update.make, 2, seed=1).failures
    path.write_text(run_file.emit(run_file.Record(failure.title, LOST, ("2",), failure.schedule)))
    tell, calls = judge_of_runs.tell, itertools.count()

    def flaky(*args: Any) -> Any:
        story, digest, result = tell(*args)
        return story, "0" * 16 if next(calls) == number else digest, result

    monkeypatch.setattr(judge_of_runs, "tell", flaky)
    result = CliRunner().invoke(main, ["replay", str(path), LOST, "--times", "5"])
    assert (result.exit_code, "FLAKY: 2 different traces in 5 replays" in result.output) == (1, True)


# ---- entries ------------------------------------------------------------------------------------------------------------------

def hit() -> Hit:
    entry = load(RACE)
    executor = Executor(family(entry.family), entry.variant, checked=True)
    found = executor.run(executor.ready(entry.program, entry.title), Named(entry.schedule, entry.program.keys()))
    return Hit(entry.title, entry.program, found.switches, found.forced, 1, "test", 0.0)


def other_digest(traced: Traced) -> Traced:
    return replace(traced, digest="0" * 16)


def other_title(traced: Traced) -> Traced:
    return replace(traced, outcome=replace(traced.outcome, findings=[]))


def differs_at(number: int, how: Callable[[Traced], Traced], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the traced run `number`, counted from 0, end as `how` says."""
    trace, calls = Executor.trace, itertools.count()

    def flaky(self: Executor, *args: Any, **more: Any) -> Traced:
        traced = trace(self, *args, **more)
        return how(traced) if next(calls) == number else traced

    monkeypatch.setattr(Executor, "trace", flaky)


@pytest.mark.long
@pytest.mark.parametrize("how", [other_digest, other_title])
@pytest.mark.parametrize("replay", [1, 2, 11, 20])
def test_a_campaign_reports_no_finding_if_one_replay_differs(replay: int, how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = hit()
    assert confirm("lru_free_2_4", "pre_patch", found, 0, unshrunk="as it is").replays == 20
    differs_at(replay, how, monkeypatch)        # 0 is the run that is reported
    with pytest.raises(HarnessError, match=f"replay {replay} of 20 differs"):
        confirm("lru_free_2_4", "pre_patch", found, 0, unshrunk="as it is")


def test_a_hit_whose_replay_has_another_title_is_not_shrunk() -> None:
    with pytest.raises(HarnessError, match="'BUG x' does not replay"):
        confirm("lru_free_2_4", "pre_patch", replace(hit(), title="BUG x"), 0)


@pytest.mark.parametrize("how", [other_digest, other_title])
@pytest.mark.parametrize("replay", [1, 2, 11, 19])
def test_an_entry_is_flaky_if_one_replay_differs(replay: int, how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = load(RACE)
    executor = Executor(family(entry.family), "pre_patch", checked=True)
    assert judge_entry(entry, executor).verdict == entry.expect["pre_patch"]
    differs_at(replay, how, monkeypatch)
    assert str(judge_entry(entry, executor).verdict) == "FLAKY 19/20"
    assert judge.REPLAYS == 20
