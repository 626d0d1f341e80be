# SPDX-License-Identifier: MIT
"""Known races are found, at the odds that the comments state. Seeds are fixed, so these tests do not flicker."""

from __future__ import annotations

import pathlib
import random
from typing import Any

import pytest
from vmrace.fuzz.campaign.messages import ShardTask
from vmrace.fuzz.campaign.shard import _Shard, _workers, run_shard
from vmrace.fuzz.corpus.entry import find, load
from vmrace.fuzz.run.executor import Executor
from vmrace.fuzz.sampling.contention import Places
from vmrace.harness.machine.machine import m
from vmrace.harness.schedulers import Contended, NoPreempt, Pct, Walk
from vmrace.variants.family import family

CORPUS = pathlib.Path(__file__).parents[2] / "corpus"
RACES = [path for path in find(CORPUS) if "double-free" in path.name]


@pytest.mark.long
@pytest.mark.parametrize("path", RACES, ids=lambda path: path.stem)
@pytest.mark.parametrize("scheduler", ["contended", "pct"])
def test_a_double_free_is_found_from_its_program_within_ten_thousand_schedules(path: pathlib.Path, scheduler: str) -> None:
    # On a kept program a random schedule fails about once in 1,000 to 1,500 (measured over 40,000). The chance that
    # 10,000 schedules miss is below exp(-10000/1500) = 0.0013 for one seed.
    entry = load(path)
    executor = Executor(family(entry.family), entry.variant)
    prepared = executor.prepare(entry.program)
    rng = random.Random(7)
    chooser: Contended | Pct
    if scheduler == "pct":
        chooser = Pct(rng, 3, executor.run(prepared, NoPreempt()).steps)
    else:
        objects: set = set()
        accesses = 0
        for _ in range(10):
            m.recorder = places = Places()
            try:
                executor.run(prepared, Walk(rng, 0.1))
            finally:
                m.recorder = None
            objects |= set(places.contended())
            accesses = max(accesses, sum(map(len, places.contended().values())))
        chooser = Contended(rng, 2)
        chooser.learn(objects, accesses)
    assert any(entry.title in executor.run(prepared, chooser).titles for _ in range(10_000))


@pytest.mark.long
def test_the_final_put_in_an_interrupt_is_found_from_nothing_within_sixty_thousand_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ten campaigns (ten_seeds.md) first saw it after 700 to 25,000 runs. For an exponential with mean 12,000 the chance to
    # need more than 60,000 is exp(-5) = 0.007 for one seed.
    title, failed = "BUG at mm/page_alloc.c:95 in __free_pages_ok", _Shard._failed

    def ends_when_it_is_found(shard: _Shard, *run: Any) -> None:
        failed(shard, *run)
        shard.ended = title in shard.known
    monkeypatch.setattr(_Shard, "_failed", ends_when_it_is_found)
    _workers.clear()            # from nothing: another test of this process may have found it
    result = run_shard(ShardTask("lru_free_2_4", "pre_patch", seed=1, number=0, runs=60_000, seconds=120))
    assert title in [hit.title for hit in result.hits]
