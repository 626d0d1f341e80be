# SPDX-License-Identifier: MIT
"""An exploration shared by processes runs the same classes as one process does, and is no proof if one of them is lost."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.explore import exploration, shared
from harness.explore.exploration import Exploration, explore
from harness.program import Runner
from tests.explore.compare import outcome_of
from tests.explore.small import SORTS, TOUCHING, small
from tests.programs import filesystem, indexer, lastzero, readers


@pytest.fixture(autouse=True)
def given_away_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exploration, "SHARED", True)
    monkeypatch.setattr(shared, "ALONE_MAX", 3)
    monkeypatch.setattr(shared, "GIVE_EVERY", 1)


def explored(runner: Runner, **limits: Any) -> Exploration:
    return explore(runner.run, runner.cpus, lambda result, _: outcome_of(result), **limits)


def facts(found: Exploration) -> tuple[Any, ...]:
    return found.classes, found.digest, found.why, {key: (seen.classes, seen.preemptions) for key, seen in found.outcomes.items()}


@pytest.mark.parametrize(("make", "argument"), [(readers.make, 6), (lastzero.make, 6), (indexer.make, 13), (filesystem.make, 17)])
def test_so_many_processes_run_the_same_classes(make: Any, argument: int) -> None:
    runner = Runner(make, argument)
    alone = facts(explored(runner))
    assert alone[0] > 1
    assert facts(explored(runner, workers=2)) == alone
    assert facts(explored(runner, workers=4)) == alone


@pytest.mark.long
def test_so_do_they_on_generated_programs() -> None:
    given = 0
    for seed in range(350):
        runner = Runner(small(seed, 2).make)
        alone = explored(runner, runs_max=150)
        if alone.complete and alone.classes > 8:
            assert facts(explored(runner, workers=3)) == facts(alone), seed
            given += 1
    assert given >= 50


# seed, size, sorts: what was lost
LOST = (
    (10_316, 4, SORTS), (71_496, 3, SORTS), (10_864, 4, SORTS),     # who waits for a lock had no part in the races of a blocked run
    (40_468, 4, TOUCHING), (41_000, 4, TOUCHING),                   # a plan was dropped for a part of it that it did not need
)


@pytest.mark.long
@pytest.mark.parametrize(("seed", "size", "sorts"), LOST, ids=[str(lost[0]) for lost in LOST])
def test_what_was_lost_once_is_run(seed: int, size: int, sorts: tuple[tuple[str, ...], ...]) -> None:
    runner = Runner(small(seed, size, sorts).make)
    alone = facts(explored(runner))
    for workers in (2, 3, 3, 4):
        assert facts(explored(runner, workers=workers)) == alone


@pytest.mark.long
def test_so_do_they_where_more_is_touched_than_a_point_says() -> None:
    given = 0
    for seed in range(40_000, 40_160):
        runner = Runner(small(seed, 4, TOUCHING).make)
        alone = explored(runner, runs_max=150)
        if alone.complete and alone.classes > 8:
            assert facts(explored(runner, workers=3)) == facts(alone), seed
            given += 1
    assert given >= 20


def test_each_run_they_give_shows_its_outcome() -> None:
    from harness.explore.programs import Again
    runner = Runner(lastzero.make, 6)
    for key, seen in explored(runner, workers=3).outcomes.items():
        assert outcome_of(runner.run(Again(seen.switches, seen.forced))) == key


def in_a_worker(what: Any) -> Any:
    """A program that does that before its fifth run in another process than this."""
    runner, home, runs = Runner(lastzero.make, 6), os.getpid(), iter(range(1_000_000))

    def run(scheduler: Any) -> Any:
        if os.getpid() != home and next(runs) == 4:
            what()
        return runner.run(scheduler)
    return explore(run, runner.cpus, lambda result, _: outcome_of(result), workers=2)


def test_a_killed_worker_is_no_proof() -> None:
    found = in_a_worker(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert not found.complete
    assert found.why == "a worker process was lost"


def test_a_worker_killed_while_it_counts_stops_nobody() -> None:
    slots = shared.Slots(2)
    assert slots.take()
    for _ in range(20):
        pid = os.fork()
        if not pid:
            while True:
                slots.ran()
        time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        before = slots.run_count
        slots.ran()
        assert slots.run_count == before + 1


def test_an_error_in_a_worker_is_told() -> None:
    def broken() -> None:
        raise HarnessError("upside down")
    assert in_a_worker(broken).why == "an error of ours: upside down"


def test_whatever_else_a_worker_raises_is_raised() -> None:
    def broken() -> None:
        raise ValueError("a tree")
    with pytest.raises(ValueError, match="a tree"):
        in_a_worker(broken)


def test_the_limits_are_of_all_together() -> None:
    found = explored(Runner(lastzero.make, 8), workers=3, runs_max=200)
    assert found.why == "200 runs were not enough"
    assert 100 < found.classes + found.blocked < 260
    assert explored(Runner(lastzero.make, 10), workers=3, seconds_max=0.3).why == "0.3 s were not enough"


def test_no_process_is_left() -> None:
    explored(Runner(lastzero.make, 8), workers=3, runs_max=200)
    in_a_worker(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
