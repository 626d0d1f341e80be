# SPDX-License-Identifier: MIT
"""A campaign up to N runs is a function of its seed: of neither the workers, nor the hash seed, nor what ran before in the process."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import pathlib
import pickle
import random
import subprocess
import sys
from collections import deque
from typing import Any

import pytest
import vmrace.fuzz.campaign.shard
from click.testing import CliRunner
from vmrace.fuzz.campaign.memory import Memory, changed, increase
from vmrace.fuzz.campaign.messages import Lesson, ShardResult, ShardTask
from vmrace.fuzz.campaign.order import LAG_MAX, LAG_MIN, Order, known_to
from vmrace.fuzz.campaign.shard import SWEEP_FROM, run_shard
from vmrace.fuzz.cli.main import main
from vmrace.fuzz.run.workers import Worker

ROOT = pathlib.Path(__file__).parents[2]
VARIANT = "lru_free_2_4/pre_patch"
TIMES = ("seconds",)


def without_times(told: Any) -> Any:
    if isinstance(told, dict):
        return {key: without_times(value) for key, value in told.items() if key not in TIMES}
    return [without_times(one) for one in told] if isinstance(told, list) else told


def arguments(workers: int, *more: str, variant: str = VARIANT, runs: int = 5000, seed: int = 1) -> list[str]:
    return ["fuzz", variant, "--runs", str(runs), "--seed", str(seed), "--workers", str(workers), "--corpus", "c", "--json", *more]


def in_a_fresh_process(place: pathlib.Path, hash_seed: int, given: list[str]) -> Any:
    place.mkdir()
    done = subprocess.run([sys.executable, "-m", "vmrace", *given], cwd=place, capture_output=True, text=True, check=False, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(hash_seed)})
    assert done.returncode in (0, 1), done.stderr
    return without_times(json.loads(done.stdout))


def in_this_process(place: pathlib.Path, given: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    place.mkdir()
    monkeypatch.chdir(place)
    return without_times(json.loads(CliRunner().invoke(main, given).stdout))


@pytest.mark.parametrize("more", [
    ["--keep-going"], pytest.param(["--seed", "3", "--runs", "90000"], marks=pytest.mark.long),
    pytest.param(["--keep-going", "--runs", "30000", "--no-shrink"], marks=pytest.mark.long)],     # to shrink a kill takes minutes
    ids=["keeps going", "ends at a title", "keeps going for long"])
def test_a_campaign_is_the_same_with_any_number_of_workers_and_any_hash_seed(more: list[str], tmp_path: pathlib.Path) -> None:
    first, *others = (in_a_fresh_process(tmp_path / str(workers), hash_seed, arguments(workers, *more))
                      for workers, hash_seed in ((1, 0), (2, 1), (4, 2)))
    assert first["summary"]["ended_by"] == ("runs" if "--keep-going" in more else "title")
    assert first["summary"]["new"]                  # else little is compared
    for other in others:
        assert other == first


@pytest.mark.long
@pytest.mark.parametrize("variant", ["lru_free_2_4/daniel_lru_count", "invalidate_2_6/pre_2_6_15", "cow_swap_2_6/pre_2_6_26"])
def test_a_campaign_of_each_family_is_the_same_with_any_number_of_workers(variant: str, tmp_path: pathlib.Path) -> None:
    first, second = (in_a_fresh_process(tmp_path / str(workers), workers, arguments(workers, "--keep-going", variant=variant, runs=6000))
                     for workers in (1, 3))
    assert first == second


def test_a_campaign_is_the_same_after_another_one_in_the_process(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(1, "--keep-going", "--no-shrink", runs=2000)
    fresh = in_a_fresh_process(tmp_path / "fresh", 5, given)
    run_shard(ShardTask(*VARIANT.split("/"), seed=9, number=0, runs=500))       # workers inherit what is left of it
    run_shard(ShardTask("invalidate_2_6", "pre_2_6_15", seed=9, number=0, runs=200))
    assert in_this_process(tmp_path / "here", given, monkeypatch) == fresh


def test_n_runs_are_the_first_of_more_runs(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, more = (in_this_process(tmp_path / str(runs), arguments(2, "--keep-going", "--no-shrink", runs=runs), monkeypatch)["summary"]
                 for runs in (1777, 4000))
    assert (few["runs"], more["runs"]) == (1777, 4000)
    assert few["first_run"] == {title: run for title, run in more["first_run"].items() if run <= 1777}


@pytest.mark.long
def test_a_lost_worker_changes_nothing_but_the_count_of_lost_shards(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(2, "--keep-going", "--no-shrink")
    whole = in_this_process(tmp_path / "whole", given, monkeypatch)
    search, mark = vmrace.fuzz.campaign.shard._Shard._search, tmp_path / "mark"

    def dies_once(shard: Any) -> None:
        if shard.task.number == 7 and not mark.exists():
            mark.touch()
            os._exit(1)
        search(shard)
    monkeypatch.setattr(vmrace.fuzz.campaign.shard._Shard, "_search", dies_once)
    lost = in_this_process(tmp_path / "lost", given, monkeypatch)
    assert lost["summary"].pop("lost_shards") == 1
    assert [event["type"] for event in lost["events"] if event["type"] != "finding"] == ["lost"]
    assert whole["summary"].pop("lost_shards") == 0
    assert lost["summary"] == whole["summary"]


def test_a_campaign_that_its_time_ends_says_so(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(1, "--keep-going", "--no-shrink", "--for", "0.5s", runs=10**9)
    told = in_this_process(tmp_path / "c", given, monkeypatch)["summary"]
    assert told["ended_by"] == "time"
    text = CliRunner().invoke(main, [word for word in given if word != "--json"]).stdout
    assert "vmrace: the time limit ended the campaign, so its end depends on the machine; --runs N instead can be repeated\n" in text


# ---- order -----------------------------------------------------------------------------------------------------------------------

def test_a_shard_knows_all_shards_but_the_last_ones_before_it() -> None:
    known = [known_to(number) for number in range(5000)]
    assert known[:LAG_MIN + 2] == [0] * (LAG_MIN + 1) + [1]
    assert all(0 <= later - earlier <= 1 for earlier, later in itertools.pairwise(known))      # a worker never has to forget
    assert max(number - to for number, to in enumerate(known)) == LAG_MAX


def shards(count: int, order: Order) -> list[ShardTask]:
    return [ShardTask("f", "v", 1, order.begin()) for _ in range(count)]


def result(task: ShardTask, pair: int) -> ShardResult:
    made = ShardResult(number=task.number)
    made.learnt.pairs.append(pair)
    return made


def pairs(memory: Memory) -> list[int]:
    return [pair for pair, seen in enumerate(memory.features.pairs) if seen]


def taught(lesson: Lesson, memory: Memory | None = None) -> list[int]:
    memory = lesson.memory or memory or Memory()
    for learnt in lesson.learnt:
        memory.learn(learnt)
    return pairs(memory)


def test_results_are_merged_by_number_whatever_the_order_in_which_they_come() -> None:
    order = Order()
    tasks = shards(LAG_MIN + 1, order)
    assert order.ready is False                     # the next one has to learn from the first
    for number in (2, 1):
        order.done(tasks[number], result(tasks[number], number))
    assert order.first(anyhow=False) is None
    first = order.first(anyhow=True)
    assert first is not None and first[0].number == 1
    order.done(tasks[0], result(tasks[0], 0))
    for number in (0, 1, 2):
        first = order.first(anyhow=False)
        assert first is not None and first[0].number == number
        order.merge(first[0])
    assert order.merged == 3
    assert order.ready


def test_every_worker_knows_the_same_before_a_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers take turns at random; a third one is new for each shard."""
    order, rng = Order(), random.Random(1)
    workers = [Worker(None, None) for _ in range(2)]            # type: ignore[arg-type]
    memories = [Memory(), Memory()]
    for number in range(200):
        task, = shards(1, order)
        which = rng.randrange(2)
        lesson = order.lesson(number, workers[which])
        if lesson.memory is not None or not lesson.since:
            memories[which] = (lesson.memory or Memory()).copy()
            lesson.memory = None
        known = taught(lesson, memories[which])
        order.learns(workers[which], number)
        if rng.random() < 0.1:
            order.forget(workers[which])
        new = order.lesson(number, None)
        new.memory = new.memory and new.memory.copy()
        assert taught(new) == known == list(range(known_to(number)))
        order.done(task, result(task, number))
        order.merge(task)


@pytest.mark.parametrize("busy", [range(3), range(2)], ids=["each makes one shard in three", "one has left"])
def test_only_a_new_worker_is_handed_the_memory(busy: range) -> None:
    """Workers that take turns learn the new shards alone. One that makes no more shards does not hold up the memory for long."""
    order, workers = Order(), [Worker(None, None) for _ in range(3)]        # type: ignore[arg-type]
    for number in range(4 * LAG_MAX):
        task, = shards(1, order)
        worker = workers[number if number < 3 else busy[number % len(busy)]]
        assert order.lesson(number, worker).memory is None
        order.learns(worker, number)
        order.done(task, result(task, number))
        order.merge(task)
        assert len(order.learnt) <= 2 * LAG_MAX
    assert order.at


def test_a_shard_that_is_given_up_teaches_nothing_and_holds_up_nothing() -> None:
    order = Order()
    tasks = shards(2, order)
    order.done(tasks[0], None)
    order.done(tasks[1], result(tasks[1], 7))
    for task in tasks:
        order.merge(task)
    assert order.merged == 2
    assert [learnt.pairs for learnt in order.learnt] == [[], [7]]


# ---- memory ----------------------------------------------------------------------------------------------------------------------

def test_a_memory_that_learns_from_a_shard_is_the_copy_in_which_the_shard_learnt() -> None:
    """The shard kept programs, reached setups and blocks. Times tried and picked count, too."""
    family, name = VARIANT.split("/")
    before, lesson, memory = vmrace.fuzz.campaign.shard._workers, Lesson(SWEEP_FROM, Memory()), Memory()
    for number in range(SWEEP_FROM, SWEEP_FROM + 6):
        learnt = run_shard(ShardTask(family, name, 1, number, enough=200, seconds=60.0, lesson=lesson)).learnt
        lesson = Lesson(number, None, [learnt])
        memory.learn(learnt)
        copy = before[family, name].memory
        assert memory.features.pairs == copy.features.pairs
        assert (memory.features.count, memory.features.programs) == (copy.features.count, copy.features.programs)
        assert memory.features.reached == copy.features.reached
        assert list(memory.states.setups.items()) == list(copy.states.setups.items())
        assert list(memory.states.words.items()) == list(copy.states.words.items())
        assert memory.states.met == copy.states.met
        assert (memory.facts.witnesses, memory.facts.tried, memory.facts.met) == (copy.facts.witnesses, copy.facts.tried, copy.facts.met)
        assert (memory.sweeps.left, memory.sweeps.preempted) == (copy.sweeps.left, copy.sweeps.preempted)
        assert (memory.kept, memory.seen, memory.picks) == (copy.kept, copy.seen, copy.picks)
    assert memory.kept
    assert memory.sweeps.ran


def test_a_lesson_that_is_handed_on_is_the_same_and_is_packed_once() -> None:
    family, name = VARIANT.split("/")
    learnt = run_shard(ShardTask(family, name, 1, 1, enough=300, seconds=60.0)).learnt
    handed = pickle.loads(pickle.dumps(learnt))
    again = pickle.loads(pickle.dumps(handed))
    assert handed == learnt == again
    assert handed.packed == again.packed != b""


def test_a_shard_learns_in_a_copy_and_changes_nothing_else() -> None:
    family, name = VARIANT.split("/")
    first = run_shard(ShardTask(family, name, 1, 0, enough=300, seconds=60.0))
    known = vmrace.fuzz.campaign.shard._workers[family, name].known
    assert (known.features.count, known.states.reached, known.kept) == (0, {}, [])
    again = run_shard(ShardTask(family, name, 1, 0, enough=300, seconds=60.0))
    assert (first.runs, first.learnt.pairs, first.kept) == (again.runs, again.learnt.pairs, again.kept)


def test_the_differences_of_maps_and_of_counts() -> None:
    assert changed(bytes([0, 1, 1, 0, 1]), bytes([0, 1, 0, 0, 0])) == [2, 4]
    assert changed(bytes(3), bytes(3)) == []
    assert increase({1: 2, 2: 5, 3: 1}, {1: 2, 2: 3}) == {2: 2, 3: 1}


def test_hits_are_reported_in_the_order_of_their_runs_whenever_they_are_confirmed() -> None:
    from vmrace.fuzz.campaign.hits import Hits
    told: list[str] = []
    hits: Any = object.__new__(Hits)
    hits.titles, hits.reports = deque("abc"), {}
    for title in "cab":
        hits._report(title, lambda title=title: told.append(title))
    assert told == ["a", "b", "c"]


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="Atheris is not installed")
def test_a_campaign_of_libfuzzer_with_one_worker_is_the_same_with_any_hash_seed(tmp_path: pathlib.Path) -> None:
    """With more workers it is not: libFuzzer keeps inputs of its own in each."""
    given = arguments(1, "--keep-going", "--no-shrink", "--engine", "atheris", runs=8000)
    first, second = (in_a_fresh_process(tmp_path / str(hash_seed), hash_seed, given) for hash_seed in (1, 2))
    assert first["summary"]["runs"] == 8000
    assert first == second
